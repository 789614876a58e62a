package contract

import (
	"net/http"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Token reads the access token of a gateway request from where the contract
// says. The errors are *core.Error: TokenMissing when there is none,
// TokenMalformed when there are two, when they are joined by a comma, or when
// the scheme is another.
func (c *Contract) Token(r *http.Request) (string, error) {
	tok, _, err := c.token(r.Header, r)
	return tok, err
}

// TokenPlace is Token, and says whether the token lay in a cookie, which a
// browser sends unasked.
func (c *Contract) TokenPlace(r *http.Request) (tok string, cookie bool, err error) {
	return c.token(r.Header, r)
}

// TokenFromHeader is Token for requests that are described by their headers
// alone, as forward-auth describes them; a token in the query is not found.
func (c *Contract) TokenFromHeader(h http.Header) (string, error) {
	tok, _, err := c.token(h, &http.Request{Header: h})
	return tok, err
}

func (c *Contract) token(h http.Header, r *http.Request) (tok string, cookie bool, err error) {
	var bad error
	for i := range c.def.gateway.places {
		pl := &c.def.gateway.places[i]
		vals := placeValues(pl, h, r)
		if len(vals) == 0 {
			continue
		}
		if len(vals) == 1 && pl.prefix != "" {
			cut, ok := cutPrefixFold(vals[0], pl.prefix)
			if !ok {
				cut = "" // malformed, like another scheme
			}
			vals = []string{cut}
		}
		scheme := ""
		if pl.kind == fromScheme {
			scheme = pl.name
		}
		tok, err := schemeToken(vals, scheme)
		if err == nil {
			return tok, pl.kind == fromCookie, nil
		}
		if bad == nil {
			msg := "Malformed token"
			if scheme != "" {
				msg = "Bad Authorization header. Expected value '" + scheme + " TOKEN'"
			}
			bad = &core.Error{Code: core.TokenMalformed, Reason: "gateway token", Message: msg}
		}
	}
	if bad != nil {
		return "", false, bad
	}
	msg := "Missing token"
	if slices.ContainsFunc(c.def.gateway.places, func(p place) bool { return p.kind == fromScheme || p.kind == fromBasic }) {
		msg = "Missing Authorization Header"
	}
	return "", false, &core.Error{Code: core.TokenMissing, Message: msg}
}

func placeValues(pl *place, h http.Header, r *http.Request) []string {
	switch pl.kind {
	case fromScheme:
		return h["Authorization"]
	case fromBasic:
		return basicValue(pl.name, h["Authorization"])
	case fromHeader:
		return h[canonicalHeader(pl.name)]
	case fromCookie:
		var out []string
		for _, c := range r.CookiesNamed(pl.name) {
			out = append(out, c.Value)
		}
		return out
	}
	if r.URL == nil {
		return nil
	}
	var out []string
	err := decodeForm([]byte(r.URL.RawQuery), func(name, val []byte) {
		if string(name) == pl.name {
			out = append(out, fieldText(val))
		}
	})
	if err != nil {
		return []string{"", ""} // two: malformed, whatever it held
	}
	return out
}

// basicValue is the user name or password of Basic credentials, "" for what is
// none.
func basicValue(name string, vals []string) []string {
	if len(vals) == 0 {
		return nil
	}
	user, pass, ok := basicPair(vals)
	switch {
	case !ok:
		return []string{""}
	case name == "username":
		return []string{user}
	}
	return []string{pass}
}

// TokenCookies are the cookies the gateway reads tokens from; a proxy does not
// forward them.
func (c *Contract) TokenCookies() []string {
	var out []string
	for i := range c.def.gateway.places {
		if c.def.gateway.places[i].kind == fromCookie {
			out = append(out, c.def.gateway.places[i].name)
		}
	}
	return out
}

// RenderRefusal says how the contract refuses a request at the gateway: in the
// gateway's own words, else the contract's. The unknown error is an opaque
// Internal. now is Unix milliseconds, for templates that name the time.
func (c *Contract) RenderRefusal(err error, now int64) (status int, header http.Header, body []byte) {
	return c.renderRefusal(err, nil, now)
}

func (c *Contract) renderRefusal(err error, q *request, now int64) (status int, header http.Header, body []byte) {
	rf := c.refuse(err)
	header, body = c.render(rf, c.gate, q, now)
	if rf.status < http.StatusBadRequest {
		// A proxy that asks takes a 2xx for leave to pass, whatever the body says.
		rf.status = defaultStatus(rf.code)
	}
	if c.def.gateway.challenge && c.readsBearer() && header.Get("Www-Authenticate") == "" {
		if rf.status == http.StatusUnauthorized || rf.code == core.ScopeInsufficient {
			header.Set("Www-Authenticate", challenge(rf.code))
		}
	}
	return rf.status, header, body
}

func (c *Contract) readsBearer() bool {
	return slices.ContainsFunc(c.def.gateway.places, func(p place) bool { return p.kind == fromScheme && p.name == "Bearer" })
}

// WriteRefusal writes what RenderRefusal says. With CORS it adds the headers
// that let the contract's web clients read the refusal.
func (c *Contract) WriteRefusal(w http.ResponseWriter, r *http.Request, err error, now int64) {
	status, header, body := c.renderRefusal(err, &request{http: r, id: httpd.Info(r).ID}, now)
	if c.def.cors != nil {
		c.def.cors.SetHeaders(w, r)
	}
	h := w.Header()
	for name, vals := range header {
		h[name] = vals
	}
	writeBody(w, r, status, body)
}
