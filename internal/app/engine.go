package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/journal"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/limit"
	"github.com/sallyport/sallyport/internal/password"
)

// masterKeyName is the file of the master key in a data directory.
const masterKeyName = "master.key"

// engine is the part of the app that needs no listener: what the offline
// commands use as well.
type engine struct {
	dir     string // absolute
	store   anyStore
	journal *journal.Journal // nil until openJournal
	master  *keyring.Master
	keys    *keyring.Keyring
	hasher  *password.Hasher
	service *core.Service
	auth    *authserver.Server
	metrics *metrics
	log     *slog.Logger
	now     func() int64
	mounts  []*mounted
}

// errDevStore tells a store made by serve --dev from one made to keep.
var errDevStore = errors.New("this data directory was made by `serve --dev`, with demo users and keys; serve it with `sallyport serve --dev --data DIR`, or start a new one with another --data")

// openEngine opens a data directory. With create it makes one that is not
// there, and with it the master key.
func openEngine(ctx context.Context, cfg *config.Config, o Options, issuer string, create bool) (e *engine, err error) {
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return nil, fmt.Errorf("the data directory %q: %w", cfg.Data, err)
	}
	e = &engine{dir: dir, log: o.Logger, now: o.Now, metrics: newMetrics(o.Version)}
	opened := e // a failing return sets e to nil before the defer runs
	defer func() {
		if err != nil {
			_ = opened.close()
		}
	}()
	if err := e.checkPlace(cfg); err != nil {
		return nil, err
	}
	if err = e.openStore(ctx, cfg, o, create); err != nil {
		return nil, err
	}
	if err := e.judgeStore(ctx, cfg); err != nil {
		return nil, err
	}
	if err := e.openKeys(ctx, cfg); err != nil {
		return nil, err
	}
	if err := e.startJournal(ctx, cfg); err != nil {
		return nil, err
	}
	if err := e.checkDev(ctx, cfg.Dev); err != nil {
		return nil, err
	}
	if !create && cfg.Issuer == "" {
		// Made from the listen address, which a command without a server cannot
		// know: a NETOSECRET with a wrong URL in it would be handed out.
		if issuer, err = e.lastIssuer(ctx, issuer); err != nil {
			return nil, err
		}
	}
	if err := e.openService(ctx, cfg, o, issuer); err != nil {
		return nil, err
	}
	return e, e.loadMounts(ctx, cfg, create)
}

// openKeys finds the master key and opens the keyring. The key file is made
// only together with a new store: a store whose key is gone must not get
// another one silently.
func (e *engine) openKeys(ctx context.Context, cfg *config.Config) (err error) {
	// A store that never met a key is new, also when a first start was cut off
	// between the two.
	_, err = e.store.MetaGet(ctx, core.MetaMasterKeyID)
	if err != nil && !errors.Is(err, core.ErrNoRow) {
		return err
	}
	src := keyring.Source{File: cfg.MasterKeyFile, Env: cfg.MasterKey.Reveal(), CreateIfNewStore: err != nil && !e.shared()}
	if src.File == "" && src.Env == "" {
		src.File = filepath.Join(e.dir, masterKeyName)
		if _, serr := os.Stat(src.File); e.shared() && errors.Is(serr, fs.ErrNotExist) {
			return errNoMasterKey(src.File, err != nil)
		}
	}
	if e.master, err = keyring.LoadMaster(src); err != nil {
		return err
	}
	e.keys, err = keyring.Open(ctx, keyring.Config{
		Rows: e.store, Meta: e.store, Master: e.master, PublishMS: cfg.Keys.PublishAhead.Milliseconds(), Now: e.now, Observer: e.metrics, Logger: e.log,
		Spread: e.keySpread(),
	})
	return err
}

// checkDev keeps demo stores and real ones apart.
func (e *engine) checkDev(ctx context.Context, dev bool) error {
	mark := "0"
	if dev {
		mark = "1"
	}
	was, err := e.store.MetaSetOnce(ctx, core.MetaDev, mark)
	if err != nil {
		return fmt.Errorf("reading the store's mark: %w", err)
	}
	switch {
	case was == "1" && !dev:
		return errDevStore
	case was == "0" && dev:
		return fmt.Errorf("%s holds a real store; `serve --dev` puts demo users with printed passwords into its store, so give it another --data", e.dir)
	}
	return nil
}

// lastIssuer is the issuer of the last start, else fallback.
func (e *engine) lastIssuer(ctx context.Context, fallback string) (string, error) {
	all, err := e.store.Issuers(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the issuers: %w", err)
	}
	if len(all) == 0 {
		return fallback, nil
	}
	return all[len(all)-1], nil
}

func (e *engine) openService(ctx context.Context, cfg *config.Config, o Options, issuer string) (err error) {
	worker, leftover := hashWorkers()
	e.hasher, err = password.New(password.Config{
		Slots: cfg.Password.Slots, Queue: cfg.Password.Queue,
		Worker: worker, LeftoverWorker: leftover, WorkerFailed: func(err error) {
			e.log.Warn("a worker for hashing passwords failed; the server hashes itself", "err", err)
		},
	})
	if err != nil {
		return err
	}
	store := core.Store(e.store)
	if o.store != nil {
		store = o.store(store)
	}
	e.service, err = core.New(ctx, core.Config{
		Store: store, Keys: e.keys, Passwords: e.hasher,
		Policy: password.Policy{MinLength: cfg.Password.MinLength},
		Issuer: issuer, Now: e.now, Monotonic: o.monotonic,
		MaxSessionsPerSubject: cfg.Sessions.MaxPerSubject, MaxTokensPerUser: cfg.Limits.ApplicationTokens,
		MaxStalenessMS: cfg.MaxStaleness.Milliseconds(), Observer: e.metrics, Log: e.log,
		Stranger:       limit.Policy{Burst: int64(cfg.Limits.StrangerFailures), Interval: cfg.Limits.StrangerRetry.Milliseconds()},
		KnownNetworkMS: cfg.Limits.KnownNetwork.Milliseconds(), ProxiesListed: len(cfg.TrustedProxies) > 0, Journal: e.factsJournal(),
		AuditKeepMS: cfg.Audit.Keep.Milliseconds(),
	})
	if err != nil {
		return err
	}
	e.auth = authserver.New(authserver.Config{Service: e.service, Engine: e.service.Engine(), Store: e.store, Keys: e.keys, Now: e.now})
	e.metrics.watch(e.store, e.hasher)
	if e.journal != nil {
		e.metrics.watchJournal(e.journal, e.service)
	}
	return nil
}

func (e *engine) close() error {
	if e.hasher != nil {
		e.hasher.Close()
	}
	var errs []error
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if e.journal != nil {
		errs = append(errs, e.journal.Close())
	}
	return errors.Join(errs...)
}

// systemClock gives Unix milliseconds.
func systemClock() int64 { return time.Now().UnixMilli() }

// steadyClock gives milliseconds of the monotonic clock.
func steadyClock() func() int64 {
	start := time.Now()
	return func() int64 { return time.Since(start).Milliseconds() }
}
