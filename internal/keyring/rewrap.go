package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// masters is the master key in force and those before it, the first one first.
// It never changes.
type masters struct {
	current *Master
	former  []*Master
	sealers map[sealerOf]*sealer
}

type sealerOf struct {
	master  string
	purpose core.SealPurpose
}

func newMasters(current *Master, former []*Master) (*masters, error) {
	m := &masters{current: current, former: former, sealers: map[sealerOf]*sealer{}}
	for _, one := range append([]*Master{current}, former...) {
		for _, purpose := range []core.SealPurpose{core.SealSigningKey, core.SealAPISecret} {
			s, err := one.sealer(purpose)
			if err != nil {
				return nil, err
			}
			m.sealers[sealerOf{one.id, purpose}] = s
		}
	}
	return m, nil
}

// sealer is made before it is needed, but for purposes beyond the usual ones.
func (m *masters) sealer(under *Master, purpose core.SealPurpose) (*sealer, error) {
	if s := m.sealers[sealerOf{under.id, purpose}]; s != nil {
		return s, nil
	}
	return under.sealer(purpose)
}

// of is the master key that a value says it was sealed under; the one in force
// for a name that is not known, so that it fails to open and is told of.
func (m *masters) of(sealed []byte) *Master {
	if len(sealed) >= sealHeadSize {
		for _, one := range m.former {
			if bytes.Equal(one.rawID[:], sealed[1:sealHeadSize]) {
				return one
			}
		}
	}
	return m.current
}

// root is what Derive derives from: the first master key of the store, so that
// a change ends neither counted attempts nor the MACs in tokens.
func (m *masters) root() *Master {
	if len(m.former) > 0 {
		return m.former[0]
	}
	return m.current
}

const formerBinding = "meta/" + core.MetaMasterFormer

// recallFormer reads the former master keys.
func (k *Keyring) recallFormer(ctx context.Context) error {
	text, err := k.cfg.Meta.MetaGet(ctx, core.MetaMasterFormer)
	if errors.Is(err, core.ErrNoRow) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the former master keys: %w", err)
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("the store's former master keys are not base64: %w", err)
	}
	plain, err := k.Open(core.SealMasterKey, formerBinding, sealed)
	if err != nil {
		return err
	}
	if len(plain)%masterSize != 0 {
		return errors.New("the store's former master keys are cut off")
	}
	var former []*Master
	for ; len(plain) > 0; plain = plain[masterSize:] {
		one, err := newMaster([masterSize]byte(plain))
		if err != nil {
			return fmt.Errorf("a former master key of the store: %w", err)
		}
		former = append(former, one)
	}
	m, err := newMasters(k.cfg.Master, former)
	if err != nil {
		return err
	}
	k.master.Store(m)
	k.stragglers = 1 // the process that changed it may not have lived to look
	return nil
}

func (k *Keyring) sealFormer(under *Master, former []*Master) (string, error) {
	var plain []byte
	for _, one := range former {
		plain = append(plain, one.key[:]...)
	}
	sealed, err := k.sealUnder(under, core.SealMasterKey, formerBinding, plain)
	return base64.StdEncoding.EncodeToString(sealed), err
}

// Rewrap changes the master key. Everything sealed is sealed under the new one
// and the store's check value is the new key's, in one step of the store;
// before it, this process learns to open what either has sealed, and goes on
// working all the while. What another goroutine sealed under the old key
// meanwhile is caught up by the next Ticks, or at the next start: the store
// keeps the former keys sealed under the new one.
//
// *core.Error{Conflict}: the key given is in force, or was before; another
// process changed it meanwhile; a key of the store does not open.
func (k *Keyring) Rewrap(ctx context.Context, to *Master, actor string) error {
	k.change.Lock()
	defer k.change.Unlock()
	if err := k.reload(ctx); err != nil {
		return err
	}
	was := k.master.Load()
	if to.id == was.current.id {
		return core.Errorf(core.Conflict, "%s is the master key in force; give another (openssl rand -base64 32)", to.id)
	}
	for _, one := range was.former {
		if one.id == to.id {
			return core.Errorf(core.Conflict, "%s was the master key before; give a new one (openssl rand -base64 32)", to.id)
		}
	}
	both, err := newMasters(was.current, append(append([]*Master{}, was.former...), to))
	if err != nil {
		return err
	}
	if len(was.former) == 0 {
		// The root must not become the new key for a moment.
		if both, err = newMasters(was.current, []*Master{was.current, to}); err != nil {
			return err
		}
	}
	former := append(append([]*Master{}, was.former...), was.current)
	after, err := newMasters(to, former)
	if err != nil {
		return err
	}
	k.master.Store(both)
	p, err := k.rewrapping(was.current.id, to, former)
	if err != nil {
		return err
	}
	p.Event = core.Event{Kind: "key.rewrap", Actor: actor, Detail: map[string]string{"from": was.current.id, "to": to.id}}
	switch err = k.cfg.Rows.Rewrap(ctx, p); {
	case errors.Is(err, core.ErrStale):
		return core.Errorf(core.Conflict, "the master key was changed by another process meanwhile; restart this one with the key in force")
	case errors.Is(err, core.ErrUnknownOutcome):
		return fmt.Errorf("whether the master key was changed is not known; restart with either key, the wrong one is refused: %w", err)
	case err != nil:
		k.master.Store(was)
		return err
	}
	k.master.Store(after)
	k.stragglers = 3 // now, and at the next two Ticks
	return errors.Join(k.reload(ctx), k.sweep(ctx))
}

// rewrapping seals everything again that is not sealed under to.
func (k *Keyring) rewrapping(from string, to *Master, former []*Master) (*core.RewrapParams, error) {
	text, err := k.sealFormer(to, former)
	if err != nil {
		return nil, err
	}
	again := func(purpose core.SealPurpose, binding string, sealed []byte) ([]byte, error) {
		if len(sealed) >= sealHeadSize && bytes.Equal(sealed[1:sealHeadSize], to.rawID[:]) {
			return nil, nil
		}
		plain, err := k.Open(purpose, binding, sealed)
		if err != nil {
			return nil, err
		}
		return k.sealUnder(to, purpose, binding, plain)
	}
	return &core.RewrapParams{
		From: from, To: to.id, Check: to.check(), Former: text, Now: k.cfg.Now(),
		Key: func(row *core.KeyRow) ([]byte, error) {
			return again(core.SealSigningKey, rowBinding(row), row.Sealed)
		},
		Secret: func(binding string, sealed []byte) ([]byte, error) {
			return again(core.SealAPISecret, binding, sealed)
		},
	}, nil
}

// sweep seals what was sealed under a former key while it was being changed.
func (k *Keyring) sweep(ctx context.Context) error {
	m := k.master.Load()
	p, err := k.rewrapping(m.current.id, m.current, m.former)
	if err != nil {
		return err
	}
	if err := k.cfg.Rows.Rewrap(ctx, p); err != nil {
		return err
	}
	k.stragglers--
	return k.reload(ctx)
}
