package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/internal/core"
)

// scan is what walking over a file finds.
type scan struct {
	header  header
	highest int64             // fact, Dropped included
	mark    *core.JournalMark // the last one
	good    int64             // bytes that are whole records
	check   string            // of the last of them
}

func (s *scan) state() *core.JournalState {
	return &core.JournalState{Installation: s.header.Installation, Incarnation: s.header.Incarnation, Highest: s.highest, Mark: s.mark}
}

// maxLine bounds a record; a fact has a few hundred bytes.
const maxLine = 1 << 20

// walk verifies a file and calls f, which may be nil, for each entry. What is
// cut off at the end is passed over.
func walk(path string, in io.Reader, f func(*core.JournalEntry) error) (*scan, error) {
	s := &scan{}
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		raw, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading the facts journal %s: %w", path, err)
		}
		whole := err == nil
		if !whole && n > 1 {
			return s, nil // the end, or a record that was cut off
		}
		text, check, ok := split(bytes.TrimSuffix(raw, []byte("\n")))
		if n == 1 {
			if !ok || !whole || check != checkOf("", text) {
				if h, herr := parseHeader(path, raw); herr != nil || h == nil {
					return nil, fmt.Errorf("%s is no facts journal of sallyport", path)
				}
				return nil, &DamagedError{path, 1}
			}
			h, err := parseHeader(path, text)
			if err != nil {
				return nil, err
			}
			s.header, s.highest = *h, h.Dropped
		} else {
			if !ok || check != checkOf(s.check, text) {
				if bytes.IndexByte(raw, 0) >= 0 && !follows(r, check) {
					return s, nil // space that a crash left unwritten
				}
				return nil, &DamagedError{path, n}
			}
			if err := s.take(text, f); err != nil {
				return nil, fmt.Errorf("line %d of the facts journal %s: %w", n, path, err)
			}
		}
		s.good += int64(len(raw))
		s.check = check
	}
}

// follows says whether after a record that does not fit a later one still fits
// the one before it: then this is no end that a crash left.
func follows(r *bufio.Reader, before string) bool {
	for {
		raw, err := r.ReadBytes('\n')
		if err != nil || len(raw) > maxLine {
			return false
		}
		text, check, ok := split(raw[:len(raw)-1])
		if ok && check == checkOf(before, text) {
			return true
		}
		before = check
	}
}

// note remembers what an entry says of the store.
func (s *scan) note(e *core.JournalEntry) {
	switch {
	case e.Fact != nil:
		s.highest = max(s.highest, e.Fact.Number)
	case e.Mark != nil:
		m := *e.Mark
		s.mark, s.highest = &m, max(s.highest, m.Facts)
	}
}

func (s *scan) take(text []byte, f func(*core.JournalEntry) error) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	e, err := l.entry()
	if err != nil {
		return err
	}
	s.note(&e)
	if f == nil {
		return nil
	}
	return f(&e)
}

// Read verifies a journal and calls f for each entry in order, f nil for none.
// *DamagedError; fs.ErrNotExist.
func Read(path string, f func(*core.JournalEntry) error) (*core.JournalState, error) {
	file, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("opening the facts journal: %w", err)
	}
	defer func() { _ = file.Close() }() // read only: nothing to lose
	s, err := walk(path, file, f)
	if err != nil {
		return nil, err
	}
	return s.state(), nil
}
