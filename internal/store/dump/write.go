package dump

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// magic begins every file.
const (
	magicWord = "SALLYPORT BACKUP "
	magic     = magicWord + "1\n"
)

// Blocks.
const (
	blockHeader  = 'H'
	blockTable   = 'T'
	blockRows    = 'R'
	blockTrailer = 'Z'
)

// Header says what a file is.
type Header struct {
	Version      string `json:"version"`    // of the program that made it
	CreatedAt    int64  `json:"created_at"` // Unix milliseconds
	Store        string `json:"store"`      // the kind: sqlite, postgres
	Installation string `json:"installation,omitempty"`
	Incarnation  string `json:"incarnation,omitempty"`
	LastFact     int64  `json:"last_fact"`
	// MasterKey is the id of the master key that what is sealed in the file
	// needs. The key itself is not in it.
	MasterKey string `json:"master_key,omitempty"`
	Rows      int64  `json:"rows"`
}

// TableSum is a table in a summary.
type TableSum struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"`
}

// Summary is what a file holds, as its end says.
type Summary struct {
	Tables []TableSum `json:"tables"`
	SHA256 string     `json:"sha256"` // of everything before the last block
}

// Rows is how many rows all tables have together.
func (s *Summary) Rows() (n int64) {
	for _, t := range s.Tables {
		n += t.Rows
	}
	return n
}

type writer struct {
	out  *bufio.Writer
	hash io.Writer // out, and the checksum
	buf  []byte
}

func (w *writer) block(kind byte, payload []byte) error {
	head := binary.AppendUvarint([]byte{kind}, uint64(len(payload)))
	if _, err := w.hash.Write(head); err != nil {
		return err
	}
	_, err := w.hash.Write(payload)
	return err
}

func (w *writer) json(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.block(kind, b)
}

// Write writes a whole view as a file. h.Rows is filled in.
func Write(ctx context.Context, out io.Writer, view Snapshot, h Header, progress Progress) (*Summary, error) {
	counts, total, err := counted(ctx, view)
	if err != nil {
		return nil, err
	}
	h.Rows = total
	sha := sha256.New()
	w := &writer{out: bufio.NewWriterSize(out, 256<<10)}
	w.hash = io.MultiWriter(w.out, sha)
	if _, err := io.WriteString(w.hash, magic); err != nil {
		return nil, err
	}
	if err := w.json(blockHeader, h); err != nil {
		return nil, err
	}
	var sum Summary
	var done int64
	for _, t := range tables {
		one, err := w.table(ctx, view, t, func(n int64) { progress.Tell(t.Name, done+n, total) })
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", t.Name, err)
		}
		if one.Rows != counts[t.Name] {
			return nil, fmt.Errorf("writing %s: %d rows were counted, and %d came", t.Name, counts[t.Name], one.Rows)
		}
		done += one.Rows
		sum.Tables = append(sum.Tables, TableSum{t.Name, one.Rows, one.String()})
	}
	sum.SHA256 = hex.EncodeToString(sha.Sum(nil))
	if err := w.json(blockTrailer, &sum); err != nil {
		return nil, err
	}
	if err := w.out.Flush(); err != nil {
		return nil, err
	}
	progress.Tell("", done, total)
	return &sum, nil
}

// rowsBlock is about how many bytes of rows stand in one block.
const rowsBlock = 1 << 20

func (w *writer) table(ctx context.Context, view Snapshot, t *Table, progress func(int64)) (sum Sum, err error) {
	if err := w.json(blockTable, t); err != nil {
		return sum, err
	}
	w.buf = w.buf[:0]
	err = view.Rows(ctx, t, 0, func(row []any) error {
		if err := t.check(row); err != nil {
			return err
		}
		mark := len(w.buf)
		w.buf = appendRow(w.buf, row)
		sum.add(w.buf[mark:])
		if len(w.buf) < rowsBlock {
			return nil
		}
		progress(sum.Rows)
		err := w.block(blockRows, w.buf)
		w.buf = w.buf[:0]
		return err
	})
	if err == nil && len(w.buf) > 0 {
		err = w.block(blockRows, w.buf)
	}
	return sum, err
}
