package contract

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// call is what a grant gave.
type call struct {
	granted   *core.Granted
	principal *core.Principal
}

// handler serves one path of a mount, all methods.
type handler struct {
	m       *Mounted
	group   *pathGroup
	route   string // prefix and pattern
	dynamic bool   // the path has parameters
}

// ServeHTTP answers the request, errors included, in the contract's words.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	httpd.SetRoute(r, h.route)
	if cors := h.m.cors(h.group); cors != nil {
		if httpd.IsPreflight(r) {
			cors.Wrap(nil).ServeHTTP(w, r)
			return
		}
		cors.SetHeaders(w, r)
	}
	q := &request{http: r, id: httpd.Info(r).ID, params: h.params(r)}
	httpd.Serve(w, r,
		func(w http.ResponseWriter, r *http.Request) error { return h.answer(w, r, q) },
		func(w http.ResponseWriter, r *http.Request, err error) { h.m.writeError(w, r, q, err) })
}

// params are the values of the path's parameters, in order.
func (h *handler) params(r *http.Request) []string {
	if !h.dynamic {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(httpd.NormalizeSlashes(r.URL.Path), h.m.Prefix+"/"), "/")
	var out []string
	for i, s := range h.group.segments {
		if s.param && i < len(parts) {
			out = append(out, parts[i])
		}
	}
	return out
}

// answer does one request: find the endpoint, read inputs, call the grant,
// write the answer.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, q *request) error {
	c := h.m.contract
	method := r.Method
	if method == http.MethodHead && c.def.head {
		method = http.MethodGet
	}
	ep := h.group.find(method)
	if ep == nil {
		if method == http.MethodOptions && (c.def.options || c.def.cors != nil) {
			w.Header().Set("Allow", h.group.allow)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return &methodError{allow: h.group.allow}
	}
	q.ep = ep
	q.route = ep.routes[0] // for the words, until the inputs choose
	if err := q.read(); err != nil {
		q.bind(ep.routes[0], nil) // what came in headers may stand in the refusal
		return err
	}
	if err := q.choose(c.def.words); err != nil {
		return err
	}
	out, err := h.m.grant(r.Context(), q)
	if err != nil {
		return err
	}
	h.m.write(w, r, q, out)
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// write encodes the first answer whose condition holds.
func (m *Mounted) write(w http.ResponseWriter, r *http.Request, q *request, out call) {
	e := &env{granted: out.granted, principal: out.principal, req: q, now: m.now()}
	var a *answerDef
	for _, a = range q.route.answers {
		if a.when == nil || a.when.holds(e) {
			break
		}
	}
	h := w.Header()
	noStore(h)
	for _, v := range q.route.vary {
		h.Add("Vary", v)
	}
	setHeaders(h, q.route.headers, e)
	setHeaders(h, a.headers, e)
	for i := range a.cookies {
		a.cookies[i].set(w, r, e)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	bp := buffers.Get().(*[]byte)
	body := a.content.appendBody((*bp)[:0], a.body, e)
	h["Content-Type"] = headJSON
	if a.content.mediaType != "" {
		h["Content-Type"] = []string{a.content.mediaType}
	}
	h["X-Content-Type-Options"] = headNoSniff
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone; there is nobody left to tell
	}
	clear(body) // it held tokens
	*bp = body[:0]
	buffers.Put(bp)
}

// writeError answers a refusal in the words of the route, else the contract.
func (m *Mounted) writeError(w http.ResponseWriter, r *http.Request, q *request, err error) {
	rf := m.contract.refuse(err)
	if rf.code == core.Internal {
		m.logger().Error("a contract route failed", "error", err, "contract", m.contract.Name(), "mount", m.ID, "request_id", q.id)
	}
	var first map[core.Code]*errorDef
	var own []headerDef
	var vary []string
	if q.route != nil {
		first, own, vary = q.route.errors, q.route.headers, q.route.vary
	}
	now := m.now()
	head, body := m.contract.render(rf, first, q, now)
	h := w.Header()
	setHeaders(h, own, &env{refusal: rf, req: q, now: now})
	for name, vals := range head {
		h[name] = vals
	}
	for _, v := range vary {
		h.Add("Vary", v)
	}
	if rf.status == http.StatusUnauthorized && q.route != nil && q.route.bearer() && h.Get("Www-Authenticate") == "" {
		h.Set("Www-Authenticate", q.route.challenge(rf.code))
	}
	writeBody(w, r, rf.status, body)
}

func writeBody(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	if len(body) > 0 {
		h.Set("X-Content-Type-Options", "nosniff")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r == nil || r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone; there is nobody left to tell
	}
}

// bearer says whether the route reads `Authorization: Bearer`.
func (r *boundRoute) bearer() bool {
	for i := range r.places {
		if r.places[i].kind == fromScheme && r.places[i].name == "Bearer" {
			return true
		}
	}
	return false
}

// challenge is the WWW-Authenticate value of a route: that of RFC 9470 section
// 3 where the login is too old.
func (r *boundRoute) challenge(code core.Code) string {
	if code == core.LoginTooOld {
		return `Bearer error="insufficient_user_authentication", max_age="` + strconv.FormatInt(r.freshness()/1000, 10) + `"`
	}
	return challenge(code)
}

// challenge is the WWW-Authenticate value of RFC 6750 section 3.
func challenge(code core.Code) string {
	switch {
	case code.Is(core.TokenInvalid):
		return `Bearer error="invalid_token"`
	case code == core.ScopeInsufficient:
		return `Bearer error="insufficient_scope"`
	}
	return "Bearer"
}

// set writes the cookie, or deletes it.
func (c *cookieDef) set(w http.ResponseWriter, r *http.Request, e *env) {
	if c.when != nil && !c.when.holds(e) {
		return
	}
	k := &http.Cookie{Name: c.name, Path: c.path, Domain: c.domain, HttpOnly: c.httpOnly}
	k.Secure = c.secure == "always" || c.secure == "auto" && httpd.Info(r).Secure
	switch c.sameSite {
	case "strict":
		k.SameSite = http.SameSiteStrictMode
	case "none":
		k.SameSite = http.SameSiteNoneMode
		if !k.Secure { // browsers drop it otherwise
			k.SameSite = http.SameSiteLaxMode
		}
	default:
		k.SameSite = http.SameSiteLaxMode
	}
	switch {
	case c.remove:
		k.MaxAge, k.Expires = -1, time.Unix(0, 0)
	default:
		k.Value = headerText(renderText(c.value, e))
		if k.Value == "" {
			return
		}
		k.MaxAge = c.maxAgeS
		if x, ok := c.maxAge.(*expr); ok {
			k.MaxAge = int(floorSeconds(x.eval(e).n))
		}
	}
	http.SetCookie(w, k)
}
