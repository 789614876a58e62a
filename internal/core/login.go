package core

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/limit"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/internal/token"
)

// Login opens a session for a user name (or e-mail) and password.
//
// Unknown, disabled and locked users and wrong passwords are one refusal with
// equal work: an attempt is reserved in the store, one hash is computed, and
// the answer is BadCredentials. Where admission is refused (hash queue full,
// too many attempts of one network over all names) the answer is TooMany,
// which depends on no name.
func (s *Service) Login(ctx context.Context, r *LoginRequest) (*Granted, error) {
	g, err := s.login(ctx, r)
	s.outcome("login", r.Mount, &r.Client, err)
	return g, err
}

func (s *Service) login(ctx context.Context, r *LoginRequest) (*Granted, error) {
	now := s.now()
	opened, err := s.openByPassword(ctx, r, now)
	if err != nil {
		return nil, err
	}
	return s.issue(r.Mount.as(r.Variant), opened.Session, opened.Subject, now, !r.WithoutRefresh, "")
}

// openByPassword is a login without the tokens.
func (s *Service) openByPassword(ctx context.Context, r *LoginRequest, now int64) (*OpenResult, error) {
	account, err := s.accountFor(ctx, r.Mount, r.Account)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return nil, err
	}
	if account == nil {
		account = &Account{} // an unknown account is an unknown user: same work below
	}
	canon, err := password.CanonicalLoginName(r.Username)
	if err != nil {
		canon = "" // no user can have it; its attempts share one counter
	}
	var user *UserRecord
	if canon != "" { // an unknown account costs the same look-up
		if user, err = s.store.UserByLogin(ctx, account.ID, canon); err != nil && !errors.Is(err, ErrNoRow) {
			return nil, StoreError(err)
		}
	}
	if err := s.canIssue(r.Mount, !r.WithoutRefresh); err != nil {
		return nil, err
	}
	counted := canon
	if user != nil {
		// E-mail and user name lead to one password, so they share a counter;
		// nobody can tell, since the answers are alike.
		counted = user.UsernameCanon
	}
	a := &attempt{s: s, key: s.attemptKeyOf(account.ID, counted), client: &r.Client, now: now, password: r.Password}
	if user != nil {
		a.user = user.ID
	}
	if err := a.admit(ctx); err != nil {
		return nil, err
	}
	if err := a.reserve(ctx); err != nil {
		return nil, err
	}
	ok, upgrade, err := a.verify(ctx, user)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, a.refused(ctx)
	}
	sess := s.newSession(r.Mount.as(r.Variant), &r.Client, now, !r.WithoutRefresh)
	sess.Account, sess.SubjectKind, sess.Subject = user.Account, SubjectUser, user.ID
	sess.Credential, sess.LoginName = credentialOf("password", r.Mount, r.Variant), user.Username
	if sess.Status, err = s.statusNumber(ctx, r.Mount, StatusSessions, now); err != nil {
		return nil, err
	}
	ev := r.Client.Event("login")
	ev.Actor, ev.Account, ev.Subject, ev.Mount = "user:"+user.ID, user.Account, user.ID, r.Mount.ID
	opened, err := s.store.OpenSession(ctx, &OpenSessionParams{
		Session: *sess,
		Gate: Gate{
			SubjectKind: SubjectUser, Subject: user.ID, Version: user.Version,
			Account: user.Account, AccountVersion: user.AccountVersion,
		},
		MaxPerSubject: s.cfg.MaxSessionsPerSubject, FactPurgeAt: s.sessionFactPurgeAt(now),
		Attempt: a.settle(AttemptSucceeded), Now: now, Event: ev,
	})
	if errors.Is(err, ErrStale) {
		// The password, the state or the name changed while the hash ran: what
		// was verified is no longer the credential.
		return nil, refuse(BadCredentials, "changed during login")
	}
	if err != nil {
		return nil, StoreError(err)
	}
	if upgrade {
		s.upgradeHash(ctx, user, r.Password, a.lane())
	}
	return opened, nil
}

// canIssue refuses while a refresh token could not be signed, before anything
// is counted or opened: a session without the token it should have ends early.
func (s *Service) canIssue(m *Mount, withRefresh bool) error {
	if withRefresh && m.Policy.Refresh != nil && s.keys.ActiveKey(KeySet{Mount: m.ID, Kind: token.Refresh}) == "" {
		return &Error{Code: Unavailable, Reason: "no refresh key of " + m.ID, RetryAfter: 1000}
	}
	return nil
}

// newSession starts a session row with the mount's policy.
func (s *Service) newSession(m *Mount, c *Client, now int64, withRefresh bool) *Session {
	p := m.Policy.Rotation
	sess := &Session{
		ID: SessionID{Key: NewSessionKey()}, Mount: m.ID, Issuer: s.issuerNumber,
		CreatedAt: now, LastUsedAt: now, Rotates: p.Rotates, GraceMS: p.GraceMS, IdleMS: p.IdleMS, AbsoluteMS: p.AbsoluteMS,
		Address: addressText(c.Address), UserAgent: clipText(c.UserAgent, 200),
	}
	sess.Moves[0] = now
	sess.RefreshExpires = RefreshExpiry(now, now, &p)
	if withRefresh && m.Policy.Refresh != nil {
		sess.RefreshKey = s.keys.ActiveKey(KeySet{Mount: m.ID, Kind: token.Refresh})
	}
	return sess
}

// clipText cuts s to n bytes, and makes it text that every store takes.
func clipText(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// upgradeHash replaces an old or weak hash by a new one, if it is still the one
// just verified. A password change meanwhile wins; failing costs nothing but
// another try at the next login.
func (s *Service) upgradeHash(ctx context.Context, user *UserRecord, pw string, lane password.Lane) {
	phc, err := s.passwords.Hash(ctx, lane, pw)
	if err != nil {
		return
	}
	if _, err := s.store.UpgradeHash(ctx, &UpgradeHashParams{ID: user.ID, Old: user.PasswordHash, New: phc, Now: s.now()}); err != nil {
		s.log.Warn("a password hash could not be upgraded", "user", user.ID, "err", err)
	}
}

// attempt is one password attempt: reserved before the hash, settled after.
type attempt struct {
	s        *Service
	key      AttemptKey
	user     string
	client   *Client
	now      int64
	password string
	res      *Reservation
	locked   bool
}

func (a *attempt) network() netip.Prefix { return limit.Network(a.client.Address) }

func (a *attempt) lane() password.Lane {
	return password.Lane{Known: a.res.Budget == "known", Network: a.network()}
}

// admit turns strangers away while there is no room for them, before anything
// is written: a flood must cost the store no more than a look. Known pairs of
// name and network pass, since room is kept for them. The look is the same for
// names that nobody has.
func (a *attempt) admit(ctx context.Context) error {
	busy := a.noRoom()
	if busy == nil || a.client.ForwardedByUnlisted {
		return busy
	}
	known, err := a.s.store.KnownNetworks(ctx, a.user)
	if err != nil {
		return StoreError(err)
	}
	network := a.network().String()
	for _, k := range known {
		if k.Network == network && k.LastUsed > a.now-a.s.cfg.KnownNetworkMS {
			return nil
		}
	}
	return busy
}

// noRoom says whether a stranger would be turned away now: the network has
// tried too many names, or the queue for hashing is full.
func (a *attempt) noRoom() error {
	if !a.faceless() {
		if ok, retry := a.s.networks.Peek(a.network(), a.now); !ok {
			return tooManyOfNetwork(retry)
		}
	}
	if err := a.s.passwords.TurnedAway(password.Lane{Network: a.network()}); err != nil {
		return passwordErr(err)
	}
	return nil
}

// faceless reports a client that may be everybody behind a proxy that nobody
// listed: a limit on its network would keep them all out. Once proxies are
// listed, others that send such headers are clients who want to be spared it.
func (a *attempt) faceless() bool {
	return a.client.ForwardedByUnlisted && !a.s.cfg.ProxiesListed
}

func tooManyOfNetwork(retry int64) error {
	return &Error{Code: TooMany, Reason: "network attempts", Message: "Too many attempts; try again later", RetryAfter: retry}
}

// reserve counts the attempt in the store. A refused reservation is not an
// answer: the locked name costs the same hash and gets the same refusal.
func (a *attempt) reserve(ctx context.Context) error {
	p := &ReserveParams{
		Key: a.key, User: a.user, Network: a.network().String(),
		Stranger: a.s.cfg.Stranger, Known: limit.Known(), KnownAfter: a.now - a.s.cfg.KnownNetworkMS, Now: a.now,
	}
	if a.client.ForwardedByUnlisted {
		// Everybody behind an unlisted proxy looks like one network; treating it
		// as the owner's would give strangers the owner's budget.
		p.ForceBudget = "stranger"
	}
	res, err := a.s.store.ReserveAttempt(ctx, p)
	if err != nil {
		return StoreError(err)
	}
	a.res, a.locked = res, !res.Allowed
	if res.Budget == "known" || a.faceless() {
		return nil
	}
	if ok, retry := a.s.networks.Allow(a.network(), a.now); !ok {
		a.unjudged(ctx)
		return tooManyOfNetwork(retry)
	}
	return nil
}

// verify computes one hash, whoever asks, and says whether the password is
// that of a user who may log in.
func (a *attempt) verify(ctx context.Context, user *UserRecord) (ok, upgrade bool, err error) {
	judge := user != nil && user.PasswordHash != "" && !a.locked
	if judge {
		ok, upgrade, err = a.s.passwords.Verify(ctx, a.lane(), user.PasswordHash, a.password)
	} else {
		err = a.s.passwords.Dummy(ctx, a.lane(), a.password)
	}
	switch {
	case errors.Is(err, password.ErrEmpty), errors.Is(err, password.ErrTooLong), errors.Is(err, password.ErrNotText), errors.Is(err, password.ErrUnusable):
		return false, false, nil // no password of anybody's
	case err != nil:
		a.unjudged(context.WithoutCancel(ctx))
		return false, false, passwordErr(err)
	}
	if ok && (user.State != Active || user.AccountState != Active) {
		return false, false, nil
	}
	return ok, upgrade, nil
}

// refused is the one answer to everything that is not a login.
func (a *attempt) refused(ctx context.Context) error {
	reason := "wrong password"
	switch {
	case a.locked:
		reason = "locked"
	case a.user == "":
		reason = "unknown user"
	}
	if !a.locked && a.s.repeats.Seen(a.digest(), a.now) {
		if err := a.s.store.SettleAttempt(ctx, a.settle(AttemptRepeated)); err != nil {
			return StoreError(err)
		}
		reason = "same wrong password again"
	}
	return refuse(BadCredentials, reason)
}

// digest names this name, network and password, for counting a repeated wrong
// password once.
func (a *attempt) digest() (d [32]byte) {
	m := hmac.New(sha256.New, a.s.attemptKey[:])
	m.Write([]byte("repeat"))
	m.Write(a.key[:])
	m.Write([]byte(a.network().String()))
	m.Write([]byte{0})
	m.Write([]byte(a.password))
	m.Sum(d[:0])
	return d
}

func (a *attempt) settle(o Outcome) *SettleParams {
	p := &SettleParams{
		Outcome: o, Key: a.key, User: a.user, Network: a.network().String(), Budget: a.res.Budget,
		Limit: a.s.cfg.Stranger, Learn: o == AttemptSucceeded && !a.client.ForwardedByUnlisted, Now: a.now,
	}
	if a.res.Budget == "known" {
		p.Limit = limit.Known()
	}
	return p
}

// unjudged gives the reservation back: the password was never compared.
func (a *attempt) unjudged(ctx context.Context) {
	if a.locked {
		return
	}
	if err := a.s.store.SettleAttempt(ctx, a.settle(AttemptUnjudged)); err != nil {
		a.s.log.Warn("an attempt could not be given back", "err", err)
	}
}
