package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/core"
)

// Config says where the journal is. Path is needed.
type Config struct {
	Path string
	// MakeRoom is called when the disk is full; when it says that it made some,
	// the write is tried once more. May be nil.
	MakeRoom func() bool
	Logger   *slog.Logger // nil = say nothing
}

// Journal is a facts journal open for appending.
type Journal struct {
	cfg Config

	mu      sync.Mutex
	file    *os.File
	scan    scan
	shrunk  int64 // size after the last Purge
	reserve int64 // up to where space is set aside
	closed  bool
}

var _ core.Journal = (*Journal)(nil)

// InUseError says that another process writes the journal.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("the facts journal %s is written by another process: every node needs one of its own, see facts_journal", e.Path)
}

// Open opens a journal that is there. fs.ErrNotExist, *InUseError,
// *DamagedError, and errors of the file system, for one that cannot be written.
func Open(cfg Config) (*Journal, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := os.OpenFile(cfg.Path, os.O_RDWR, 0) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("opening the facts journal: %w", err)
	}
	j := &Journal{cfg: cfg, file: f}
	if err := j.load(); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return j, nil
}

func (j *Journal) load() error {
	if err := lock(j.file, j.cfg.Path); err != nil {
		return err
	}
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("opening the facts journal: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		j.cfg.Logger.Warn("others can use the facts journal; run chmod 600", "file", j.cfg.Path, "mode", info.Mode().Perm().String())
	}
	s, err := walk(j.cfg.Path, j.file, nil)
	if err != nil {
		return err
	}
	j.scan, j.shrunk = *s, s.good
	if info.Size() > s.good {
		j.cfg.Logger.Warn("the last record of the facts journal was cut off by a crash; it was never acknowledged and is dropped", "file", j.cfg.Path, "bytes", info.Size()-s.good)
		if err := j.file.Truncate(s.good); err != nil {
			return fmt.Errorf("mending the end of the facts journal %s: %w", j.cfg.Path, err)
		}
	}
	return nil
}

func lock(f *os.File, path string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &InUseError{path}
	}
	if err != nil {
		return fmt.Errorf("locking the facts journal %s: %w", path, err)
	}
	return nil
}

// Create makes a journal without entries. It replaces none that is there.
func Create(cfg Config, installation, incarnation string) (*Journal, error) {
	h := header{Journal: headerWord, Format: headerFormat, Installation: installation, Incarnation: incarnation}
	b, _, err := appendLine(nil, "", &h)
	if err != nil {
		return nil, err
	}
	tmp, err := besides(cfg.Path, b)
	if err != nil {
		return nil, fmt.Errorf("making the facts journal %s: %w", cfg.Path, err)
	}
	_ = tmp.Close()                     // synced already
	err = os.Link(tmp.Name(), cfg.Path) // unlike a rename it replaces nothing
	err = errors.Join(err, os.Remove(tmp.Name()), syncDir(cfg.Path))
	if err != nil {
		return nil, fmt.Errorf("making the facts journal %s: %w", cfg.Path, err)
	}
	return Open(cfg)
}

// besides makes a synced file next to path.
func besides(path string, content []byte) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path)) // #nosec G304 -- the folder of a file the operator names
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// State is what the journal knows of its store.
func (j *Journal) State() *core.JournalState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.scan.state()
}

// Highest implements core.Journal.
func (j *Journal) Highest() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.scan.highest
}

// Size is the length of the file in bytes.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.scan.good
}

// Path is where the journal is.
func (j *Journal) Path() string { return j.cfg.Path }

// Append implements core.Journal. ctx is not asked: a write is not given up
// half-way.
func (j *Journal) Append(_ context.Context, entries []core.JournalEntry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errors.New("the facts journal is closed")
	}
	next := j.scan
	var out []byte
	for i := range entries {
		if f := entries[i].Fact; f != nil && f.Number <= next.highest && !entries[i].Again {
			continue
		}
		if err := next.append(&out, &entries[i]); err != nil {
			return err
		}
	}
	if len(out) == 0 {
		return nil
	}
	err := j.write(out)
	if err != nil && full(err) && j.cfg.MakeRoom != nil && j.cfg.MakeRoom() {
		err = j.write(out)
	}
	if err != nil {
		return fmt.Errorf("writing the facts journal %s: %w", j.cfg.Path, err)
	}
	j.scan = next
	return nil
}

// append adds an entry to what is to be written.
func (s *scan) append(out *[]byte, e *core.JournalEntry) error {
	l, err := lineOf(e)
	if err != nil {
		return err
	}
	size := len(*out)
	if *out, s.check, err = appendLine(*out, s.check, &l); err != nil {
		return err
	}
	s.note(e)
	s.good += int64(len(*out) - size)
	return nil
}

// write puts bytes at the end and syncs. When it fails, the end is where it
// was: half a record must not stay, nor a whole one that was refused.
func (j *Journal) write(out []byte) error {
	end := j.scan.good
	j.setAside(end + int64(len(out)))
	_, err := j.file.WriteAt(out, end)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// If this fails as well, the next write covers it, or the next start
		// takes it for what it is: a record nobody was told of.
		_ = j.file.Truncate(end)
		j.reserve = 0
	}
	return err
}

func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Close frees the lock.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	return j.file.Close()
}
