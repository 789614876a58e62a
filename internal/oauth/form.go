package oauth

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

const (
	// maxParams bounds the parameters of a form; the longest request has 12.
	maxParams = 50
	// maxForm bounds a form in bytes: two tokens of 8 KiB and what stands beside
	// them. What is longer is refused unread, so that nobody's form costs much.
	maxForm = 24 << 10
)

// forms are buffers of the longest form.
var forms = sync.Pool{New: func() any { return new([maxForm + 1]byte) }}

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
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return parseForm(body)
}

func readBody(r *http.Request) (string, error) {
	tooLarge := func(limit int64) error {
		return core.Errorf(core.BodyTooLarge, "the body is larger than %d bytes", limit)
	}
	if r.ContentLength > maxForm {
		return "", tooLarge(maxForm)
	}
	buf := forms.Get().(*[maxForm + 1]byte)
	n, err := io.ReadFull(r.Body, buf[:])
	body := string(buf[:min(n, maxForm)])
	clear(buf[:n]) // it held a secret
	forms.Put(buf)
	large := (*httpd.BodyTooLarge)(nil)
	switch {
	case err == nil:
		return "", tooLarge(maxForm)
	case errors.As(err, &large):
		return "", tooLarge(large.Limit)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || n < int(r.ContentLength):
		return "", invalidRequest("the body could not be read")
	}
	return body, nil
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
	e.OAuth = authserver.InvalidRequest
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
