// Package storetest is the suite that every core.Store passes: the contract of
// each method with its errors, the refresh rule compared with the store's own
// SQL on generated rows, races, cancelled callers, reopening, purging under
// load, survival of SIGKILL, and a disk that fills.
//
// A store's test calls Run with a function that prepares an empty place and
// gives back a function that opens it, and with ways to harm it. The suite
// opens it, closes it, and opens it again. No case is ever skipped: a store that cannot pass one is not
// a store.
//
// Times are plain integers chosen by the cases; nothing sleeps, but who waits
// for a store to find that its disk has room again.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"os/exec"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// Open opens the store of one place; after Close it may be called again.
type Open func(t *testing.T) core.Store

// Fresh prepares an empty place.
type Fresh func(t *testing.T) Open

// Harm is what a store's test can do to it from outside. All of it is needed.
type Harm struct {
	// Kill prepares an empty place, and gives a command besides whose process
	// opens its store and works on it by Load. The case kills the process.
	Kill func(t *testing.T) (Open, func() *exec.Cmd)
	// Full prepares an empty place for a store with a ballast, and gives a
	// function besides that leaves it no room to write until free is called. A
	// stand-in, where no disk can be filled, has no ballast.
	Full func(t *testing.T) (open Open, fill func(core.Store) (free func()))
}

// Run runs the whole suite.
func Run(t *testing.T, fresh Fresh, harm Harm) {
	run(t, fresh, nil)
	t.Run("killed process", func(t *testing.T) { killed(t, harm) })
	t.Run("disk full", func(t *testing.T) { diskFull(t, harm) })
}

// Only runs cases of the suite by name, for a way of using a store that makes
// no difference to the others.
func Only(t *testing.T, fresh Fresh, names ...string) {
	if len(names) == 0 {
		t.Fatal("no case is named")
	}
	run(t, fresh, names)
}

func run(t *testing.T, fresh Fresh, names []string) {
	known := map[string]bool{}
	for _, c := range []struct {
		name string
		run  func(*env)
	}{
		{"accounts", accounts},
		{"account disabled", accountDisabled},
		{"users", users},
		{"login names", loginNames},
		{"change user", changeUser},
		{"password reset", passwordReset},
		{"compromise", compromise},
		{"delete user", deleteUser},
		{"hashes", hashes},
		{"open session", openSession},
		{"session gate", sessionGate},
		{"session cap", sessionCap},
		{"list and touch sessions", listSessions},
		{"revoke sessions", revokeSessions},
		{"refresh", refresh},
		{"refresh against the rule", refreshAgainstRule},
		{"application tokens", applicationTokens},
		{"minting gate", mintingGate},
		{"facts on application tokens", tokenFacts},
		{"status numbers", statusNumbers},
		{"status of sessions", statusOfSessions},
		{"status of application tokens", statusOfTokens},
		{"api keys", apiKeys},
		{"exchange", exchange},
		{"clients", clients},
		{"client ended", clientEnds},
		{"machines", machines},
		{"assertions", assertions},
		{"consents", consents},
		{"codes", codes},
		{"code gate", codeGate},
		{"grants end", grantsEnd},
		{"grants move", grantsMove},
		{"facts", facts},
		{"facts skipped", skipFacts},
		{"reasons of facts", factReasons},
		{"attempts", attempts},
		{"attempts against the rule", attemptsAgainstRule},
		{"known networks", knownNetworks},
		{"audit", audit},
		{"audit of refused steps", auditRefused},
		{"audit purged", auditPurge},
		{"signing keys", signingKeys},
		{"change of the master key", rewrap},
		{"meta", meta},
		{"purge", purge},
		{"purge under load", purgeUnderLoad},
		{"reopen", reopen},
		{"dump", dumpAndLoad},
		{"dump under load", dumpUnderLoad},
		{"loading cut off", loadCutOff},
		{"loading again", loadAgain},
		{"changes", changes},
		{"stats and ping", stats},
		{"closed", closed},
		{"cancelled before", cancelledBefore},
		{"cancelled while waiting", cancelledWaiting},
		{"race: one refresh token", raceRefresh},
		{"race: one name", raceName},
		{"race: minting", raceMint},
		{"race: sessions", raceSessions},
		{"race: attempts", raceAttempts},
		{"race: status numbers", raceStatus},
		{"race: one request token", raceExchange},
		{"race: one code", raceCode},
		{"race: one assertion", raceAssertion},
		{"race: first key", raceKey},
		{"race: refresh and revoke", raceRevoke},
		{"race: refresh and everything", raceEverything},
		{"clock jumps", clockJumps},
	} {
		known[c.name] = true
		if names != nil && !slices.Contains(names, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			e := &env{T: t, ctx: t.Context(), fresh: fresh, open: open, Store: open(t)}
			t.Cleanup(func() {
				if err := e.Store.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			c.run(e)
		})
	}
	for _, name := range names {
		if !known[name] {
			t.Errorf("there is no case %q", name)
		}
	}
}

// now is when the cases happen, unless they say otherwise.
const now int64 = 1_800_000_000_000

const (
	minute int64 = 60_000
	day          = 24 * 60 * minute
)

const home = "ac_default" // every store has the default account

// env is one case: the test, the store under test, and makers of rows.
type env struct {
	*testing.T
	core.Store
	ctx   context.Context
	fresh Fresh
	open  Open
}

// again closes and opens the store.
func (e *env) again() {
	e.Helper()
	e.ok(e.Store.Close())
	e.Store = e.open(e.T)
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("unexpected error: %v", err)
	}
}

func (e *env) is(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("error %v, want %v", err, want)
	}
}

func equal[T any](e *env, what string, got, want T) {
	e.Helper()
	if !reflect.DeepEqual(got, want) {
		e.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// at runs f in n goroutines at once and waits.
func at(n int, f func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	done.Wait()
}

func event(kind string) core.Event {
	return core.Event{Kind: kind, Actor: "operator:0", Account: home, Address: "192.0.2.1", RequestID: "r1", Detail: map[string]string{"k": "v"}}
}

// newUser gives a user that is not stored yet.
func newUser(name string, typ core.UserType) core.User {
	return core.User{
		ID: core.NewUUID(), Account: home, Type: typ, State: core.Active, Username: name, UsernameCanon: name,
		Roles: []string{"reader", "writer"}, Attributes: []byte(`{"a":1}`), PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		Version: 1, CreatedAt: now, UpdatedAt: now, PasswordAt: now,
	}
}

func (e *env) create(u core.User) *core.User {
	e.Helper()
	got, err := e.CreateUser(e.ctx, &core.CreateUserParams{User: u, Now: now, Event: event("user.create")})
	e.ok(err)
	return got
}

func (e *env) user(name string) *core.User { return e.create(newUser(name, core.TypeUser)) }

func (e *env) userNow(id string) *core.UserRecord {
	e.Helper()
	u, err := e.UserByID(e.ctx, id)
	e.ok(err)
	return u
}

var rotating = core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: 30 * day, AbsoluteMS: 90 * day}

// opening gives the parameters of a login of u.
func opening(u *core.User) *core.OpenSessionParams {
	return &core.OpenSessionParams{
		Session: core.Session{
			ID: core.SessionID{Key: core.NewSessionKey()}, Mount: "m1", Account: u.Account, SubjectKind: core.SubjectUser, Subject: u.ID,
			Credential: "password", LoginName: u.Username, Issuer: 1, Moves: [core.MovesKept]int64{now}, RefreshKey: "k1",
			RefreshExpires: core.RefreshExpiry(now, now, &rotating), CreatedAt: now, LastUsedAt: now,
			Rotates: true, GraceMS: rotating.GraceMS, IdleMS: rotating.IdleMS, AbsoluteMS: rotating.AbsoluteMS,
			Address: "192.0.2.7", UserAgent: "suite/1",
		},
		Gate:        core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: u.Version, Account: u.Account, AccountVersion: 1},
		FactPurgeAt: now + day,
		Now:         now,
		Event:       event("login"),
	}
}

func (e *env) login(u *core.User) *core.Session {
	e.Helper()
	res, err := e.OpenSession(e.ctx, opening(u))
	e.ok(err)
	return res.Session
}

// presenting gives the parameters of a refresh.
func presenting(s *core.Session, generation, at int64) *core.RefreshParams {
	return &core.RefreshParams{
		ID: s.ID, Mount: s.Mount, Presented: generation, PresentedAt: s.CreatedAt, Policy: rotating, RefreshKey: "k2",
		FactPurgeAt: at + day, Now: at, ReuseEvent: event("refresh.reuse"), BehindEvent: event("refresh.behind"),
	}
}

func (e *env) refreshed(p *core.RefreshParams) *core.RefreshResult {
	e.Helper()
	res, err := e.RefreshSession(e.ctx, p)
	e.ok(err)
	return res
}

func (e *env) sessionNow(id core.SessionID) *core.Session {
	e.Helper()
	s, _, err := e.SessionByID(e.ctx, id)
	e.ok(err)
	return s
}

func (e *env) factsSince(n int64) []core.Fact {
	e.Helper()
	facts, _, err := e.FactsSince(e.ctx, n, 0)
	e.ok(err)
	return facts
}

func (e *env) lastFact() int64 {
	e.Helper()
	_, last, err := e.FactsSince(e.ctx, 0, 1)
	e.ok(err)
	return last
}

// audited lists the kinds of the audit records after a sequence.
func (e *env) audited(after int64) []string {
	e.Helper()
	records, err := e.ListAudit(e.ctx, core.AuditQuery{After: after, Limit: 1000})
	e.ok(err)
	kinds := []string{}
	for _, r := range records {
		kinds = append(kinds, r.Event.Kind)
	}
	return kinds
}

func (e *env) lastAudit() int64 {
	e.Helper()
	records, err := e.ListAudit(e.ctx, core.AuditQuery{Newest: true, Limit: 1})
	e.ok(err)
	if len(records) == 0 {
		return 0
	}
	return records[0].Sequence
}

// minting gives the parameters of an application token of u, minted in s.
func minting(u *core.User, s *core.Session) *core.MintParams {
	id := core.NewUUID()
	return &core.MintParams{
		Token: core.ApplicationToken{
			ID: id, Hash: sha256.Sum256([]byte(id)), User: u.ID, Account: u.Account, Mount: s.Mount, Session: s.ID.String(),
			Label: "scanner", Networks: []string{"192.0.2.0/24"}, Scopes: []string{"reader"}, CreatedAt: now, CreatedBy: "192.0.2.7",
		},
		Session:    s.ID,
		Gate:       core.Gate{SubjectKind: core.SubjectUser, Subject: u.ID, Version: u.Version, Account: u.Account, AccountVersion: 1},
		MaxPerUser: 10,
		Now:        now,
		Event:      event("apptoken.mint"),
	}
}

func (e *env) minted(p *core.MintParams) core.MintVerdict {
	e.Helper()
	v, err := e.MintApplicationToken(e.ctx, p)
	e.ok(err)
	return v
}

// newKey gives an API key that is not stored yet.
func newKey(name string) core.APIKey {
	return core.APIKey{
		ID: core.NewID("key_"), Account: home, AppName: name, AppKey: core.NewID(""), Description: "d", Roles: []string{"reader"},
		State: core.Active, Version: 1, Secrets: []core.APISecret{{Number: 1, Sealed: []byte("sealed"), CreatedAt: now}},
		CreatedAt: now, UpdatedAt: now,
	}
}

func (e *env) key(name string) *core.APIKey {
	e.Helper()
	k, err := e.CreateAPIKey(e.ctx, &core.CreateAPIKeyParams{Key: newKey(name), Now: now, Event: event("apikey.create")})
	e.ok(err)
	return k
}

// exchanging gives the parameters of a request token's first arrival.
func exchanging(k *core.APIKey, tok string) *core.ExchangeParams {
	open := opening(&core.User{ID: k.ID, Account: k.Account, Version: k.Version, Username: k.AppName})
	open.Session.SubjectKind, open.Session.Credential = core.SubjectAPIKey, "request_token"
	open.Gate.SubjectKind = core.SubjectAPIKey
	return &core.ExchangeParams{
		TokenHash: sha256.Sum256([]byte(tok)), Address: "192.0.2.9", RememberUntil: now + 10*minute,
		Open: *open, ReplayEvent: event("request_token.replay"),
	}
}

func ptr[T any](v T) *T { return &v }
