package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

// The paths.
const (
	PathToken      = "/oauth2/token"
	PathIntrospect = "/oauth2/introspect"
	PathRevoke     = "/oauth2/revoke"
	PathAuthorize  = "/oauth2/authorize"
	PathUserinfo   = "/oauth2/userinfo"
	PathLogout     = "/oauth2/logout"

	pathOwn    = "/oauth2/"
	pathServer = "/.well-known/oauth-authorization-server"
	pathOpenID = "/.well-known/openid-configuration"
	pathJWKS   = "/.well-known/jwks.json"
)

// Service is what the endpoints need of authserver.Server.
type Service interface {
	AuthenticateClient(ctx context.Context, r *authserver.ClientCredential) (*core.ClientRecord, error)
	RedeemCode(ctx context.Context, r *authserver.RedeemRequest) (*authserver.Granted, error)
	Refresh(ctx context.Context, r *authserver.RefreshRequest) (*authserver.Granted, error)
	ClientCredentials(ctx context.Context, r *authserver.CredentialsRequest) (*authserver.Granted, error)
	AssertionGrant(ctx context.Context, r *authserver.AssertionRequest) (*authserver.Granted, error)
	ExchangeToken(ctx context.Context, r *authserver.ExchangeRequest) (*authserver.Granted, error)
	Introspect(ctx context.Context, r *authserver.IntrospectRequest) (*core.Principal, error)
	RevokeToken(ctx context.Context, r *authserver.RevokeRequest) error
	BrowserService
}

// Users is what the endpoints need of core.Service.
type Users interface {
	FindUser(ctx context.Context, account, ref string) (*core.UserRecord, error)
}

var (
	_ Service = (*authserver.Server)(nil)
	_ Users   = (*core.Service)(nil)
)

// Config is what a Handler stands on. Service, Users and Issuer are needed.
type Config struct {
	Service Service
	Users   Users
	// Issuer is the configured one: what metadata says whatever the Host
	// header is (SECURITY 19), and the base of every URL in it.
	Issuer string
	Logger *slog.Logger
	// Now is the clock, in Unix milliseconds; nil is the machine's.
	Now func() int64
	// PageKey authenticates the forms of the pages. All nodes have the same;
	// zero makes one up.
	PageKey [32]byte
	// Stylesheet takes the place of the pages' CSS; empty is the one that
	// comes with us.
	Stylesheet []byte
}

// Handler serves the endpoints. Its limits (body, deadline) are the caller's
// to put around it.
type Handler struct {
	cfg     Config
	svc     Service
	log     *slog.Logger
	outages outages
	routes  map[string]http.Handler
	meta    map[string][]byte // path to document
}

// New builds the handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = func() int64 { return time.Now().UnixMilli() }
	}
	h := &Handler{cfg: cfg, svc: cfg.Service, log: cfg.Logger, routes: map[string]http.Handler{}}
	// Scripts of any origin may call what proves itself by what it sends; no
	// cookie counts there. Introspection is for servers.
	open := httpd.CORS{
		Origins: []string{"*"}, Methods: []string{"POST"}, Headers: []string{"Authorization", "Content-Type"},
		Expose: []string{"WWW-Authenticate"}, MaxAge: 10 * time.Minute,
	}
	h.routes[PathToken] = open.Wrap(h.post(h.token))
	h.routes[PathRevoke] = open.Wrap(h.post(h.revoke))
	h.routes[PathIntrospect] = h.post(h.introspect)
	for path, route := range h.browserRoutes() {
		h.routes[path] = route
	}
	return h, h.documents()
}

// Owns reports whether a path is one of ours.
func (h *Handler) Owns(path string) bool {
	return strings.HasPrefix(path, pathOwn) || h.meta[path] != nil
}

// Claims reports whether a contract's route would stand on a path of ours.
func Claims(pattern string) bool {
	return strings.HasPrefix(pattern, pathOwn) || strings.HasPrefix(pattern, pathServer) || strings.HasSuffix(pattern, pathOpenID)
}

// ServeHTTP implements http.Handler for the paths that Owns names.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if h.meta[path] != nil {
		httpd.SetRoute(r, "oauth "+path)
		h.metadata(w, r)
		return
	}
	route := h.routes[path]
	if route == nil {
		httpd.SetRoute(r, "oauth")
		h.writeError(w, r, core.Errorf(core.NotFound, "there is no such endpoint; /.well-known/oauth-authorization-server lists them"))
		return
	}
	httpd.SetRoute(r, "oauth "+path)
	route.ServeHTTP(w, r)
}

// call is one request to an endpoint that takes a form.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	form url.Values // one value each
	from core.Client
}

func (c *call) ctx() context.Context { return c.r.Context() }

// post makes an endpoint that takes a form by POST and nothing in the URL.
func (h *Handler) post(f func(*call) error) http.Handler {
	return httpd.Wrap(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST, OPTIONS")
			return core.Errorf(core.MethodNotAllowed, "this endpoint takes POST")
		}
		form, err := readForm(r)
		if err != nil {
			return err
		}
		return f(&call{w: w, r: r, form: form, from: clientOf(r)})
	}, h.writeError)
}

// clientOf says where a request came from.
func clientOf(r *http.Request) core.Client {
	info := httpd.Info(r)
	c := core.Client{Address: info.ClientAddr, UserAgent: r.UserAgent(), RequestID: info.ID, ForwardedByUnlisted: info.ForwardedByUnlisted}
	if len(c.UserAgent) > 200 {
		c.UserAgent = c.UserAgent[:200]
	}
	return c
}
