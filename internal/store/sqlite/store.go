package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

// FileName is the name of the database inside the data directory.
const FileName = "sallyport.db"

// readersMax bounds the reading connections; they are opened when first used.
const readersMax = 4

// Config says where the store is. Dir and Now are needed.
type Config struct {
	Dir    string       // the data directory
	Create bool         // make the directory (0700) and the store if there is none
	Now    func() int64 // Unix milliseconds: for what Open itself creates, and for Stats
	Logger *slog.Logger // nil = say nothing
	// Ballast is how many bytes of the disk are kept back for steps that end
	// something; 0 keeps none.
	Ballast int64
	// Cache is the writer's page cache in KiB; 0 is a share of the memory.
	Cache int
}

// Store is a data directory opened by this process.
type Store struct {
	log     *slog.Logger
	now     func() int64
	path    string
	lock    *os.File
	created bool
	cache   int // the writer's, in KiB

	readers chan *conn // nil entries are connections not yet opened

	gate    sync.RWMutex // closed, and sending to queue
	closed  bool
	queue   chan *step
	written chan struct{} // closed when the writer is done
	closing chan struct{} // closed when Close begins
	tended  chan struct{} // closed when tend is done
	room    roominess
	changes chan struct{}

	// The writer goroutine's own, after Open.
	writer    *conn
	logLength int32 // the writer's, in pages
	chain     chainHead

	dumps          openDumps
	steps, batches atomic.Uint64
	lastCommit     atomic.Int64
	scarce         atomic.Bool  // little is free on the disk
	loading        atomic.Bool  // between BeginLoad and EndLoad, here
	cursor         atomic.Int64 // where Purge goes on looking for ended sessions
}

var _ core.Store = (*Store)(nil)

var errClosed = fmt.Errorf("%w: it was closed", core.ErrStoreUnavailable)

// Open opens the store of a data directory, after taking the data lock
// (*InUseError when another process has it) and migrating the schema. It
// refuses a file system on which SQLite can't give the promised durability.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		return nil, errors.New("sqlite.Config.Now is missing: give the clock")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %q: %w", cfg.Dir, err)
	}
	s := &Store{
		log:     cfg.Logger,
		now:     cfg.Now,
		path:    filepath.Join(dir, FileName),
		cache:   cfg.Cache,
		readers: make(chan *conn, readersMax),
		queue:   make(chan *step, queueMax),
		written: make(chan struct{}),
		closing: make(chan struct{}),
		tended:  make(chan struct{}),
		changes: make(chan struct{}, 1),
	}
	if s.cache == 0 {
		s.cache = cacheSize(memoryBytes())
	}
	if err := s.open(ctx, dir, cfg.Create); err != nil {
		_ = s.release() // the first error tells more
		return nil, err
	}
	for range readersMax {
		s.readers <- nil
	}
	s.room.ballast = newBallast(dir, cfg.Ballast)
	if s.room.ballast.gone() {
		if err := s.room.ballast.make(); err != nil {
			s.log.Warn("store: the disk is nearly full; only what ends something is written until there is room for the ballast", "bytes", cfg.Ballast, "err", err)
		}
	}
	go s.write()
	go s.tend()
	return s, nil
}

func (s *Store) open(ctx context.Context, dir string, create bool) error {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
	} else if _, err := os.Stat(s.path); err != nil {
		return fmt.Errorf("%s is no data directory of sallyport: %w", dir, err)
	}
	var err error
	if s.lock, err = lockDir(dir); err != nil {
		return err
	}
	if err := s.openFile(dir, create); err != nil {
		return err
	}
	if s.writer, err = s.openWriter(ctx); err != nil {
		return fmt.Errorf("opening %s: %w", s.path, err)
	}
	s.logLength = autocheckpoint
	s.scarce.Store(freeBytes(s.path) < scarceRoom)
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return s.establish()
}

// migrate brings the schema up to date, on a connection of database/sql, which
// is what the migrations know.
func (s *Store) migrate(ctx context.Context) error {
	db, err := sql.Open("sqlite", dsn(s.path))
	if err != nil {
		return err
	}
	return errors.Join(migrate(ctx, db, migrationFiles), db.Close())
}

// openFile makes the database file itself, because SQLite would make it
// readable for others, and notes whether it is new.
func (s *Store) openFile(dir string, create bool) error {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(s.path, flags, 0o600)
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	info, err := f.Stat()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		s.log.Warn("store: others can read the database; run chmod 600", "file", s.path, "mode", info.Mode().Perm().String())
	}
	if s.created = info.Size() == 0; s.created {
		return syncDirs(dir, filepath.Dir(dir))
	}
	return nil
}

// syncDirs makes new directory entries survive a power cut.
func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		d, err := os.Open(dir)
		if errors.Is(err, fs.ErrPermission) {
			continue // a parent that we may not read was not made by us
		}
		if err != nil {
			return fmt.Errorf("opening %s to sync it: %w", dir, err)
		}
		err = d.Sync()
		if cerr := d.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("syncing %s: %w", dir, err)
		}
	}
	return nil
}

// establish writes what every store has from its first moment, and loads the
// head of the audit chain.
func (s *Store) establish() error {
	w := s.writer
	now := s.now()
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	_, err := w.exec(`INSERT INTO meta (name, value) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING`,
		core.MetaNode, core.NewID("nd_"), core.MetaIncarnation, core.NewID("in_"))
	if err == nil {
		_, err = w.exec(`INSERT INTO accounts (id, shortname, state, version, created_at) VALUES ('ac_default', ?, 'active', 1, ?) ON CONFLICT DO NOTHING`,
			core.DefaultAccount, now)
	}
	if err == nil {
		s.chain, err = loadChain(w)
	}
	if err == nil {
		_, err = w.exec("COMMIT")
	}
	if err != nil {
		_, _ = w.exec("ROLLBACK") // the first error tells more
		return fmt.Errorf("%s: preparing the store: %w", s.path, err)
	}
	return nil
}

// Created reports whether Open made a new store.
func (s *Store) Created() bool { return s.created }

// Changes implements core.Store.
func (s *Store) Changes() <-chan struct{} { return s.changes }

// view runs f on a reading connection. f must read with one statement, or
// between BEGIN and COMMIT (see snapshot), or be content with what it gets.
func (s *Store) view(ctx context.Context, f func(*conn) error) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	select {
	case c, ok := <-s.readers:
		if !ok {
			return errClosed
		}
		defer func() {
			// After a panic, or a COMMIT that failed, it would go on reading what was
			// there then, sessions that have ended since among it.
			if c != nil && !c.idle() {
				_ = c.close() // it is given up
				c = nil
			}
			s.readers <- c
		}()
		if c == nil {
			var err error
			if c, err = openConn(context.WithoutCancel(ctx), s.path, readerPragmas); err != nil {
				c = nil
				return outward(err)
			}
		}
		return outward(noRow(f(c)))
	case <-ctx.Done():
		return gone(ctx)
	}
}

// snapshot is view for several statements that must see one state.
func (s *Store) snapshot(ctx context.Context, f func(*conn) error) error {
	return s.view(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := f(c)
		if _, cerr := c.exec("COMMIT"); err == nil {
			err = cerr
		}
		return err
	})
}

// Ping implements core.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.view(ctx, func(c *conn) error {
		var n int
		return c.row(`SELECT count(*) FROM meta WHERE name=?`, core.MetaNode).Scan(&n)
	})
}

// Stats implements core.Store.
func (s *Store) Stats() core.StoreStats {
	s.room.mu.Lock()
	kept := s.room.ballast.bytes()
	s.room.mu.Unlock()
	return core.StoreStats{
		Ballast: kept,
		Steps:   s.steps.Load(), Batches: s.batches.Load(), Queue: len(s.queue),
		SizeBytes: sizeOf(s.path), WALBytes: sizeOf(s.path + "-wal"), LastCommit: s.lastCommit.Load(),
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close waits for the steps handed over, then closes the file and frees the
// data lock. Calls that come later get ErrStoreUnavailable.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	close(s.queue)
	s.gate.Unlock()
	<-s.tended
	<-s.written
	s.dumps.Wait()
	for range readersMax { // each comes back when its reader is done
		if c := <-s.readers; c != nil {
			_ = c.close() // it only read
		}
	}
	close(s.readers)
	return s.release()
}

func (s *Store) release() error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing %s: %w", s.path, err)
	}
	return nil
}
