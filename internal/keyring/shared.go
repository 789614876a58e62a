package keyring

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/jose"
	"github.com/sallyport/sallyport/internal/token"
)

// ImportOptions belong to ImportShared.
type ImportOptions struct {
	// WeakUntil lets a secret shorter than 32 bytes in until then (Unix
	// milliseconds). 0 lets none in.
	WeakUntil int64
	Actor     string // "" = System
}

// ImportShared brings an HS256 secret that others hold, such as the vendor's
// existing verifiers, and lets it sign the set from now on. It takes access
// and application tokens alone: whoever holds the secret could mint what else
// it signs. The keys that signed before verify on. Importing the secret that
// signs already changes nothing; it returns that key's id.
//
// Refused with *core.Error{FieldInvalid}: a secret of fewer than 32 bytes
// without WeakUntil in the future, and one that is public (see known.go) unless
// it signs already.
func (k *Keyring) ImportShared(ctx context.Context, set core.KeySet, secret []byte, o ImportOptions) (string, error) {
	if o.Actor == "" {
		o.Actor = System
	}
	if set.Kind != token.Access && set.Kind != token.Application {
		return "", core.Errorf(core.FieldInvalid, "a shared secret signs access and application tokens alone, not %s tokens", set.Kind)
	}
	now := k.cfg.Now()
	why := knownReason(secret)
	if why != "" && k.signsAlready(set, secret) {
		// An earlier version took it. Ending every session of the mount would
		// not make it less public; its owner is told, at each start.
		k.cfg.Logger.Error("a shared secret is public and lets anybody sign tokens; give its verifiers a new one and import that",
			"set", setName(set), "why", why)
		why = ""
	}
	if why != "" {
		return "", core.Errorf(core.FieldInvalid, "this secret is public: %s. Whoever tries it can sign tokens for everybody; "+
			"give the verifiers a new one (openssl rand -base64 48) and import that", why)
	}
	if err := checkShared(secret, &o, now); err != nil {
		return "", err
	}
	k.change.Lock()
	defer k.change.Unlock()
	if s := k.snap.Load().sets[set]; s != nil {
		if err := s.compatible(Need{Set: set, Algorithm: token.HS256}); err != nil {
			return "", core.Errorf(core.Conflict, "%s", err)
		}
	}
	e, err := k.sharedEntry(ctx, set, secret, &o)
	if err != nil {
		return "", err
	}
	if e.row.State != core.KeyActive {
		if err := k.spread(ctx, e); err != nil {
			return "", err
		}
		if _, err := k.promote(ctx, e, o.Actor); err != nil {
			return "", err
		}
	}
	k.warnWeak()
	return e.row.ID, nil
}

func checkShared(secret []byte, o *ImportOptions, now int64) error {
	if len(secret) >= jose.MinSecret {
		o.WeakUntil = 0
		return nil
	}
	switch {
	case len(secret) == 0:
		return core.Errorf(core.FieldInvalid, "the secret is empty")
	case o.WeakUntil == 0:
		return core.Errorf(core.FieldInvalid, "the secret has %d bytes and must have at least %d; if its verifiers cannot "+
			"change at once, allow it for a time with --weak-until DATE", len(secret), jose.MinSecret)
	case o.WeakUntil <= now:
		return core.Errorf(core.FieldInvalid, "the secret has %d bytes, and the time it was allowed for is over (%s)", len(secret), day(o.WeakUntil))
	}
	return nil
}

// signsAlready reports that the secret is the one that signs a set.
func (k *Keyring) signsAlready(set core.KeySet, secret []byte) bool {
	s := k.snap.Load().sets[set]
	if s == nil {
		return false
	}
	for _, e := range s.byID {
		if e.row.Class == core.SharedKey && e.row.State == core.KeyActive && e.holds(secret) {
			return true
		}
	}
	return false
}

// sharedEntry finds the secret among the set's keys or stores it as next.
func (k *Keyring) sharedEntry(ctx context.Context, set core.KeySet, secret []byte, o *ImportOptions) (*entry, error) {
	find := func(match func(*entry) bool) *entry {
		if s := k.snap.Load().sets[set]; s != nil {
			for _, e := range s.byID {
				if e.row.Class == core.SharedKey && match(e) {
					return e
				}
			}
		}
		return nil
	}
	if e := find(func(e *entry) bool {
		return e.weakUntil == o.WeakUntil && e.holds(secret) && e.row.State != core.KeyVerifyOnly
	}); e != nil {
		return e, nil
	}
	row := core.KeyRow{ID: core.NewID(""), Set: set, Class: core.SharedKey, Algorithm: token.HS256, State: core.KeyNext}
	if err := k.insert(ctx, &row, joinShared(o.WeakUntil, secret), o.Actor); err != nil {
		return nil, fmt.Errorf("store the shared secret: %w", err)
	}
	if err := k.reload(ctx); err != nil {
		return nil, err
	}
	if e := find(func(e *entry) bool { return e.row.ID == row.ID }); e != nil {
		return e, nil
	}
	return nil, core.Errorf(core.Conflict, "the keys of %s changed meanwhile; try again", setName(set))
}

// holds compares secrets in constant time, by what both sign.
func (e *entry) holds(secret []byte) bool {
	other, err := jose.NewWeakHMAC(e.row.ID, secret)
	if err != nil {
		return false
	}
	a, errA := e.key.MarshalPrivate()
	b, errB := other.MarshalPrivate()
	return errA == nil && errB == nil && constantEqual(a, b)
}

// What is sealed for a shared secret is its end date (8 bytes, Unix
// milliseconds, 0 for none) and the secret: the date cannot be prolonged by
// writing to the store.
func joinShared(weakUntil int64, secret []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(weakUntil)) // #nosec G115 -- a date, not negative
	return append(b, secret...)
}

func splitShared(plain []byte) (weakUntil int64, secret []byte, err error) {
	if len(plain) < 9 {
		return 0, nil, errors.New("too short for a shared secret")
	}
	return int64(binary.BigEndian.Uint64(plain)), bytes.Clone(plain[8:]), nil // #nosec G115 -- written by joinShared
}

// warnWeak tells the operator at each start which secrets are too short.
func (k *Keyring) warnWeak() {
	now := k.cfg.Now()
	for _, e := range k.snap.Load().order {
		switch {
		case e.weakUntil == 0:
		case now >= e.weakUntil:
			k.cfg.Logger.Error("a shared secret of fewer than 32 bytes is past its date and neither signs nor verifies; import a longer one",
				"key", e.row.ID, "set", setName(e.row.Set), "weak_until", day(e.weakUntil))
		default:
			k.cfg.Logger.Warn("a shared secret has fewer than 32 bytes and can be guessed; replace it before its date",
				"key", e.row.ID, "set", setName(e.row.Set), "weak_until", day(e.weakUntil))
		}
	}
}

func day(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.DateOnly) }
