package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// Config is what a Keyring needs. Rows, Meta and Master must be set.
type Config struct {
	Rows   core.KeyRows
	Meta   core.Meta
	Master *Master
	// PublishMS is how long a public key is published before it signs; at least
	// twice the max-age under which the keys are served. 0 is 24 hours.
	PublishMS int64
	// Spread waits until every other node has read a key that was just added;
	// nil where there are no other nodes.
	Spread func(context.Context) error
	// Now gives Unix milliseconds; nil is the clock of the machine.
	Now func() int64
	// Observer is told of alarms; nil is nobody.
	Observer core.Observer
	// Logger gets warnings for the operator; nil is slog.Default.
	Logger *slog.Logger
}

// Keyring implements core.Keys. It is safe for concurrent use.
type Keyring struct {
	cfg    Config
	snap   atomic.Pointer[snapshot]
	fault  atomic.Pointer[error]
	unread atomic.Pointer[error] // why the rows could not be read
	master atomic.Pointer[masters]
	// change serialises Reload and everything that writes rows.
	change sync.Mutex
	known  fetches
	// stragglers counts the Ticks that look for values sealed under a former
	// master key while it was being changed.
	stragglers int
}

var _ core.Keys = (*Keyring)(nil)

// Open compares the master key with the store's and unseals the signing keys.
// It refuses a store made under another master key, naming both ids, and one
// with a key that does not open: without that key, good tokens would look
// forged.
func Open(ctx context.Context, cfg Config) (*Keyring, error) {
	if cfg.Rows == nil || cfg.Meta == nil || cfg.Master == nil {
		return nil, errors.New("keyring: rows, meta and master key are needed")
	}
	if cfg.Now == nil {
		cfg.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.PublishMS == 0 {
		cfg.PublishMS = defaultPublishMS
	}
	k := &Keyring{cfg: cfg}
	m, err := newMasters(cfg.Master, nil)
	if err != nil {
		return nil, err
	}
	k.master.Store(m)
	if err := k.claimStore(ctx); err != nil {
		return nil, err
	}
	if err := k.recallFormer(ctx); err != nil {
		return nil, err
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	k.warnWeak()
	return k, k.recallFetches(ctx)
}

// claimStore writes the master key's id and check value into a new store, and
// compares them in any other. The id goes first: a start that died between the
// two leaves a store that only the same key completes.
func (k *Keyring) claimStore(ctx context.Context) error {
	m := k.cfg.Master
	id, err := k.cfg.Meta.MetaSetOnce(ctx, core.MetaMasterKeyID, m.id)
	if err != nil {
		return fmt.Errorf("read the store's master key id: %w", err)
	}
	if id != m.id {
		return fmt.Errorf("this store was made with the master key %s, and the one given is %s: give the right one "+
			"(--master-key-file); nothing in the store opens without it", id, m.id)
	}
	check, err := k.cfg.Meta.MetaSetOnce(ctx, core.MetaMasterKeyCheck, m.check())
	if err != nil {
		return fmt.Errorf("read the store's master key check value: %w", err)
	}
	if check != m.check() {
		return fmt.Errorf("the store names the master key %s but its check value is another key's: the store was "+
			"changed by hand or restored in parts; restore it whole", m.id)
	}
	return nil
}

// Reload reads the rows again and swaps the snapshot. Call it when
// Store.Changes says that there is news. When a row does not open, or all are gone, it keeps the
// snapshot in force, raises an alarm and returns *core.Error{Unavailable};
// until a later Reload succeeds, Fault tells of it.
func (k *Keyring) Reload(ctx context.Context) error {
	k.change.Lock()
	defer k.change.Unlock()
	return k.reload(ctx)
}

func (k *Keyring) reload(ctx context.Context) error {
	rows, err := k.cfg.Rows.ListKeys(ctx)
	if err != nil {
		err = fmt.Errorf("read the signing keys: %w", err)
		if ctx.Err() == nil { // else it was the caller who left
			k.unread.Store(&err)
		}
		return err
	}
	k.unread.Store(nil)
	old := k.snap.Load()
	next, err := k.build(rows, old)
	if err == nil && len(rows) == 0 && old != nil && len(old.entries) > 0 {
		// Keys are replaced and never all dropped: somebody is putting the store
		// back under us. To go on without any would refuse every honest token.
		err = core.Errorf(core.Unavailable, "the store has no signing keys any more; those read before stay in force. Was it emptied, or put back, while it is served?")
	}
	if err != nil {
		k.fault.Store(&err)
		return err
	}
	k.snap.Store(next)
	k.fault.Store(nil)
	return nil
}

// Fault is not nil while the store has a key that does not open, or none, or
// could not be read. A token that no known key has signed may then be good, and
// the answer to it is 503.
func (k *Keyring) Fault() error {
	for _, p := range []*error{k.fault.Load(), k.unread.Load()} {
		if p != nil {
			return *p
		}
	}
	return nil
}

// Behind reports that the store could not be read when it should have been:
// Reload has to be called again.
func (k *Keyring) Behind() bool { return k.unread.Load() != nil }

// MasterID is the id of the master key, for logs and metrics.
func (k *Keyring) MasterID() string { return k.master.Load().current.id }

// Seal encrypts a secret of ours bound to where it is stored.
func (k *Keyring) Seal(purpose core.SealPurpose, binding string, plain []byte) ([]byte, error) {
	return k.sealUnder(k.master.Load().current, purpose, binding, plain)
}

func (k *Keyring) sealUnder(m *Master, purpose core.SealPurpose, binding string, plain []byte) ([]byte, error) {
	s, err := k.master.Load().sealer(m, purpose)
	if err != nil {
		return nil, &core.Error{Code: core.Unavailable, Reason: "cannot seal", Err: err}
	}
	return s.seal(binding, plain), nil
}

// Open undoes Seal. A value that doesn't open is *core.Error{Unavailable} and
// an alarm: somebody changed the store, or it has another master key.
func (k *Keyring) Open(purpose core.SealPurpose, binding string, sealed []byte) ([]byte, error) {
	all := k.master.Load()
	s, err := all.sealer(all.of(sealed), purpose)
	if err == nil {
		var plain []byte
		if plain, err = s.open(binding, sealed); err == nil {
			return plain, nil
		}
	}
	return nil, k.alarm(string(purpose)+" "+binding, err)
}

func (k *Keyring) alarm(what string, err error) error {
	if k.cfg.Observer != nil {
		k.cfg.Observer.Alarm("sealed_value", what+": "+err.Error())
	}
	k.cfg.Logger.Error("a sealed value does not open", "value", what, "error", err.Error())
	return &core.Error{Code: core.Unavailable, Reason: "sealed value does not open: " + what, Err: err}
}

// Derive gives a 32-byte key for a purpose, the same on every node, and after a
// change of the master key.
func (k *Keyring) Derive(purpose string) (key [32]byte) {
	copy(key[:], k.master.Load().root().derive("derive "+purpose, len(key)))
	return key
}
