package authserver

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// Store is the part of core.Store that is needed here.
type Store interface {
	core.Clients
	core.AuthCodes
	core.Consents
	SessionByID(ctx context.Context, id core.SessionID) (*core.Session, *core.Subject, error)
	APIKeyByID(ctx context.Context, id string) (*core.APIKeyRecord, error)
	ApplicationTokenByHash(ctx context.Context, hash [32]byte) (*core.ApplicationToken, *core.Subject, error)
}

// Keys is the part of core.Keys that is needed here. Signing is the engine's.
type Keys interface {
	ActiveKey(set core.KeySet) string
	Open(purpose core.SealPurpose, binding string, sealed []byte) ([]byte, error)
}

// Service is the part of core.Service that is needed here.
type Service interface {
	Issuer() string
	ForThisIssuer(p *core.Principal) error
	Account(ctx context.Context, shortname string) (*core.Account, error)
	ListAccounts(ctx context.Context, after string, limit int) ([]*core.Account, error)
	ListSessions(ctx context.Context, q core.SessionQuery) ([]*core.Session, error)
	ChangeApplicationToken(ctx context.Context, actor core.Actor, id string, action core.ApplicationTokenAction) (*core.ApplicationToken, error)
	RegisterMount(m *core.Mount) error
	RememberLifetimes(ctx context.Context) error
}

// Tokens is the part of core.Engine that reads, signs and ends tokens.
type Tokens interface {
	Identify(raw string, m *core.Mount, now int64, kinds ...token.Kind) (*core.Identified, error)
	Find(ctx context.Context, raw string, now int64) (*core.Identified, error)
	Principal(ctx context.Context, id *core.Identified, raw string, now int64) (*core.Principal, error)
	RowPrincipal(ctx context.Context, id *core.Identified, now int64) (*core.Principal, error)
	Sign(m *core.Mount, spec *core.TokenSpec, sess *core.Session, subj *core.Subject, now int64) (tok string, expires int64, err error)
	RefreshToken(m *core.Mount, sess *core.Session) (string, error)
	EndToken(ctx context.Context, id *core.Identified, reason string, ev core.Event, now int64) error
}

// Sessions is the part of core.Engine that opens, moves and ends sessions.
type Sessions interface {
	OpenByPassword(ctx context.Context, r *core.LoginRequest, now int64) (*core.OpenResult, error)
	PrepareSession(ctx context.Context, o *core.Opening, now int64) (*core.OpenSessionParams, error)
	Move(ctx context.Context, id *core.Identified, policy *core.Rotation, c *core.Client, now int64) (*core.RefreshResult, error)
	RevokeSessions(ctx context.Context, p *core.RevokeSessionsParams) (int, error)
	Used(id core.SessionID, c *core.Client, now int64)
}

// Revocations is the part of core.Engine that keeps this node in step with what
// is revoked.
type Revocations interface {
	Hearing(ctx context.Context, now int64) error
	Applied(ctx context.Context, err error) error
	FactPurgeAt(kind core.FactKind, now int64) int64
	Note(ctx context.Context, kind core.NoteKind, subject string, now int64) error
	RaiseLongest(ms int64) bool
}

// Engine is core.Engine.
type Engine interface {
	Tokens
	Sessions
	Revocations
	Outcome(grant string, m *core.Mount, c *core.Client, err error)
	Granted(grant string, m *core.Mount, actor string, c *core.Client)
}

var (
	_ Store   = core.Store(nil)
	_ Keys    = core.Keys(nil)
	_ Service = (*core.Service)(nil)
	_ Engine  = (*core.Engine)(nil)
)
