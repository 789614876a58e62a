package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/jose"
	"github.com/sallyport/sallyport/internal/token"
)

// Need is a key set that must be able to sign, and how.
type Need struct {
	Set       core.KeySet
	Algorithm token.Algorithm
}

// System is the actor of what nobody asked for by hand.
const System = "system"

// Ensure makes an active key for every set that has none, and changes the
// algorithm of a set that signs with another public-key algorithm than is
// needed. A shared secret that signs for a set is left alone. Two nodes that
// start at once end with one key: who comes second takes the first one's.
func (k *Keyring) Ensure(ctx context.Context, needs []Need) error {
	k.change.Lock()
	defer k.change.Unlock()
	for _, n := range needs {
		if err := checkNeed(n); err != nil {
			return err
		}
		if err := k.ensure(ctx, n); err != nil {
			return fmt.Errorf("signing key for %s: %w", setName(n.Set), err)
		}
	}
	return nil
}

func checkNeed(n Need) error {
	if !n.Algorithm.Known() {
		return fmt.Errorf("%s: algorithm %q is none of %v", setName(n.Set), n.Algorithm, jose.Algorithms())
	}
	if n.Set.Kind == token.Refresh && !n.Algorithm.Symmetric() {
		// DESIGN: a refresh token is issued again byte for byte; ECDSA would
		// give other bytes, and nobody but us verifies refresh tokens.
		return fmt.Errorf("%s: refresh tokens are signed with HS256, not %s", setName(n.Set), n.Algorithm)
	}
	return nil
}

func (k *Keyring) ensure(ctx context.Context, n Need) error {
	set := k.snap.Load().sets[n.Set]
	if set != nil {
		if err := set.compatible(n); err != nil {
			return err
		}
		switch s := set.signer; {
		case s != nil && s.row.Class == core.SharedKey:
			return nil
		case s != nil && s.row.Algorithm == n.Algorithm:
			return k.dropStrayNext(ctx, n)
		case set.has(core.KeyActive):
			// Another algorithm, or a weak secret whose time is over.
			if _, err := k.rotateTo(ctx, n, System); err != nil {
				return err
			}
			return k.dropStrayNext(ctx, n)
		}
	}
	_, err := k.insertNew(ctx, n, core.KeyActive, System)
	if err != nil && !errors.Is(err, core.ErrExists) {
		return err
	}
	// After ErrExists another node was first: its key is ours.
	return k.reload(ctx)
}

// dropStrayNext drops keys that were published to sign next, in a rotation that
// a change of the algorithm overtook. They never sign; and should the algorithm
// be changed back, one of them would, however old it is.
func (k *Keyring) dropStrayNext(ctx context.Context, n Need) error {
	for _, e := range k.snap.Load().order {
		if e.row.Set == n.Set && e.row.State == core.KeyNext && e.row.Class == core.OwnKey && e.row.Algorithm != n.Algorithm {
			if err := k.move(ctx, e, core.KeyDropped, System); err != nil {
				return err
			}
		}
	}
	return nil
}

// compatible refuses to put an HMAC key beside public keys or the reverse.
func (s *keySet) compatible(n Need) error {
	for _, e := range s.byID {
		if e.key.Algorithm().Symmetric() != n.Algorithm.Symmetric() {
			return fmt.Errorf("the contract asks for %s and the store has the %s key %s; the two never stand in one set. "+
				"Tokens under it end with it: drop it with `sallyport key drop %s`, or keep its algorithm",
				n.Algorithm, e.row.Algorithm, e.row.ID, e.row.ID)
		}
	}
	return nil
}

func (s *keySet) has(state core.KeyState) bool {
	for _, e := range s.byID {
		if e.row.State == state {
			return true
		}
	}
	return false
}

// Rotation says what Rotate did.
type Rotation = core.KeyRotation

// Rotate begins a rotation. A public-key set gets a next key, which is
// published and signs nothing before every verifier that honours max-age has
// it: Tick makes it active when Config.PublishMS have passed. A set whose next
// key waits already is *core.Error{Conflict} until then; after, that key
// becomes active here. HMAC keys are published to nobody but other nodes, so for
// them all happens as soon as those know the new one. The set must exist:
// *core.Error{NotFound}. A shared secret cannot be rotated here, since others
// must get the new one first: *core.Error{Conflict}.
func (k *Keyring) Rotate(ctx context.Context, set core.KeySet, actor string) (*Rotation, error) {
	k.change.Lock()
	defer k.change.Unlock()
	n, err := k.rotatable(set)
	if err != nil {
		return nil, err
	}
	if n.Algorithm.Symmetric() {
		return k.rotateTo(ctx, n, actor)
	}
	if next := k.snap.Load().waiting(n); next != nil {
		if at := k.signsFrom(next); k.cfg.Now() < at {
			return nil, core.Errorf(core.Conflict, "key %s of %s is published already and signs from %s; give --now to let it sign at once", next.row.ID, setName(set), instant(at))
		}
		return k.rotateTo(ctx, n, actor)
	}
	id, err := k.insertNew(ctx, n, core.KeyNext, actor)
	if err != nil {
		return nil, err
	}
	return &Rotation{Published: id, SignsFrom: k.cfg.Now() + k.cfg.PublishMS}, k.reload(ctx)
}

// RotateNow is Rotate without the wait, for when the active key must not sign
// any longer. Verifiers that have fetched the keys before refuse what the new
// one signs until they fetch again; Warning says so.
func (k *Keyring) RotateNow(ctx context.Context, set core.KeySet, actor string) (*Rotation, error) {
	k.change.Lock()
	defer k.change.Unlock()
	n, err := k.rotatable(set)
	if err != nil {
		return nil, err
	}
	warning := k.earlyWarning(n)
	done, err := k.rotateTo(ctx, n, actor)
	if done != nil {
		done.Warning = warning
	}
	return done, err
}

func (k *Keyring) earlyWarning(n Need) string {
	next := k.snap.Load().waiting(n)
	switch {
	case n.Algorithm.Symmetric():
		return ""
	case next == nil:
		return "the new key was never published before: verifiers refuse what it signs until they fetch the keys again"
	case k.fetchedAt(next.row.ID) == 0:
		return "nobody has fetched the keys since " + next.row.ID + " was published: verifiers refuse what it signs until they do"
	case k.cfg.Now() < k.signsFrom(next):
		return "the key was published only at " + instant(next.row.CreatedAt) + ": verifiers that have not fetched the keys since refuse what it signs until they do"
	}
	return ""
}

// rotatable says what a set must be able to do after a rotation.
func (k *Keyring) rotatable(set core.KeySet) (Need, error) {
	s := k.snap.Load().sets[set]
	if s == nil || s.signer == nil {
		return Need{}, core.Errorf(core.NotFound, "there is no active key for %s", setName(set))
	}
	if s.signer.row.Class == core.SharedKey {
		return Need{}, core.Errorf(core.Conflict, "%s are signed with a secret that others hold; import the new secret instead", setName(set))
	}
	return Need{Set: set, Algorithm: s.signer.row.Algorithm}, nil
}

// rotateTo makes a key with the algorithm the signer of the set: the oldest
// that waits, else a new one, when the other nodes know it.
func (k *Keyring) rotateTo(ctx context.Context, n Need, actor string) (*Rotation, error) {
	next, err := k.nextOf(ctx, n, actor)
	if err != nil {
		return nil, err
	}
	if err := k.spread(ctx, next); err != nil {
		return nil, err
	}
	return k.promote(ctx, next, actor)
}

// nextOf is the oldest key of a set that waits, else a new one.
func (k *Keyring) nextOf(ctx context.Context, n Need, actor string) (*entry, error) {
	if next := k.snap.Load().waiting(n); next != nil {
		return next, nil
	}
	if _, err := k.insertNew(ctx, n, core.KeyNext, actor); err != nil {
		return nil, err
	}
	if err := k.reload(ctx); err != nil {
		return nil, err
	}
	next := k.snap.Load().waiting(n)
	if next == nil {
		return nil, core.Errorf(core.Conflict, "the keys of %s changed meanwhile; try again", setName(n.Set))
	}
	return next, nil
}

// spreadMS is how old a key is at least that every node knows for certain.
const spreadMS = 60_000

// spread waits until the other nodes have read a key that is to sign: what it
// signs on this node, a refresh token say, another would call forged meanwhile,
// and an honest client would be logged out. Others may change keys while it
// waits; when another signs by then, nothing was decided about that one.
func (k *Keyring) spread(ctx context.Context, next *entry) error {
	if age := k.cfg.Now() - next.row.CreatedAt; k.cfg.Spread == nil || age >= spreadMS {
		return nil
	}
	before := k.ActiveKey(next.row.Set)
	k.change.Unlock()
	err := k.cfg.Spread(ctx)
	k.change.Lock()
	if err != nil {
		return &core.Error{
			Code: core.Unavailable, Reason: "cut off while other nodes learn of a key", Err: err,
			Message: "The new key does not sign yet: the other nodes were still to learn of it; try again",
		}
	}
	if k.ActiveKey(next.row.Set) != before {
		return core.Errorf(core.Conflict, "the keys of %s were changed meanwhile; look which of them signs before trying again", setName(next.row.Set))
	}
	return nil
}

func (s *snapshot) waiting(n Need) *entry {
	for _, e := range s.order {
		if e.row.Set == n.Set && e.row.State == core.KeyNext && e.row.Algorithm == n.Algorithm && e.row.Class == core.OwnKey {
			return e
		}
	}
	return nil
}

// promote activates next; the store retires the active key in the same step.
func (k *Keyring) promote(ctx context.Context, next *entry, actor string) (*Rotation, error) {
	done := &Rotation{Activated: next.row.ID}
	for _, e := range k.snap.Load().sets[next.row.Set].byID {
		if e.row.State == core.KeyActive {
			done.Retired = e.row.ID
		}
	}
	return done, k.move(ctx, next, core.KeyActive, actor)
}

// Drop ends a key: what it signed is refused from then on, and its private
// part is erased. The active key is not dropped: *core.Error{Conflict}; Replace
// puts another in its place first.
func (k *Keyring) Drop(ctx context.Context, id, actor string) error {
	k.change.Lock()
	defer k.change.Unlock()
	e := k.snap.Load().entries[id]
	if e == nil {
		return core.Errorf(core.NotFound, "there is no signing key %s", id)
	}
	if e.row.State == core.KeyActive {
		return core.Errorf(core.Conflict, "key %s signs now; rotate first, then drop it", id)
	}
	return k.move(ctx, e, core.KeyDropped, actor)
}

// Replace makes a new key sign in place of the active one, at once: the first
// step of an emergency. A next key is passed over and dropped, for whoever got
// at the active one got at that one too. It is *core.Error{Conflict} for a
// secret that others hold: the new one must come from them.
func (k *Keyring) Replace(ctx context.Context, id, actor string) (newID string, err error) {
	k.change.Lock()
	defer k.change.Unlock()
	e := k.snap.Load().entries[id]
	switch {
	case e == nil:
		return "", core.Errorf(core.NotFound, "there is no signing key %s", id)
	case e.row.State != core.KeyActive:
		return "", core.Errorf(core.Conflict, "key %s does not sign now", id)
	case e.row.Class == core.SharedKey:
		return "", core.Errorf(core.Conflict, "others hold the secret %s; import the secret that replaces it, then drop this one", id)
	}
	for _, next := range k.snap.Load().order {
		if next.row.Set == e.row.Set && next.row.State == core.KeyNext {
			if err := k.move(ctx, next, core.KeyDropped, actor); err != nil {
				return "", err
			}
		}
	}
	// At once: whoever has the active key uses it until then. What was opened
	// before is over in any case.
	next, err := k.nextOf(ctx, Need{Set: e.row.Set, Algorithm: e.row.Algorithm}, actor)
	if err != nil {
		return "", err
	}
	done, err := k.promote(ctx, next, actor)
	if err != nil {
		return "", err
	}
	return done.Activated, nil
}

var moveEvents = map[core.KeyState]string{
	core.KeyActive: "key.activate", core.KeyDropped: "key.drop",
}

// move changes the state of a key and reloads.
func (k *Keyring) move(ctx context.Context, e *entry, to core.KeyState, actor string) error {
	err := k.cfg.Rows.ChangeKey(ctx, &core.ChangeKeyParams{
		ID: e.row.ID, From: e.row.State, To: to, Now: k.cfg.Now(), Event: event(moveEvents[to], &e.row, actor),
	})
	if errors.Is(err, core.ErrStale) {
		if rerr := k.reload(ctx); rerr != nil {
			return rerr
		}
		if now := k.snap.Load().entries[e.row.ID]; now != nil && now.row.State == to {
			return nil // another node did the same
		}
		return core.Errorf(core.Conflict, "key %s changed meanwhile; look again and repeat", e.row.ID)
	}
	if err != nil {
		return fmt.Errorf("key %s to %s: %w", e.row.ID, to, err)
	}
	return k.reload(ctx)
}

// insertNew generates a key and stores it sealed. ErrExists as InsertKey.
func (k *Keyring) insertNew(ctx context.Context, n Need, state core.KeyState, actor string) (string, error) {
	row := core.KeyRow{ID: core.NewID(""), Set: n.Set, Class: core.OwnKey, Algorithm: n.Algorithm, State: state}
	key, err := jose.GenerateKey(n.Algorithm, row.ID)
	if err != nil {
		return "", err
	}
	private, err := key.MarshalPrivate()
	if err != nil {
		return "", err
	}
	if pub := key.Public(); pub != nil {
		if row.Public, err = pub.JWK(); err != nil {
			return "", err
		}
	}
	return row.ID, k.insert(ctx, &row, private, actor)
}

func (k *Keyring) insert(ctx context.Context, row *core.KeyRow, private []byte, actor string) error {
	now := k.cfg.Now()
	m := k.master.Load().current
	row.MasterKey, row.CreatedAt = m.id, now
	if row.State == core.KeyActive {
		row.ActivatedAt = now
	}
	var err error
	if row.Sealed, err = k.sealUnder(m, core.SealSigningKey, rowBinding(row), private); err != nil {
		return err
	}
	return k.cfg.Rows.InsertKey(ctx, &core.InsertKeyParams{Key: *row, Now: now, Event: event("key.create", row, actor)})
}

func event(kind string, row *core.KeyRow, actor string) core.Event {
	return core.Event{Kind: kind, Actor: actor, Subject: row.ID, Mount: row.Set.Mount, Detail: map[string]string{
		"token_kind": string(row.Set.Kind), "class": string(row.Class), "algorithm": string(row.Algorithm),
	}}
}
