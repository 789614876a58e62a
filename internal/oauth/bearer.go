package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// BearerToken reads the token of a request from its Authorization header (RFC
// 6750 section 2.1); "" when there is none. *core.Error for two headers or a
// Bearer that is not one token.
func BearerToken(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if len(headers) > 1 || token == "" || strings.ContainsAny(token, " \t,") {
		return "", &core.Error{Code: core.TokenMalformed, Reason: "Authorization header", Message: "Send one Authorization header: Bearer TOKEN"}
	}
	return token, nil
}

// BearerRefusal is the answer of a protected resource (RFC 6750 section 3):
// status, headers and body for an error of core's.
func BearerRefusal(err error) (status int, header http.Header, body []byte) {
	header = http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
	var e *core.Error
	if !errors.As(err, &e) {
		e = &core.Error{Code: core.CodeOf(err)}
	}
	challenge := `Bearer realm="sallyport"`
	f := failure{Description: describable(e.Message)}
	switch code := e.Code; {
	case code == core.TokenMissing:
		// Section 3.1: who sent nothing is told nothing but the scheme.
		status, f = http.StatusUnauthorized, failure{Error: "unauthorized"}
	case code.Is(core.Unauthorized):
		status, f.Error = http.StatusUnauthorized, "invalid_token"
		if f.Description == "" {
			f.Description = "The access token is not valid or has expired"
		}
	case code.Is(core.Forbidden):
		status, f.Error = http.StatusForbidden, "insufficient_scope"
	case code.Is(core.Unavailable), code == core.TooMany:
		status, f = http.StatusServiceUnavailable, failure{Error: "temporarily_unavailable"}
		header.Set("Retry-After", strconv.FormatInt((max(e.RetryAfter, 1000)+999)/1000, 10))
	case code == core.NotFound:
		status, f.Error = http.StatusNotFound, "not_found"
	case code == core.MethodNotAllowed:
		status, f.Error = http.StatusMethodNotAllowed, "invalid_request"
	case code.Is(core.BadRequest):
		status, f.Error = http.StatusBadRequest, "invalid_request"
	default:
		status, f = http.StatusInternalServerError, failure{Error: "server_error"}
	}
	if f.Error == "invalid_token" || f.Error == "insufficient_scope" || f.Error == "invalid_request" {
		challenge += `, error="` + f.Error + `"`
		if f.Description != "" {
			challenge += `, error_description="` + f.Description + `"`
		}
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusBadRequest {
		header.Set("WWW-Authenticate", challenge)
	}
	body, _ = json.Marshal(f) // two strings always encode
	return status, header, body
}
