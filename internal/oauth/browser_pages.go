package oauth

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

//go:embed pages
var pageFiles embed.FS

type pages map[string]*template.Template

// parsePages reads the templates. They come with the binary and are tested, so
// a mistake in one is a defect, not an error of the operator's.
func parsePages() pages {
	all := pages{}
	for _, name := range []string{"login", "consent", "logout", "account", "error", "done"} {
		all[name] = template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html"))
	}
	return all
}

func defaultStyle() []byte {
	css, _ := pageFiles.ReadFile("pages/style.css") // it is embedded
	return css
}

// pageHeaders are those of everything that a browser is shown or sent on with:
// nothing is kept, framed, or told to others.
func pageHeaders(h http.Header) {
	httpd.NoStore(h)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", contentPolicy(""))
}

// contentPolicy allows our stylesheet, images of our own and a form that ends
// at the client: browsers apply form-action to the redirects after it, too.
func contentPolicy(redirect string) string {
	forms := "'self'"
	if src := policySource(redirect); src != "" {
		forms += " " + src
	}
	return "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action " + forms + "; frame-ancestors 'none'; base-uri 'none'"
}

// policySource is a URI as a source of a content policy: its origin, or its
// scheme where a policy cannot name the host (apps, IPv6 literals).
func policySource(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return ""
	}
	if u.Host == "" || strings.Trim(strings.ToLower(u.Host), "abcdefghijklmnopqrstuvwxyz0123456789.-:") != "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// view is what every page has.
type view struct {
	Title  string
	Prefix string // path of the issuer
	Style  string
	Client string // name of the application, "" = none
	Body   any
}

// show writes a page. redirect is where its form may lead.
func (b *browser) show(v *visit, status int, name, title, client, redirect string, body any) error {
	var buf bytes.Buffer
	err := b.pages[name].ExecuteTemplate(&buf, "layout", view{
		Title: title, Prefix: b.prefix, Style: b.prefix + pathStyle, Client: client, Body: body,
	})
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", contentPolicy(redirect))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(buf.Bytes()) // a browser that went away has nobody to tell
	return nil
}

// loginForm is what the login page shows.
type loginForm struct {
	Username string
	Message  string // why the last try failed
	CSRF     string
	Request  string

	status int
	retry  int64 // milliseconds
}

func (b *browser) showLogin(v *visit, d *destination, f loginForm) error {
	f.CSRF, f.Request = b.formToken("login", b.formCookie(v), ""), d.request
	if len(f.Username) > 300 {
		f.Username = "" // nobody's name
	}
	title := "Sign in"
	if f.Message != "" {
		title = "Not signed in"
	}
	if f.retry > 0 {
		v.w.Header().Set("Retry-After", strconv.FormatInt((f.retry+999)/1000, 10))
	}
	return b.show(v, max(f.status, http.StatusOK), "login", title, d.client, d.forms, f)
}

// consentForm is what the consent page shows.
type consentForm struct {
	User    string
	Host    string // where the answer goes
	Scope   string
	Items   []scopeItem
	CSRF    string
	Request string
	Switch  string // where one logs in as somebody else
}

// scopeItem says what a word of the scope means. Text is ours; a role has its
// name alone.
type scopeItem struct{ Text, Role string }

func (b *browser) showConsent(v *visit, q *request, login *authserver.BrowserLogin, cookie string, scope []string) error {
	f := consentForm{User: login.Subject.Username, Scope: strings.Join(scope, " "), Request: q.encode()}
	f.CSRF = b.formToken("consent", cookie, f.Request)
	if u, err := url.Parse(q.redirect); err == nil { // it was registered, so it parses
		if f.Host = u.Host; f.Host == "" {
			f.Host = u.Scheme
		}
	}
	again := url.Values{}
	for k, val := range q.params {
		again[k] = val
	}
	again.Set("prompt", strings.Join(append([]string{"login"}, without(q.prompt, "login")...), " "))
	f.Switch = b.prefix + PathAuthorize + "?" + again.Encode()
	for _, w := range scope {
		f.Items = append(f.Items, describeScope(w))
	}
	return b.show(v, http.StatusOK, "consent", "Allow access", q.client.Name, q.redirect, f)
}

func without(list []string, word string) []string {
	var out []string
	for _, w := range list {
		if w != word {
			out = append(out, w)
		}
	}
	return out
}

func describeScope(word string) scopeItem {
	switch word {
	case core.ScopeOpenID:
		return scopeItem{Text: "Know which account is yours"}
	case core.ScopeProfile:
		return scopeItem{Text: "See your user name and profile"}
	case core.ScopeEmail:
		return scopeItem{Text: "See your e-mail address"}
	case core.ScopeOffline:
		return scopeItem{Text: "Keep this access while you are away"}
	}
	return scopeItem{Role: word}
}

// errorPage is what the error page shows.
type errorPage struct {
	Message   string
	RequestID string
}

// writePageError implements httpd.ErrorWriter: an *answer goes to the client,
// everything else is shown.
func (b *browser) writePageError(w http.ResponseWriter, r *http.Request, err error) {
	v := &visit{w: w, r: r}
	id := httpd.Info(r).ID
	if a := (*answer)(nil); errors.As(err, &a) {
		if a.name == errServer {
			b.h.failed(r, "an authorization request failed", a.err)
		}
		params := url.Values{"error": {a.name}}
		if a.description != "" {
			params.Set("error_description", describable(a.description))
		}
		_ = b.tell(v, a.req, params) // a redirect always succeeds
		return
	}
	status, _, retry := describe(err)
	page := errorPage{Message: "The server cannot answer now. Try again in a moment.", RequestID: id}
	switch {
	case status >= 500:
		b.h.failed(r, "a page failed", err)
		if retry > 0 {
			w.Header().Set("Retry-After", strconv.FormatInt((retry+999)/1000, 10))
		}
	case core.CodeOf(err).Is(core.Forbidden):
		status = http.StatusForbidden
		fallthrough
	default:
		page.Message = "The request could not be understood."
		if e := (*core.Error)(nil); errors.As(err, &e) && e.Message != "" {
			page.Message = e.Message
		}
	}
	if !strings.HasSuffix(page.Message, ".") {
		page.Message += "."
	}
	if err := b.show(v, status, "error", "This did not work", "", "", page); err != nil {
		b.h.log.Error("the error page failed", "err", err, "request_id", id)
		w.WriteHeader(http.StatusInternalServerError)
	}
}
