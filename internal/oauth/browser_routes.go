package oauth

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Paths of the pages. Forms go to paths of their own, so that the parameters
// of a client and the password of a user never meet in one form.
const (
	pathLogin         = "/oauth2/login"
	pathConsent       = "/oauth2/consent"
	pathLogoutConfirm = "/oauth2/logout/confirm"
	pathAccount       = "/oauth2/account"
	pathStyle         = "/oauth2/pages/style.css"
)

// BrowserService is what the endpoints that a browser is sent to need of
// authserver.Server.
type BrowserService interface {
	PublicClient(ctx context.Context, id string) (*core.ClientRecord, error)
	LoginBrowser(ctx context.Context, r *core.LoginRequest) (*authserver.BrowserLogin, error)
	Browser(ctx context.Context, cookie string, c *core.Client) (*authserver.BrowserLogin, error)
	BrowserBefore(cookie string) *authserver.BrowserLogin
	SupersedeBrowser(ctx context.Context, old, by *authserver.BrowserLogin, c *core.Client) error
	CameFrom(ctx context.Context, sid string, b *authserver.BrowserLogin) (bool, error)
	EndBrowser(ctx context.Context, b *authserver.BrowserLogin, c *core.Client) error
	EndClientSession(ctx context.Context, client, user, sid string, c *core.Client) error
	ConsentsOf(ctx context.Context, user string) ([]authserver.NamedConsent, error)
	WithdrawOwnConsent(ctx context.Context, b *authserver.BrowserLogin, client string, c *core.Client) error
	OwnSessions(ctx context.Context, b *authserver.BrowserLogin) ([]authserver.OwnSession, error)
	EndOwnSession(ctx context.Context, b *authserver.BrowserLogin, sid string, c *core.Client) error
	EndOtherSessions(ctx context.Context, b *authserver.BrowserLogin, c *core.Client) error
	Consented(ctx context.Context, user, client string, scope []string) (bool, error)
	Consent(ctx context.Context, b *authserver.BrowserLogin, client *core.ClientRecord, scope []string, from *core.Client) error
	IssueCode(ctx context.Context, r *authserver.CodeRequest) (string, error)
	Access(ctx context.Context, raw string, c *core.Client) (*core.Principal, error)
	IDTokenHint(raw string) (client, user, sid string, err error)
}

// browser is the part of a Handler that talks to people.
type browser struct {
	h      *Handler
	svc    BrowserService
	now    func() int64
	key    [32]byte // of the tokens in forms
	prefix string   // path of the issuer, in front of our paths as browsers see them
	secure bool     // the issuer is https: cookies are __Host- ones
	style  []byte
	pages  pages
}

// browserRoutes are the endpoints that a browser is sent to, by path. Metadata
// names those that are there.
func (h *Handler) browserRoutes() map[string]http.Handler {
	issuer, err := url.Parse(h.cfg.Issuer)
	if err != nil {
		return nil // documents says so
	}
	b := &browser{
		h: h, svc: h.svc, now: h.cfg.Now, key: h.cfg.PageKey, style: h.cfg.Stylesheet, pages: parsePages(),
		prefix: strings.TrimSuffix(issuer.Path, "/"), secure: issuer.Scheme == "https",
	}
	if b.key == [32]byte{} {
		_, _ = rand.Read(b.key[:]) // never fails; one process understands its own forms
	}
	if len(b.style) == 0 {
		b.style = defaultStyle()
	}
	// Userinfo is called by scripts of any origin with a token, never a cookie.
	open := httpd.CORS{
		Origins: []string{"*"}, Methods: []string{"GET", "POST"}, Headers: []string{"Authorization", "Content-Type"},
		Expose: []string{"WWW-Authenticate"}, MaxAge: 10 * time.Minute,
	}
	return map[string]http.Handler{
		PathAuthorize:     b.page(b.authorize, http.MethodGet, http.MethodPost),
		pathLogin:         b.page(b.login, http.MethodPost),
		pathConsent:       b.page(b.consent, http.MethodPost),
		PathLogout:        b.page(b.logout, http.MethodGet, http.MethodPost),
		pathLogoutConfirm: b.page(b.confirmLogout, http.MethodPost),
		pathAccount:       b.page(b.account, http.MethodGet, http.MethodPost),
		pathStyle:         http.HandlerFunc(b.stylesheet),
		PathUserinfo:      open.Wrap(httpd.Wrap(b.userinfo, b.bearerError)),
	}
}

// visit is one request of a browser.
type visit struct {
	w    http.ResponseWriter
	r    *http.Request
	from core.Client
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// page makes an endpoint that answers with pages and redirects. No CORS: a
// script of another origin has nothing to read here (SECURITY 27).
func (b *browser) page(f func(*visit) error, methods ...string) http.Handler {
	allow := strings.Join(methods, ", ")
	return httpd.Wrap(func(w http.ResponseWriter, r *http.Request) error {
		pageHeaders(w.Header())
		for _, m := range methods {
			if r.Method == m {
				return f(&visit{w: w, r: r, from: clientOf(r)})
			}
		}
		w.Header().Set("Allow", allow)
		return core.Errorf(core.MethodNotAllowed, "This address answers %s", allow)
	}, b.writePageError)
}

// stylesheet serves the one CSS file.
func (b *browser) stylesheet(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(b.style) // a browser that went away has nobody to tell
}
