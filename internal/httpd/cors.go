package httpd

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which web origins may read the answers of a handler. The zero
// value allows none: preflights are answered, without permission.
type CORS struct {
	// Origins are exact origins such as https://app.example, or "*" alone.
	Origins []string
	// Methods and Headers are what a preflight grants.
	Methods, Headers []string
	// Expose lists response headers that scripts may read.
	Expose []string
	// Credentials allows cookies; never together with "*".
	Credentials bool
	// MaxAge is how long a browser may remember a preflight; 0 says nothing.
	MaxAge time.Duration
}

// Check refuses settings that would let any site act with its visitors' cookies.
func (c CORS) Check() error {
	if c.Credentials && slices.Contains(c.Origins, "*") {
		return errors.New(`cors: credentials cannot be allowed for the origin "*"; list the origins by name`)
	}
	return nil
}

// IsPreflight says whether r is a browser asking for permission.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// Wrap answers preflights with 204, whatever next would say: a preflight
// carries no token, so a 401 would block every browser. Other requests get
// the headers and go on.
func (c CORS) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsPreflight(r) {
			c.preflight(w, r)
			return
		}
		c.SetHeaders(w, r)
		next.ServeHTTP(w, r)
	})
}

// SetHeaders writes the headers of an actual response and reports whether the
// origin is allowed.
func (c CORS) SetHeaders(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	if len(c.Origins) == 0 {
		return false
	}
	if !slices.Contains(c.Origins, "*") {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if origin == "" || !c.allow(h, origin) {
		return false
	}
	if len(c.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.Expose, ", "))
	}
	return true
}

func (c CORS) allow(h http.Header, origin string) bool {
	switch {
	case slices.Contains(c.Origins, "*") && !c.Credentials:
		h.Set("Access-Control-Allow-Origin", "*")
	case origin != "*" && slices.Contains(c.Origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		if c.Credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	default:
		return false
	}
	return true
}

func (c CORS) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	if c.allow(h, r.Header.Get("Origin")) {
		h.Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ", "))
		if len(c.Headers) > 0 {
			h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ", "))
		}
		if c.MaxAge > 0 {
			h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge/time.Second)))
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
