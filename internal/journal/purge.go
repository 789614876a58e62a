package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/core"
)

// purgeFrom is the size below which rewriting is not worth it.
const purgeFrom = 1 << 20

// Purge implements core.Journal: it drops what is over at now, when the file
// has grown to twice what was left the last time.
func (j *Journal) Purge(now int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.scan.good < max(purgeFrom, 2*j.shrunk) {
		return nil
	}
	return j.rewrite(j.scan.header, func(e *core.JournalEntry) bool { return e.Mark != nil || e.KeepUntil > now })
}

// Adopt makes the journal that of another incarnation, whose facts up to a
// number are all in it, or over. Its entries stay; marks go, because they are
// about the audit log of the former life.
func (j *Journal) Adopt(incarnation string, facts int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errors.New("the facts journal is closed")
	}
	h := j.scan.header
	h.Incarnation, h.Dropped = incarnation, max(j.scan.highest, facts)
	return j.rewrite(h, func(e *core.JournalEntry) bool { return e.Mark == nil })
}

// rewrite puts a new file in the place of the old one.
func (j *Journal) rewrite(h header, keep func(*core.JournalEntry) bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(j.cfg.Path), "."+filepath.Base(j.cfg.Path)+"-*") // mode 0600
	if err == nil {
		err = j.rewriteInto(tmp, h, keep)
		if err != nil {
			err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("rewriting the facts journal %s: %w", j.cfg.Path, err)
	}
	return nil
}

func (j *Journal) rewriteInto(tmp *os.File, h header, keep func(*core.JournalEntry) bool) error {
	next, err := j.copyKept(tmp, h, keep)
	if err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	// Locked before it has the name, so that there is no moment without.
	if err := lock(tmp, tmp.Name()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), j.cfg.Path); err != nil {
		return err
	}
	old := j.file
	j.file, j.scan, j.shrunk, j.reserve = tmp, *next, next.good, 0
	_ = old.Close() // it has no name any more
	if err := syncDir(j.cfg.Path); err != nil {
		j.cfg.Logger.Warn("syncing the folder of the facts journal", "err", err)
	}
	return nil
}

// copyKept writes the header and what is kept, and says what it wrote.
func (j *Journal) copyKept(to io.Writer, h header, keep func(*core.JournalEntry) bool) (*scan, error) {
	out := bufio.NewWriter(to)
	next := &scan{}
	var lastMark *core.JournalEntry
	var buf []byte
	put := func(e *core.JournalEntry) error {
		buf = buf[:0]
		if err := next.append(&buf, e); err != nil {
			return err
		}
		_, err := out.Write(buf)
		return err
	}
	old := io.NewSectionReader(j.file, 0, j.scan.good)
	// Facts that are dropped are told by the header, which comes first.
	if _, err := walk(j.cfg.Path, old, func(e *core.JournalEntry) error {
		if e.Fact != nil && !keep(e) {
			h.Dropped = max(h.Dropped, e.Fact.Number)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	head, check, err := appendLine(nil, "", &h)
	if err != nil {
		return nil, err
	}
	next.header, next.highest, next.check, next.good = h, h.Dropped, check, int64(len(head))
	if _, err := out.Write(head); err != nil {
		return nil, err
	}
	if _, err := old.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	_, err = walk(j.cfg.Path, old, func(e *core.JournalEntry) error {
		switch {
		case !keep(e):
			return nil
		case e.Mark != nil: // the last one is enough
			lastMark = e
			return nil
		}
		return put(e)
	})
	if err == nil && lastMark != nil {
		err = put(lastMark)
	}
	return next, errors.Join(err, out.Flush())
}
