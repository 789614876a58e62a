package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Prefix is the path under which all resources lie.
const Prefix = "/admin/v1"

// Service is what the API needs of core.Service.
type Service interface {
	CreateAccount(ctx context.Context, actor core.Actor, shortname string) (*core.Account, error)
	ListAccounts(ctx context.Context, after string, limit int) ([]*core.Account, error)
	Account(ctx context.Context, shortname string) (*core.Account, error)
	AccountByID(ctx context.Context, id string) (*core.Account, error)
	SetAccountState(ctx context.Context, actor core.Actor, shortname string, state core.State) (*core.Account, error)

	CreateUser(ctx context.Context, actor core.Actor, n core.NewUser) (*core.User, error)
	FindUser(ctx context.Context, account, ref string) (*core.UserRecord, error)
	ListUsers(ctx context.Context, q core.UserQuery) ([]*core.UserRecord, error)
	SetPassword(ctx context.Context, actor core.Actor, id, pw string, reset bool, spare string) (*core.User, error)
	SetUserState(ctx context.Context, actor core.Actor, id string, state core.State) (*core.User, error)
	UpdateUser(ctx context.Context, actor core.Actor, id string, patch core.UserPatch) (*core.User, error)
	DeleteUser(ctx context.Context, actor core.Actor, id string) error
	CompromiseUser(ctx context.Context, actor core.Actor, id string) (*core.User, error)
	UnlockUser(ctx context.Context, actor core.Actor, id string) error

	ListSessions(ctx context.Context, q core.SessionQuery) ([]*core.Session, error)
	RevokeSession(ctx context.Context, actor core.Actor, sid string) error
	RevokeSubjectSessions(ctx context.Context, actor core.Actor, subject string) (int, error)
	RevokeEverything(ctx context.Context, actor core.Actor) error

	ListApplicationTokens(ctx context.Context, q core.ApplicationTokenQuery) ([]*core.ApplicationToken, error)
	ChangeApplicationToken(ctx context.Context, actor core.Actor, id string, action core.ApplicationTokenAction) (*core.ApplicationToken, error)

	CreateAPIKey(ctx context.Context, actor core.Actor, n core.NewAPIKey) (*core.MadeAPIKey, error)
	FindAPIKey(ctx context.Context, account, ref string) (*core.APIKeyRecord, error)
	ListAPIKeys(ctx context.Context, q core.APIKeyQuery) ([]*core.APIKeyRecord, error)
	RotateAPIKey(ctx context.Context, actor core.Actor, id string, overlapMS int64, base string) (*core.MadeAPIKey, error)
	DeleteAPIKey(ctx context.Context, actor core.Actor, id string) error
	SetAPIKeyState(ctx context.Context, actor core.Actor, id string, state core.State) error

	InspectToken(ctx context.Context, raw string) (*core.Inspection, error)
	ListAudit(ctx context.Context, q core.AuditQuery) ([]core.AuditRecord, error)
	AuditHeads(ctx context.Context) ([]core.AuditRecord, error)
}

// Clients is what the API needs of authserver.Server.
type Clients interface {
	CreateClient(ctx context.Context, actor core.Actor, n authserver.NewClient) (*authserver.MadeClient, error)
	FindClient(ctx context.Context, id string) (*core.ClientRecord, error)
	LookupClient(ctx context.Context, account, ref string) (*core.ClientRecord, error)
	ListClients(ctx context.Context, q core.ClientQuery) ([]*core.ClientRecord, error)
	UpdateClient(ctx context.Context, actor core.Actor, id string, patch authserver.ClientPatch) (*core.OAuthClient, error)
	RotateClientSecret(ctx context.Context, actor core.Actor, id string, overlapMS int64) (*authserver.MadeClient, error)
	SetClientState(ctx context.Context, actor core.Actor, id string, state core.State) (*core.OAuthClient, error)
	DeleteClient(ctx context.Context, actor core.Actor, id string) error

	ConsentsOf(ctx context.Context, user string) ([]authserver.NamedConsent, error)
	WithdrawConsent(ctx context.Context, actor core.Actor, user, client string) error
}

// Extras is what the API offers beyond the core; app knows the answers.
type Extras interface {
	// Status says what runs: version, listeners, mounts, keys, clock.
	Status(ctx context.Context) (*Status, error)
	// ConfirmClock accepts the clock as it stands after a jump, so that
	// purging and key drops go on.
	ConfirmClock(ctx context.Context, actor core.Actor) error
	// ExplainRoute says what the gateway would do with a request and why.
	ExplainRoute(ctx context.Context, q RouteQuery) (*RouteAnswer, error)
}

// Config is what the API stands on. All but Log is needed.
type Config struct {
	Service Service
	Clients Clients
	Extras  Extras
	Keys    Keys
	// Actor names who sends the request, for the audit log: "operator:1000".
	// An empty name refuses the request.
	Actor func(*http.Request) string
	// Backup writes a backup of the whole store; nil where none is made.
	Backup func(ctx context.Context, actor core.Actor, out io.Writer) error
	Log    *slog.Logger
}

var (
	_ Service = (*core.Service)(nil)
	_ Clients = (*authserver.Server)(nil)
)

type api struct {
	svc     Service
	clients Clients
	extras  Extras
	keys    Keys
	actor   func(*http.Request) string
	backup  func(ctx context.Context, actor core.Actor, out io.Writer) error
	log     *slog.Logger
}

// New builds the handler. Its paths begin with Prefix.
func New(cfg Config) http.Handler {
	a := &api{svc: cfg.Service, clients: cfg.Clients, extras: cfg.Extras, keys: cfg.Keys, actor: cfg.Actor, backup: cfg.Backup, log: cfg.Log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	for path, methods := range a.routes() {
		mux.Handle(Prefix+path, httpd.Wrap(byMethod(methods), a.writeError))
	}
	mux.Handle("/", httpd.Wrap(noRoute, a.writeError))
	all := http.NewServeMux()
	all.Handle(Prefix+backupPath, a.backupHandler())
	all.Handle("/", httpd.Own(mux))
	return all
}

// call is one request as a route sees it.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	actor core.Actor
}

type endpoint func(*call) error

type methods map[string]endpoint

func (a *api) routes() map[string]map[string]httpd.Handler {
	out := map[string]map[string]httpd.Handler{}
	for path, ms := range a.table() {
		out[path] = map[string]httpd.Handler{}
		for m, e := range ms {
			out[path][m] = a.bind(path, e)
		}
	}
	return out
}

// table is the whole API.
func (a *api) table() map[string]methods {
	return map[string]methods{
		"/status":         {"GET": a.status},
		"/clock/confirm":  {"POST": a.confirmClock},
		"/gateway/routes": {"GET": a.explainRoute},

		"/accounts":                     {"GET": a.listAccounts, "POST": a.createAccount},
		"/accounts/{shortname}":         {"GET": a.getAccount},
		"/accounts/{shortname}/disable": {"POST": a.setAccountState(core.Disabled)},
		"/accounts/{shortname}/enable":  {"POST": a.setAccountState(core.Active)},

		"/users":                  {"GET": a.listUsers, "POST": a.createUser},
		"/users/lookup":           {"GET": a.lookupUser},
		"/users/{id}":             {"GET": a.getUser, "PATCH": a.updateUser, "DELETE": a.deleteUser},
		"/users/{id}/password":    {"POST": a.setPassword},
		"/users/{id}/disable":     {"POST": a.setUserState(core.Disabled)},
		"/users/{id}/enable":      {"POST": a.setUserState(core.Active)},
		"/users/{id}/unlock":      {"POST": a.unlockUser},
		"/users/{id}/compromised": {"POST": a.compromiseUser},
		"/users/{id}/consents":    {"GET": a.listConsents},

		"/users/{id}/consents/{client}": {"DELETE": a.withdrawConsent},

		"/sessions":        {"GET": a.listSessions},
		"/sessions/revoke": {"POST": a.revokeSessions},

		"/application-tokens":              {"GET": a.listApplicationTokens},
		"/application-tokens/{id}/revoke":  {"POST": a.changeApplicationToken(core.TokenRevoke)},
		"/application-tokens/{id}/suspend": {"POST": a.changeApplicationToken(core.TokenSuspend)},
		"/application-tokens/{id}/resume":  {"POST": a.changeApplicationToken(core.TokenResume)},

		"/api-keys":              {"GET": a.listAPIKeys, "POST": a.createAPIKey},
		"/api-keys/lookup":       {"GET": a.lookupAPIKey},
		"/api-keys/{id}":         {"GET": a.getAPIKey, "DELETE": a.deleteAPIKey},
		"/api-keys/{id}/rotate":  {"POST": a.rotateAPIKey},
		"/api-keys/{id}/disable": {"POST": a.setAPIKeyState(core.Disabled)},
		"/api-keys/{id}/enable":  {"POST": a.setAPIKeyState(core.Active)},

		"/clients":              {"GET": a.listClients, "POST": a.createClient},
		"/clients/lookup":       {"GET": a.lookupClient},
		"/clients/{id}":         {"GET": a.getClient, "PATCH": a.updateClient, "DELETE": a.deleteClient},
		"/clients/{id}/rotate":  {"POST": a.rotateClient},
		"/clients/{id}/disable": {"POST": a.setClientState(core.Disabled)},
		"/clients/{id}/enable":  {"POST": a.setClientState(core.Active)},

		"/keys":           {"GET": a.listKeys},
		"/keys/public":    {"GET": a.publicKeys},
		"/keys/rotate":    {"POST": a.rotateKey},
		"/keys/import":    {"POST": a.importKey},
		"/keys/rewrap":    {"POST": a.rewrapKeys},
		"/keys/{id}/ends": {"GET": a.keyEnds},
		"/keys/{id}/drop": {"POST": a.dropKey},

		"/tokens/inspect": {"POST": a.inspectToken},
		"/audit":          {"GET": a.listAudit},
		"/audit/verify":   {"GET": a.verifyAudit},
	}
}

// bind stands on the path of every route: no act without an actor.
func (a *api) bind(path string, e endpoint) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		httpd.SetRoute(r, Prefix+path)
		name := a.actor(r)
		if name == "" {
			return core.Errorf(core.Unauthorized, "nobody vouches for this caller")
		}
		info := httpd.Info(r)
		actor := core.Actor{Name: name, RequestID: info.ID}
		if info.ClientAddr.IsValid() {
			actor.Address = info.ClientAddr.Unmap().WithZone("").String()
		}
		return e(&call{w: w, r: r, ctx: r.Context(), actor: actor})
	}
}

func byMethod(ms map[string]httpd.Handler) httpd.Handler {
	var allow []string
	for m := range ms {
		allow = append(allow, m)
	}
	sort.Strings(allow)
	list := strings.Join(allow, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		h := ms[r.Method]
		if h == nil {
			w.Header().Set("Allow", list)
			return core.Errorf(core.MethodNotAllowed, "this resource takes %s", list)
		}
		return h(w, r)
	}
}

func noRoute(_ http.ResponseWriter, r *http.Request) error {
	return core.Errorf(core.NotFound, "there is no resource at %s", clip(r.URL.Path, 200))
}

// answer writes v. Nothing of this API may be cached: it shows people,
// addresses and, once, secrets.
func (c *call) answer(status int, v any) error {
	return httpd.WriteJSON(c.w, status, v, httpd.NoStore)
}

func (c *call) noContent() error {
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
