package admin

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Problem is an error answer (RFC 9457). Code is the stable word to program
// against; Detail is for people and says what to do.
type Problem struct {
	Status     int         `json:"status"`
	Title      string      `json:"title"`
	Detail     string      `json:"detail,omitempty"`
	Code       string      `json:"code,omitempty"`
	Violations []Violation `json:"violations,omitempty"`
	RetryAfter int64       `json:"retry_after,omitempty"` // seconds
	RequestID  string      `json:"request_id,omitempty"`
}

// Violation points at one wrong input.
type Violation struct {
	Loc     []string `json:"loc"`
	Message string   `json:"message"`
	Type    string   `json:"type"`
}

// Error is the detail, so that a client can print it as it is.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return strconv.Itoa(p.Status) + " " + p.Title
}

// statusOf is the one switch from the core's codes to HTTP.
func statusOf(code core.Code) int {
	switch {
	case code == core.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case code == core.MediaTypeUnsupported:
		return http.StatusUnsupportedMediaType
	case code == core.BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case code.Is(core.FieldInvalid):
		return http.StatusUnprocessableEntity
	case code.Is(core.BadRequest):
		return http.StatusBadRequest
	case code.Is(core.Unauthorized):
		return http.StatusUnauthorized
	case code.Is(core.Forbidden):
		return http.StatusForbidden
	case code.Is(core.NotFound):
		return http.StatusNotFound
	case code.Is(core.Conflict):
		return http.StatusConflict
	case code.Is(core.TooMany):
		return http.StatusTooManyRequests
	case code.Is(core.Unavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// writeError answers err. What the core did not mean for others is opaque to
// the caller and loud in the log.
func (a *api) writeError(w http.ResponseWriter, r *http.Request, err error) {
	code := core.CodeOf(err)
	var tooLarge *httpd.BodyTooLarge
	if errors.As(err, &tooLarge) {
		code, err = core.BodyTooLarge, core.Errorf(core.BodyTooLarge, "%s", tooLarge.Error())
	}
	id := httpd.Info(r).ID
	status := statusOf(code)
	extra := map[string]any{"code": string(code)}
	if id != "" {
		extra["request_id"] = id
	}
	detail := ""
	var e *core.Error
	if errors.As(err, &e) {
		detail = e.Message
		if len(e.Violations) > 0 {
			extra["violations"] = violationsOf(e.Violations)
		}
		if e.RetryAfter > 0 {
			seconds := (e.RetryAfter + 999) / 1000
			extra["retry_after"] = seconds
			w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		}
	}
	if status >= 500 {
		a.log.Error("administration request failed", "err", err, "method", r.Method, "request_id", id)
		if detail == "" {
			detail = opaqueDetail(status)
		}
	}
	httpd.WriteProblem(w, status, "", "", detail, extra)
}

func opaqueDetail(status int) string {
	if status == http.StatusServiceUnavailable {
		return "the store or a key does not answer; the log says why, repeat when that is mended"
	}
	return "something went wrong inside; the log says what"
}

func violationsOf(vs []core.Violation) []Violation {
	out := make([]Violation, len(vs))
	for i, v := range vs {
		out[i] = Violation{Loc: v.Loc, Message: v.Message, Type: v.Type}
	}
	return out
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
