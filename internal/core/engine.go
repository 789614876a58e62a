package core

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/internal/token"
)

// Engine is what the rules that live in packages of their own beneath this one
// stand on: single steps of those that Service is made of. It signs what it is
// told to sign, so it is for rules alone; edges have Service.
//
// now is the time that the caller took, once for all steps of a call.
type Engine struct{ s *Service }

// Engine gives the steps of this service.
func (s *Service) Engine() *Engine { return &Engine{s} }

// Hearing refuses with *Error Unavailable while this node does not hear of
// revocations. It precedes whatever is granted.
func (e *Engine) Hearing(ctx context.Context, now int64) error { return e.s.hearing(ctx, now) }

// Outcome counts how a grant ended; a refusal is told in the audit log's summary
// of the minute.
func (e *Engine) Outcome(grant string, m *Mount, c *Client, err error) {
	e.s.outcome(grant, m, c, err)
}

// Granted puts a token without a session of its own into the audit log: one
// record a minute for each actor and grant.
func (e *Engine) Granted(grant string, m *Mount, actor string, c *Client) {
	e.s.granted(grant, m, actor, c)
}

// Identify checks signature and claims of a token by the keys of one mount, and
// that it is of one of the kinds. One of them whose signature is good and that
// is refused all the same, as for its age, is returned with the error. The store
// is not asked: whether the token still counts is Principal's question.
func (e *Engine) Identify(raw string, m *Mount, now int64, kinds ...token.Kind) (*Identified, error) {
	id, err := e.s.identify(raw, []*Mount{m}, now)
	if id != nil && !slices.Contains(kinds, id.Kind) {
		return demandKind(id, err, kinds...)
	}
	return id, err
}

// Find is Identify over all mounts that have access tokens, for every kind. An
// application token is found by its row, too.
func (e *Engine) Find(ctx context.Context, raw string, now int64) (*Identified, error) {
	return e.s.identifyOrRow(ctx, raw, e.s.tokenMounts(), now)
}

// Principal says who an identified token speaks for now. *Error TokenRevoked and
// its like; Unavailable.
func (e *Engine) Principal(ctx context.Context, id *Identified, raw string, now int64) (*Principal, error) {
	if err := e.s.hearing(ctx, now); err != nil {
		return nil, err
	}
	if id.Kind == token.Application {
		return e.s.applicationPrincipal(ctx, id, raw)
	}
	return e.s.sessionPrincipal(ctx, id, now)
}

// RowPrincipal is the part of Principal that reads the session's row; see
// PerClient.
func (e *Engine) RowPrincipal(ctx context.Context, id *Identified, now int64) (*Principal, error) {
	return e.s.rowPrincipal(ctx, id, now)
}

// Sign makes an access or id token of a session with the keys of the mount. It
// follows the step of the store that says that the session is open, moved or
// current.
func (e *Engine) Sign(m *Mount, spec *TokenSpec, sess *Session, subj *Subject, now int64) (tok string, expires int64, err error) {
	return e.s.sign(m, spec, sess, subj, now)
}

// RefreshToken makes a session's current refresh token, the same bytes whenever
// it is asked for.
func (e *Engine) RefreshToken(m *Mount, sess *Session) (string, error) {
	return e.s.refreshToken(m, sess)
}

// EndToken ends what a token of a session stands for: a refresh token its
// session, an access token itself. ev says who wants it. The caller has seen
// that the session is one of the mount whose key signed the token: a fact names
// both, so that who holds one mount's key ends nothing of another's.
func (e *Engine) EndToken(ctx context.Context, id *Identified, reason string, ev Event, now int64) error {
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil // no session can have it
	}
	ev.Subject, ev.Session, ev.Mount = id.Claims.Subject, id.Claims.SessionID, id.Mount.ID
	if id.Kind == token.Refresh {
		_, err := e.RevokeSessions(ctx, &RevokeSessionsParams{ID: &sid, Mount: id.Mount.ID, Reason: reason, Event: ev})
		return err
	}
	ev.Detail = map[string]string{"jti": id.Claims.ID}
	p := &AddFactParams{Now: now, Event: ev, Fact: Fact{
		Kind: FactToken, Subject: id.Claims.ID, Spare: sid.String(), Reason: reason, At: now, PurgeAt: id.Claims.ExpiresAt*1000 + 3_600_000,
	}}
	e.s.renumber(ctx, p, id, sid, now)
	if _, err = e.s.store.AddFact(ctx, p); err != nil {
		return StoreError(err)
	}
	return e.s.catchUp(ctx)
}

// renumber gives the session of an access token that is being revoked another
// status number: a status list knows sessions, not their single tokens. Other
// access tokens of the session then read as revoked there, and are refreshed.
// When no number can be had, as on a full disk, the session goes on without
// one: what is revoked must not wait for that.
func (s *Service) renumber(ctx context.Context, p *AddFactParams, id *Identified, sid SessionID, now int64) {
	if id.OfMachine() {
		return // it has no session row
	}
	number, err := s.statusNumber(ctx, id.Mount, StatusSessions, now)
	if err != nil {
		s.log.Warn("a session goes on without a place in the status lists", "err", err)
	}
	p.Renumber = &Renumbering{Session: sid, Status: number}
}

// RevokeSessions ends sessions and returns when this node refuses them. Now and
// FactPurgeAt are filled in.
func (e *Engine) RevokeSessions(ctx context.Context, p *RevokeSessionsParams) (int, error) {
	n, err := e.s.revokeSessions(ctx, p)
	e.s.cache.drop()
	return n, err
}

// Applied follows a step of the store that may have ended something, with its
// error. When it returns nil this node refuses what was ended.
func (e *Engine) Applied(ctx context.Context, err error) error {
	e.s.cache.drop()
	if err != nil {
		return StoreError(err)
	}
	return e.s.catchUp(ctx)
}

// FactPurgeAt is when a fact made now may be forgotten; one on a session may be
// sooner, since its row tells of the end as well.
func (e *Engine) FactPurgeAt(kind FactKind, now int64) int64 {
	if kind == FactSession {
		return e.s.sessionFactPurgeAt(now)
	}
	return e.s.factPurgeAt(now)
}

// Note writes to the facts journal what is about to be done to a subject.
func (e *Engine) Note(ctx context.Context, kind NoteKind, subject string, now int64) error {
	return e.s.note(ctx, kind, subject, now)
}

// RaiseLongest takes notice that tokens may live this many milliseconds, and
// says whether none could before. RememberLifetimes keeps it.
func (e *Engine) RaiseLongest(ms int64) bool {
	higher := ms > e.s.longest.Load()
	e.s.raiseLongest(ms)
	return higher
}
