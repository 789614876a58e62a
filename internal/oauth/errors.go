package oauth

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

// failure is an error as RFC 6749 section 5.2 shapes it.
type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// writeError implements httpd.ErrorWriter.
func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, f, retry := describe(err)
	if status >= 500 {
		h.failed(r, "an OAuth request failed", err)
	}
	hd := w.Header()
	if status == http.StatusUnauthorized {
		// Also for those who tried another way: RFC 9110 section 15.5.2 wants it.
		hd.Set("WWW-Authenticate", `Basic realm="sallyport"`)
	}
	if retry > 0 {
		hd.Set("Retry-After", strconv.FormatInt((retry+999)/1000, 10))
	}
	_ = httpd.WriteJSON(w, status, f, httpd.NoStore) // two strings always encode
}

// describe gives status and body for an error. Reasons stay inside.
func describe(err error) (status int, f failure, retryAfter int64) {
	var e *core.Error
	if !errors.As(err, &e) {
		e = &core.Error{Code: core.CodeOf(err)}
	}
	f = failure{Error: e.OAuth, Description: describable(e.Message)}
	code := e.Code
	switch {
	case code.Is(core.Unavailable):
		return http.StatusServiceUnavailable, failure{"temporarily_unavailable", "The server cannot answer now; try again"}, max(e.RetryAfter, 1000)
	case code.Is(core.Internal):
		return http.StatusInternalServerError, failure{Error: "server_error"}, 0
	case code == core.TooMany:
		return http.StatusTooManyRequests, failure{"temporarily_unavailable", "Too many requests; try again later"}, max(e.RetryAfter, 1000)
	case e.OAuth == authserver.InvalidClient, e.OAuth == "" && code.Is(core.BadCredentials):
		f.Error = authserver.InvalidClient
		return http.StatusUnauthorized, f, 0
	case e.OAuth != "":
		return http.StatusBadRequest, f, 0
	}
	f.Error = authserver.InvalidRequest
	switch {
	case code == core.MethodNotAllowed:
		return http.StatusMethodNotAllowed, f, 0
	case code == core.MediaTypeUnsupported:
		return http.StatusUnsupportedMediaType, f, 0
	case code == core.BodyTooLarge:
		return http.StatusRequestEntityTooLarge, f, 0
	case code == core.NotFound:
		return http.StatusNotFound, f, 0
	case code.Is(core.Unauthorized), code.Is(core.Forbidden):
		return http.StatusBadRequest, failure{authserver.InvalidGrant, "The grant is not valid, has expired, was used or belongs to another client"}, 0
	}
	return http.StatusBadRequest, f, 0
}

// describable keeps a text to what RFC 6749 section 5.2 allows in a
// description: printable ASCII without quotes and backslash.
func describable(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case c == '"' || c == '\\':
			b[i] = '\''
		case c < 0x20 || c > 0x7e:
			b[i] = '?'
		}
	}
	return string(b)
}
