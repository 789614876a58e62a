package core

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/limit"
	"github.com/sallyport/sallyport/internal/password"
)

// Config is what a Service stands on. Store, Keys, Passwords, Issuer and Now
// are needed; the rest has good zero values.
type Config struct {
	Store     Store
	Keys      Keys
	Passwords *password.Hasher
	Policy    password.Policy
	// Issuer is the iss of new tokens. It is recorded at first start; former
	// ones stay valid for tokens issued under them.
	Issuer string
	// Now gives Unix milliseconds. It is read once a call.
	Now func() int64
	// Monotonic gives milliseconds of a clock that cannot be set; nil turns
	// the clock guard's comparison off (tests that move Now at will).
	Monotonic func() int64

	MaxSessionsPerSubject int   // 0 = 200
	MaxTokensPerUser      int   // application tokens; 0 = 10
	MaxStalenessMS        int64 // 0 = 5,000: how long revocation may go unheard before answering 503
	// Stranger is the budget of a login name for networks it is not known
	// from, and KnownNetworkMS how long a network counts as known after a
	// login; zero values are limit.Strangers and limit.KnownFor.
	Stranger       limit.Policy
	KnownNetworkMS int64
	// ProxiesListed says that the proxies before the server are known: the
	// limit per network then holds for everybody else, whatever headers he sends.
	ProxiesListed bool
	// AuditKeepMS is how long audit records are kept; 0 = for ever.
	AuditKeepMS int64

	// Journal keeps facts outside the store; nil = nowhere.
	Journal Journal

	Observer Observer
	Log      *slog.Logger
}

// Service holds every rule. Its methods are safe for concurrent use.
type Service struct {
	store     Store
	keys      Keys
	passwords *password.Hasher
	policy    password.Policy
	now       func() int64
	observer  Observer
	log       *slog.Logger
	cfg       Config

	issuer       string
	issuerNumber int64
	issuers      []string // by number, from 1 at index 0

	attemptKey [32]byte
	networks   *limit.Networks
	repeats    *limit.Repeats

	mounts  sync.Map     // id -> *mountRules
	longest atomic.Int64 // longest lifetime of any token of any mount, ms
	// longest lifetime of any access token of any mount, ms
	longestAccess atomic.Int64
	revoked       *revocations
	incarnation   string
	statuses      map[StatusSpace]*statusPool
	follower      chan struct{} // room for the one that reads the log of facts
	recent        recentFacts   // its own
	lostMu        sync.Mutex
	lost          []Fact      // facts to be added again
	marks         atomic.Bool // the store is marked as restored
	cache         *principalCache
	journaling    journaling
	marked        JournalMark // the last one written; Run's own
	touches       touches
	refusals      tally
	grants        tally
	clock         clockGuard
}

// New makes a Service and fills its memory of revocations from the committed
// log, so that nothing revoked is accepted by a server that has just started.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxSessionsPerSubject == 0 {
		cfg.MaxSessionsPerSubject = 200
	}
	if cfg.MaxTokensPerUser == 0 {
		cfg.MaxTokensPerUser = 10
	}
	if cfg.MaxStalenessMS == 0 {
		cfg.MaxStalenessMS = 5_000
	}
	if cfg.Stranger == (limit.Policy{}) {
		cfg.Stranger = limit.Strangers()
	}
	if cfg.KnownNetworkMS == 0 {
		cfg.KnownNetworkMS = limit.KnownFor
	}
	s := &Service{
		store: cfg.Store, keys: cfg.Keys, passwords: cfg.Passwords, policy: cfg.Policy,
		now: cfg.Now, observer: cfg.Observer, log: cfg.Log, cfg: cfg,
		issuer:     cfg.Issuer,
		attemptKey: cfg.Keys.Derive("login attempts"),
		networks:   limit.NewNetworks(limit.NetworksConfig{}),
		repeats:    limit.NewRepeats(0, 0),
		revoked:    newRevocations(),
		follower:   make(chan struct{}, 1),
		journaling: journaling{writer: make(chan struct{}, 1)},
		cache:      newPrincipalCache(),
	}
	now := s.now()
	n, err := s.store.AddIssuer(ctx, cfg.Issuer, now)
	if err != nil {
		return nil, fmt.Errorf("recording the issuer: %w", err)
	}
	if s.issuers, err = s.store.Issuers(ctx); err != nil {
		return nil, fmt.Errorf("reading the issuers: %w", err)
	}
	s.issuerNumber = n
	if err := s.openStatuses(ctx); err != nil {
		return nil, err
	}
	if err := s.ensureDefaultAccount(ctx, now); err != nil {
		return nil, err
	}
	if err := s.follow(ctx); err != nil {
		return nil, fmt.Errorf("reading the revocations: %w", err)
	}
	// What a crash left unwritten. A disk that is full is no reason not to
	// verify tokens; Run tries again.
	_ = s.settle(ctx)
	if err := s.recallLifetimes(ctx); err != nil {
		return nil, err
	}
	samples, err := s.store.HashSamples(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the formats of password hashes: %w", err)
	}
	for _, phc := range samples {
		if err := s.passwords.Observe(phc); err != nil {
			s.log.Warn("a stored password hash cannot be used", "err", err)
		}
	}
	return s, s.startClockGuard(ctx, now)
}

func (s *Service) ensureDefaultAccount(ctx context.Context, now int64) error {
	_, err := s.store.CreateAccount(ctx, &CreateAccountParams{
		Account: Account{ID: "ac_default", Shortname: DefaultAccount, State: Active, Version: 1, CreatedAt: now},
		Now:     now,
	})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("creating the default account: %w", err)
	}
	return nil
}

// Issuer is the iss of tokens issued now.
func (s *Service) Issuer() string { return s.issuer }

// StoreError makes an error of the store one that an edge can answer: what the
// store documents passes, the rest is Unavailable. A store that does not answer
// is never "invalid token".
func StoreError(err error) error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return err
	case errors.Is(err, ErrNoRow), errors.Is(err, ErrExists), errors.Is(err, ErrStale):
		return err
	}
	return &Error{Code: Unavailable, Reason: "store", RetryAfter: 1000, Err: err}
}

// attemptKeyOf names the counters of a login name; see AttemptKey.
func (s *Service) attemptKeyOf(account, canonical string) (k AttemptKey) {
	h := sha256.New()
	h.Write(s.attemptKey[:])
	var n [4]byte
	for _, part := range []string{account, canonical} {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	copy(k[:], h.Sum(nil))
	return k
}

// accountFor finds the account a request on a mount is about.
func (s *Service) accountFor(ctx context.Context, m *Mount, asked string) (*Account, error) {
	name := m.Account
	if name == AnyAccount {
		if name = asked; name == "" {
			name = DefaultAccount
		}
	}
	a, err := s.store.AccountByShortname(ctx, name)
	if err != nil {
		return nil, StoreError(err)
	}
	return a, nil
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// Event starts an audit event about what a client did.
func (c *Client) Event(kind string) Event {
	return Event{Kind: kind, Address: addressText(c.Address), RequestID: c.RequestID}
}

// factPurgeAt is when a fact made now may be forgotten: when every token that
// exists now has expired, with an hour to spare for clocks.
func (s *Service) factPurgeAt(now int64) int64 {
	return now + s.longest.Load() + 3_600_000
}

// sessionFactPurgeAt is the same for a fact on one session. The row says too
// that the session has ended, and a refresh asks the row, so the fact is for
// access tokens alone: what logouts leave in memory goes within a day or so.
func (s *Service) sessionFactPurgeAt(now int64) int64 {
	return now + s.longestAccess.Load() + 3_600_000
}
