package oauth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// profileClaims are what of a user's attributes the scope profile gives
// (OpenID Connect Core section 5.4). All are texts.
var profileClaims = []string{
	"name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale",
}

// userinfo says who a token speaks for (OpenID Connect Core section 5.3).
func (b *browser) userinfo(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST, OPTIONS")
		return core.Errorf(core.MethodNotAllowed, "This endpoint takes GET and POST")
	}
	raw, err := userinfoToken(r)
	if err != nil {
		return err
	}
	if raw == "" {
		return &core.Error{Code: core.TokenMissing, Reason: "userinfo"}
	}
	from := clientOf(r)
	p, err := b.svc.Access(r.Context(), raw, &from)
	if err != nil {
		return err
	}
	if p.Subject.Kind != core.SubjectUser || !slices.Contains(p.Scopes, core.ScopeOpenID) {
		return &core.Error{Code: core.ScopeInsufficient, Reason: "userinfo without openid", Message: "The token was not given the scope openid"}
	}
	claims, err := b.claims(r, p)
	if err != nil {
		return err
	}
	return httpd.WriteJSON(w, http.StatusOK, claims, httpd.NoStore)
}

// userinfoToken reads the token from the header or, by POST, from a form (RFC
// 6750 section 2.2). In the URL it does not count, good or not (SECURITY 30).
func userinfoToken(r *http.Request) (string, error) {
	if q, err := url.ParseQuery(r.URL.RawQuery); err != nil || q.Has("access_token") {
		return "", invalidRequest("Send the token in the Authorization header, not in the URL")
	}
	raw, err := BearerToken(r)
	if err != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return raw, err
	}
	form, err := readForm(r)
	if err != nil {
		return "", err
	}
	if form.Get("access_token") != "" && raw != "" {
		return "", invalidRequest("Send the token once: in the Authorization header or in the form")
	}
	return max(raw, form.Get("access_token")), nil
}

// claims are those that the scope of the token gives.
func (b *browser) claims(r *http.Request, p *core.Principal) (map[string]any, error) {
	out := map[string]any{"sub": p.Subject.ID}
	if slices.Contains(p.Scopes, core.ScopeEmail) && p.Subject.Email != "" {
		out["email"], out["email_verified"] = p.Subject.Email, p.Subject.EmailVerified
	}
	if !slices.Contains(p.Scopes, core.ScopeProfile) {
		return out, nil
	}
	out["preferred_username"] = p.Subject.Username
	var attributes map[string]any
	if json.Unmarshal(p.Subject.Attributes, &attributes) == nil { // what is no object has no claims
		for _, name := range profileClaims {
			if text, ok := attributes[name].(string); ok && text != "" {
				out[name] = text
			}
		}
	}
	u, err := b.h.cfg.Users.FindUser(r.Context(), p.Subject.AccountShortname, p.Subject.ID)
	if err != nil {
		return nil, err
	}
	out["updated_at"] = u.UpdatedAt / 1000
	return out, nil
}

// bearerError implements httpd.ErrorWriter by RFC 6750 section 3.
func (b *browser) bearerError(w http.ResponseWriter, r *http.Request, err error) {
	status, header, body := BearerRefusal(err)
	if status >= 500 {
		b.h.failed(r, "userinfo failed", err)
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away has nobody to tell
}
