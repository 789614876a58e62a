package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Option changes what Middleware does.
type Option func(*middleware)

// RequireScopes lets only tokens through that have all of the scopes; others get 403 insufficient_scope.
func RequireScopes(scopes ...string) Option {
	return func(m *middleware) { m.scopes = append(m.scopes, scopes...) }
}

// Realm is what the WWW-Authenticate header says about the place. Quotes, backslashes and control characters are left
// out.
func Realm(name string) Option {
	return func(m *middleware) { m.realm = quotable(name) }
}

// Optional lets requests without any Authorization header through, for which FromContext then answers false. A token
// that is there and not good is refused all the same.
func Optional() Option {
	return func(m *middleware) { m.optional = true }
}

// OnRefusal writes the body of a refusal, for APIs that have a format of their own. The headers, WWW-Authenticate among
// them, are set when it is called; it sets Content-Type and writes status and body. err is of this package, or nil when
// the request carried no token in the way it must.
func OnRefusal(write func(w http.ResponseWriter, r *http.Request, status int, err error)) Option {
	return func(m *middleware) { m.write = write }
}

type middleware struct {
	v        *Verifier
	next     http.Handler
	scopes   []string
	realm    string
	optional bool
	write    func(w http.ResponseWriter, r *http.Request, status int, err error)
}

// Middleware lets requests with a good access token through to next, which finds the claims with FromContext, and
// answers all others as RFC 6750 section 3 has it: 400 for a request that is made wrong, 401 without a good token, 403
// with one that lacks a scope, 503 while nothing can be said about tokens.
//
// The token is taken from the Authorization header alone. A request with a token in its query (RFC 6750 section 2.3) is
// refused even if the header is good: such URLs end up in logs and histories. Bodies are not read.
func (v *Verifier) Middleware(next http.Handler, opts ...Option) http.Handler {
	m := &middleware{v: v, next: next}
	for _, o := range opts {
		o(m)
	}
	return m
}

// ServeHTTP implements http.Handler.
func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, refusal := bearer(r)
	if refusal != nil {
		if refusal == &noToken && m.optional && len(r.Header["Authorization"]) == 0 {
			m.next.ServeHTTP(w, r)
			return
		}
		m.refuse(w, r, refusal, nil)
		return
	}
	claims, err := m.v.Verify(r.Context(), raw)
	if err == nil {
		err = needScopes(claims, m.scopes)
	}
	if err != nil {
		m.refuse(w, r, refusalOf(err), err)
		return
	}
	m.next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), claims)))
}

// refusal is one kind of answer.
type refusal struct {
	status            int
	code, description string
}

var (
	noToken      = refusal{http.StatusUnauthorized, "", ""}
	inQuery      = refusal{http.StatusBadRequest, "invalid_request", "Send the token in the Authorization header, never in the URL"}
	twoHeaders   = refusal{http.StatusBadRequest, "invalid_request", "Send one Authorization header"}
	badHeader    = refusal{http.StatusBadRequest, "invalid_request", "Write the Authorization header as: Bearer TOKEN"}
	expired      = refusal{http.StatusUnauthorized, "invalid_token", "The access token has expired"}
	revoked      = refusal{http.StatusUnauthorized, "invalid_token", "The access token was revoked"}
	invalid      = refusal{http.StatusUnauthorized, "invalid_token", "The access token is not valid here"}
	tooNarrow    = refusal{http.StatusForbidden, "insufficient_scope", "The access token lacks a scope"}
	noKnowledge  = refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "Tokens cannot be verified at the moment"}
	authenticate = "WWW-Authenticate"
)

func refusalOf(err error) *refusal {
	switch {
	case errors.Is(err, ErrKeys), errors.Is(err, ErrStale), errors.Is(err, ErrClosed):
		return &noKnowledge
	case errors.Is(err, ErrScope):
		return &tooNarrow
	case errors.Is(err, ErrExpired):
		return &expired
	case errors.Is(err, ErrRevoked):
		return &revoked
	}
	return &invalid
}

// bearer takes the token from a request: one header, the scheme in any case (RFC 9110 section 11.1), one space, the
// characters of RFC 6750 section 2.1. Two headers, or a comma, would let two programs take different tokens.
func bearer(r *http.Request) (string, *refusal) {
	if r.URL.RawQuery != "" {
		q, _ := url.ParseQuery(r.URL.RawQuery) // what cannot be read is for the handler to refuse
		if q.Has("access_token") {
			return "", &inQuery
		}
	}
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", &noToken
	}
	if len(values) > 1 {
		return "", &twoHeaders
	}
	const scheme = "Bearer"
	name, raw, ok := strings.Cut(values[0], " ")
	if !strings.EqualFold(name, scheme) {
		return "", &noToken
	}
	if !ok || raw == "" || strings.ContainsFunc(raw, func(c rune) bool { return !tokenRune(c) }) {
		return "", &badHeader
	}
	return raw, nil
}

func tokenRune(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~+/=", c)
}

// refuse answers with the challenge of RFC 6750 section 3. A request that said nothing about a token learns no error
// code, as section 3.1 asks.
func (m *middleware) refuse(w http.ResponseWriter, r *http.Request, f *refusal, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if f.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	} else {
		h.Set(authenticate, m.challenge(f, err))
	}
	if m.write != nil {
		m.write(w, r, f.status, err)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	code := f.code
	if code == "" {
		code = "unauthorized"
	}
	body, _ := json.Marshal(map[string]string{"error": code, "error_description": f.description}) // text is always JSON
	_, _ = w.Write(append(body, '\n'))                                                            // whoever went away has nobody to tell
}

func (m *middleware) challenge(f *refusal, err error) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+`="`+value+`"`)
		}
	}
	add("realm", m.realm)
	add("error", f.code)
	add("error_description", f.description)
	if f == &tooNarrow {
		add("scope", quotable(strings.Join(m.needed(err), " ")))
	}
	if len(parts) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(parts, ", ")
}

// needed are the scopes that would have been enough.
func (m *middleware) needed(err error) []string {
	var s *scopeError
	if errors.As(err, &s) {
		return s.needed
	}
	return m.scopes
}

// quotable leaves out what cannot stand between quotes in a header.
func quotable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, text)
}

type contextKey struct{}

// NewContext returns a context that carries the claims, as Middleware gives it to the next handler. It is for tests of
// handlers and for transports other than net/http.
func NewContext(ctx context.Context, c *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the claims of the request's token. It answers false where no Middleware let the request in, or
// one that was Optional did without a token.
func FromContext(ctx context.Context) (*Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(*Claims)
	return c, ok && c != nil
}
