package oauth

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// maxParams bounds the parameters of a form; the longest request has 12.
const maxParams = 50

// readForm reads the parameters of a POST. They stand in the body alone: what
// stands in a URL stands in logs and histories, so a request with a query is
// refused though all it says were right (SECURITY 30).
func readForm(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, invalidRequest("send the parameters in the body, not in the URL")
	}
	if len(r.Header.Values("Content-Type")) > 1 {
		return nil, core.Errorf(core.MediaTypeUnsupported, "there are two Content-Type headers")
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		return nil, core.Errorf(core.MediaTypeUnsupported, "send the parameters as Content-Type: application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(r.Body)
	if large := (*httpd.BodyTooLarge)(nil); errors.As(err, &large) {
		return nil, core.Errorf(core.BodyTooLarge, "the body is larger than %d bytes", large.Limit)
	}
	if err != nil {
		return nil, invalidRequest("the body could not be read")
	}
	return parseForm(string(body))
}

// parseForm gives parameters with one value each. One that comes twice is an
// error (RFC 6749 section 3.2): two readers would pick different ones. One
// without a value counts as left out.
func parseForm(body string) (url.Values, error) {
	if strings.Count(body, "&") >= maxParams {
		return nil, invalidRequest("there are too many parameters")
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, invalidRequest("the body is not a form")
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, invalidRequest(fmt.Sprintf("the parameter %q is given twice", clip(name)))
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0) {
			return nil, invalidRequest(fmt.Sprintf("the parameter %q is not text", clip(name)))
		}
		if values[0] == "" {
			delete(form, name)
		}
	}
	return form, nil
}

func clip(s string) string {
	if len(s) > 40 {
		s = s[:40]
	}
	return strings.ToValidUTF8(s, "?")
}

func invalidRequest(message string) error {
	e := core.Errorf(core.BadRequest, "%s", message)
	e.OAuth = core.OAuthInvalidRequest
	return e
}

// need gives a parameter that must be there.
func (c *call) need(name string) (string, error) {
	v := c.form.Get(name)
	if v == "" {
		return "", invalidRequest("the parameter " + name + " is missing")
	}
	return v, nil
}
