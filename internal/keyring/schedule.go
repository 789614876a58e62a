package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

const (
	defaultPublishMS = 24 * 3600 * 1000
	// warnAheadMS is how long before a key begins to sign the operator is told
	// that nobody has fetched it.
	warnAheadMS = 3600 * 1000
	// metaFetched keeps when which key was first fetched.
	metaFetched = "jwks_fetched"
)

// Plan says what Tick does by itself.
type Plan struct {
	// RotateEveryMS is how old the active key of a public-key set gets; 0 is as
	// old as it likes. HMAC sets are never rotated unasked: refresh and
	// application tokens outlive the rotation of what they are exchanged for.
	RotateEveryMS int64
	// KeepMS says how long after a key's last signature something that it
	// signed may live. false: a key of the set is dropped by hand alone.
	KeepMS func(core.KeySet) (int64, bool)
}

// Tick takes every set on that is due: publishes the next key, lets a published
// one sign, drops one under which nothing can live any more. It is called each
// minute, and not while the clock is in doubt: a key that is dropped too early
// is gone, and one that signs too early is unknown to verifiers.
func (k *Keyring) Tick(ctx context.Context, p *Plan) error {
	k.change.Lock()
	defer k.change.Unlock()
	errs := []error{k.reload(ctx)}
	if errs[0] != nil {
		return errs[0]
	}
	now := k.cfg.Now()
	if k.stragglers > 0 {
		if err := k.sweep(ctx); err != nil {
			errs = append(errs, fmt.Errorf("seal what is left under the former master key: %w", err))
		}
	}
	sets := map[core.KeySet]bool{}
	for _, e := range k.snap.Load().order {
		if !sets[e.row.Set] {
			sets[e.row.Set] = true
			if err := k.tickSet(ctx, e.row.Set, p, now); err != nil {
				errs = append(errs, fmt.Errorf("keys of %s: %w", setName(e.row.Set), err))
			}
		}
	}
	return errors.Join(append(errs, k.rememberFetches(ctx, now))...)
}

func (k *Keyring) tickSet(ctx context.Context, set core.KeySet, p *Plan, now int64) error {
	s := k.snap.Load().sets[set]
	if active := s.signer; active != nil && active.row.Class == core.OwnKey && !active.row.Algorithm.Symmetric() {
		n := Need{Set: set, Algorithm: active.row.Algorithm}
		switch next := k.snap.Load().waiting(n); {
		case next != nil:
			if err := k.tickNext(ctx, next, now); err != nil {
				return err
			}
		case p.RotateEveryMS > 0 && now >= active.row.ActivatedAt+p.RotateEveryMS-k.cfg.PublishMS:
			id, err := k.insertNew(ctx, n, core.KeyNext, System)
			if err != nil {
				return err
			}
			k.cfg.Logger.Info("a signing key is published and signs later", "key", id, "set", setName(set), "signs_from", instant(now+k.cfg.PublishMS))
			if err := k.reload(ctx); err != nil {
				return err
			}
		}
	}
	return k.tickRetired(ctx, set, p, now)
}

// tickNext lets a published key sign when its time has come.
func (k *Keyring) tickNext(ctx context.Context, next *entry, now int64) error {
	due := k.signsFrom(next)
	if k.fetchedAt(next.row.ID) == 0 && now >= due-warnAheadMS && k.known.warn(next.row.ID) {
		k.cfg.Logger.Warn("nobody has fetched the JWK Set since this key was published; if anybody verifies tokens by it, they refuse what the key signs until they do",
			"key", next.row.ID, "set", setName(next.row.Set), "signs_from", instant(due))
	}
	if now < due {
		return nil
	}
	done, err := k.promote(ctx, next, System)
	if err == nil {
		k.cfg.Logger.Info("a signing key was rotated", "set", setName(next.row.Set), "signs", done.Activated, "retired", done.Retired)
	}
	return err
}

// tickRetired drops our own keys under which nothing can live any more.
func (k *Keyring) tickRetired(ctx context.Context, set core.KeySet, p *Plan, now int64) error {
	if p.KeepMS == nil {
		return nil
	}
	keep, drops := p.KeepMS(set)
	if !drops {
		return nil
	}
	for _, e := range k.snap.Load().sets[set].byID {
		if e.row.State != core.KeyVerifyOnly || e.row.Class != core.OwnKey || now < e.row.RetiredAt+keep {
			continue
		}
		if err := k.move(ctx, e, core.KeyDropped, System); err != nil {
			return err
		}
		k.cfg.Logger.Info("a signing key was dropped: nothing that it signed can still be valid", "key", e.row.ID, "set", setName(set))
	}
	return nil
}

// signsFrom is when a next key may sign.
func (k *Keyring) signsFrom(e *entry) int64 {
	if e.row.Algorithm.Symmetric() {
		return e.row.CreatedAt
	}
	return e.row.CreatedAt + k.cfg.PublishMS
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// fetches remembers which keys somebody has fetched, and which were warned of.
type fetches struct {
	mu      sync.Mutex
	at      map[string]int64 // kid -> when first
	etag    string           // the set fetched last: most fetches change nothing
	changed bool
	warned  map[string]bool
}

// warn is true the first time.
func (f *fetches) warn(kid string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.warned == nil {
		f.warned = map[string]bool{}
	}
	first := !f.warned[kid]
	f.warned[kid] = true
	return first
}

// Served returns the JWK Set and its entity tag, and notes that somebody got
// it: the keys in it are known from now on.
func (k *Keyring) Served() (doc []byte, etag string) {
	s := k.snap.Load()
	k.known.mu.Lock()
	defer k.known.mu.Unlock()
	if k.known.etag == s.etag {
		return s.jwks, s.etag
	}
	k.known.etag = s.etag
	for _, e := range s.order {
		if e.row.Public != nil && k.known.at[e.row.ID] == 0 {
			k.known.at[e.row.ID], k.known.changed = k.cfg.Now(), true
		}
	}
	return s.jwks, s.etag
}

func (k *Keyring) fetchedAt(kid string) int64 {
	k.known.mu.Lock()
	defer k.known.mu.Unlock()
	return k.known.at[kid]
}

// recallFetches reads what an earlier process noted.
func (k *Keyring) recallFetches(ctx context.Context) error {
	k.known.at = map[string]int64{}
	text, err := k.cfg.Meta.MetaGet(ctx, metaFetched)
	if errors.Is(err, core.ErrNoRow) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which keys were fetched: %w", err)
	}
	if err := json.Unmarshal([]byte(text), &k.known.at); err != nil || k.known.at == nil {
		k.known.at = map[string]int64{} // it only avoids a needless warning
	}
	return nil
}

// rememberFetches writes it down, without the keys that are gone.
func (k *Keyring) rememberFetches(ctx context.Context, now int64) error {
	k.known.mu.Lock()
	if !k.known.changed {
		k.known.mu.Unlock()
		return nil
	}
	live := k.snap.Load().entries
	for kid := range k.known.at {
		if live[kid] == nil {
			delete(k.known.at, kid)
		}
	}
	text, err := json.Marshal(k.known.at)
	k.known.changed = false
	k.known.mu.Unlock()
	if err != nil {
		return err
	}
	return k.cfg.Meta.MetaSet(ctx, &core.MetaSetParams{Name: metaFetched, Value: string(text), Now: now})
}
