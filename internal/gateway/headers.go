package gateway

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// identityNames are the configured names, canonical, and their bare forms.
type identityNames struct {
	user, userID, account, kind, roles, session string
	bare                                        map[string]bool
}

func newIdentityNames(h *IdentityHeaders) (identityNames, error) {
	n := identityNames{bare: map[string]bool{}}
	for _, f := range []struct {
		dst        *string
		given, def string
	}{
		{&n.user, h.User, "X-Sallyport-User"},
		{&n.userID, h.UserID, "X-Sallyport-User-Id"},
		{&n.account, h.Account, "X-Sallyport-Account"},
		{&n.kind, h.Type, "X-Sallyport-Type"},
		{&n.roles, h.Roles, "X-Sallyport-Roles"},
		{&n.session, h.Session, "X-Sallyport-Session"},
	} {
		name := f.given
		if name == "" {
			name = f.def
		}
		b := bareName(name)
		switch {
		case b == "" || standardHeader[b]:
			return n, fmt.Errorf("identity header %q: choose a name of your own, as %s", name, f.def)
		case n.bare[b]:
			return n, fmt.Errorf("identity header %q: two headers have this name", name)
		}
		n.bare[b] = true
		*f.dst = textproto.CanonicalMIMEHeaderKey(name)
	}
	return n, nil
}

// standardHeader are names that mean something else already.
var standardHeader = map[string]bool{
	"authorization": true, "host": true, "cookie": true, "connection": true, "contentlength": true, "contenttype": true,
	"transferencoding": true, "upgrade": true, "te": true, "trailer": true, "origin": true, "date": true,
}

// bareName is what is left of a header's name when everything is taken away
// that servers and frameworks lose: case, dashes, underscores (CGI and WSGI
// turn dashes into them), dots and the rest.
func bareName(name string) string {
	b := make([]byte, 0, len(name))
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b = append(b, c)
		}
	}
	return string(b)
}

// speaksForUs reports a header that only we, or a proxy before us, may send:
// those of identity, of forwarding, and those by which frameworks are told to
// take another path or method than the one that was checked.
func (n *identityNames) speaksForUs(name string) bool {
	b := bareName(name)
	switch {
	case n.bare[b], strings.HasPrefix(b, "xsallyport"):
	case strings.HasPrefix(b, "xforwarded"), b == "forwarded", b == "xrealip":
	case strings.HasPrefix(b, "xoriginal"), strings.HasPrefix(b, "xrewrite"):
	case strings.HasPrefix(b, "xhttpmethod"), strings.HasPrefix(b, "xmethod"), strings.HasPrefix(b, "xoverride"):
	// By these WSGI and PHP front ends cut a prefix off the path, or take
	// another host or path altogether.
	case strings.HasPrefix(b, "xscriptname"), strings.HasPrefix(b, "xpathinfo"), strings.HasPrefix(b, "xenvoyoriginal"):
	case strings.HasPrefix(b, "xhttphost"), strings.HasPrefix(b, "xhttppath"), b == "xhost", b == "xurl", b == "xuri":
	// gunicorn believes SCRIPT_NAME without an X, and of what it serves cuts
	// the first place off where that stands: /public/x/admin becomes /admin.
	case b == "scriptname", b == "pathinfo", b == "pathtranslated", b == "requesturi":
	// CGI makes HTTP_PROXY of it, by which the API's own calls would go to
	// whomever the client names (httpoxy).
	case b == "proxy":
	// Who calls, whence and by which URL, in the words of CDNs and front ends
	// that some frameworks believe.
	case b == "remoteuser", b == "xremoteuser", b == "xclientip", b == "trueclientip", b == "xscheme", b == "frontendhttps",
		b == "xwawsunencodedurl", b == "xproxyurl", b == "baseurl":
	default:
		return false
	}
	return true
}

// strip removes from h what speaks for us, in every spelling.
func (n *identityNames) strip(h http.Header) {
	for name := range h {
		if n.speaksForUs(name) {
			delete(h, name)
		}
	}
}

// set writes all identity headers, empty ones without a principal: a proxy
// that copies them then overwrites what a client sent (see forwardauth.go).
func (n *identityNames) set(h http.Header, p *core.Principal) error {
	v := struct{ user, id, account, kind, roles, session string }{}
	if p != nil {
		s := &p.Subject
		v.user, v.id, v.account, v.kind, v.roles = s.Username, s.ID, s.AccountShortname, string(s.Type), strings.Join(p.Roles(), " ")
		if p.Session != (core.SessionID{}) {
			v.session = p.Session.String()
		}
	}
	for _, f := range []struct{ name, value string }{
		{n.user, v.user}, {n.userID, v.id}, {n.account, v.account}, {n.kind, v.kind}, {n.roles, v.roles}, {n.session, v.session},
	} {
		if !headerSafe(f.value) {
			return &core.Error{Code: core.Internal, Reason: "the value for " + f.name + " cannot be a header"}
		}
		h[f.name] = []string{f.value}
	}
	return nil
}

// headerSafe refuses values that would arrive as another: control characters
// end or fold a header, outer blanks are cut off.
func headerSafe(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s == strings.TrimSpace(s)
}

// stripCookies takes the cookies with these names out of h. net/http reads
// cookies leniently and others differently, so what looks like the name in any
// reading goes.
func stripCookies(h http.Header, names []string) {
	if len(names) == 0 || len(h["Cookie"]) == 0 {
		return
	}
	var kept []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			name = strings.Trim(name, " \t\"")
			if pair = strings.Trim(pair, " \t"); pair != "" && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
				kept = append(kept, pair)
			}
		}
	}
	delete(h, "Cookie")
	if len(kept) > 0 {
		h["Cookie"] = []string{strings.Join(kept, "; ")}
	}
}

// asksPermission are the headers of a request that a preflight needs.
func asksPermission(name string) bool {
	switch name {
	case "Origin", "User-Agent", "Accept", "Accept-Language", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-Request-")
}

// permits are the headers of an answer that a preflight needs.
func permits(name string) bool {
	switch name {
	case "Vary", "Allow", "Cache-Control", "Date":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}
