package dump

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

// Errors of reading.
var (
	// ErrNoBackup: the file is something else.
	ErrNoBackup = errors.New("this is no backup of sallyport")
	// ErrDamaged: the file was cut or changed.
	ErrDamaged = errors.New("the backup is cut off or was changed")
	// ErrNewer: the file has tables or columns that this program does not know.
	ErrNewer = errors.New("the backup was made by a newer sallyport; restore it with that version")
)

// maxBlock bounds what a length in a file can make us allocate.
const maxBlock = 64 << 20

// Reader reads a file.
type Reader struct {
	Header Header
	in     *bufio.Reader
	sha    hash.Hash
}

// NewReader reads the header. ErrNoBackup, ErrDamaged.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), sha: sha256.New()}
	got := make([]byte, len(magic))
	n, err := io.ReadFull(r.in, got)
	switch {
	case err != nil && n > 0 && strings.HasPrefix(magic, string(got[:n])):
		return nil, damaged(err)
	case err == nil && string(got) != magic && strings.HasPrefix(string(got), magicWord):
		return nil, ErrNewer
	case err != nil || string(got) != magic:
		return nil, ErrNoBackup
	}
	r.sha.Write(got)
	kind, payload, err := r.block()
	if err != nil {
		return nil, err
	}
	if kind != blockHeader || json.Unmarshal(payload, &r.Header) != nil {
		return nil, ErrDamaged
	}
	return r, nil
}

// block reads the next block into the checksum, unless it is the last.
func (r *Reader) block() (kind byte, payload []byte, err error) {
	kind, err = r.in.ReadByte()
	if err != nil {
		return 0, nil, damaged(err)
	}
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return 0, nil, damaged(err)
	}
	if size > maxBlock {
		return 0, nil, ErrDamaged
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r.in, payload); err != nil {
		return 0, nil, damaged(err)
	}
	if kind != blockTrailer {
		r.sha.Write(binary.AppendUvarint([]byte{kind}, size))
		r.sha.Write(payload)
	}
	return kind, payload, nil
}

// damaged tells a file that ends too early from one that cannot be read.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return fmt.Errorf("reading the backup: %w", err)
}

// Each calls f with the rows of each table, in the order of the file and in
// batches, and compares checksum and sums at the end: what f was given counts
// only if Each returns no error. Rows have the columns of Tables, those that
// the file lacks with their default. f may be nil. ErrDamaged, ErrNewer.
func (r *Reader) Each(f func(t *Table, rows [][]any) error) (*Summary, error) {
	if f == nil {
		f = func(*Table, [][]any) error { return nil }
	}
	var t *tableReader
	seen := map[string]*tableReader{}
	for {
		kind, payload, err := r.block()
		if err != nil {
			return nil, err
		}
		switch kind {
		case blockTable:
			if t, err = newTableReader(payload); err != nil {
				return nil, err
			}
			if seen[t.table.Name] != nil {
				return nil, ErrDamaged
			}
			seen[t.table.Name] = t
		case blockRows:
			if t == nil {
				return nil, ErrDamaged
			}
			rows, err := t.rows(payload)
			if err != nil {
				return nil, err
			}
			if err := f(t.table, rows); err != nil {
				return nil, err
			}
		case blockTrailer:
			return r.end(payload, seen)
		default:
			return nil, ErrDamaged
		}
	}
}

// end compares what came with what the last block says.
func (r *Reader) end(payload []byte, seen map[string]*tableReader) (*Summary, error) {
	var s Summary
	if json.Unmarshal(payload, &s) != nil {
		return nil, ErrDamaged
	}
	// The last block is not in the checksum: it must be what we would write.
	if same, err := json.Marshal(&s); err != nil || !bytes.Equal(same, payload) {
		return nil, ErrDamaged
	}
	if s.SHA256 != hex.EncodeToString(r.sha.Sum(nil)) || len(s.Tables) != len(seen) {
		return nil, ErrDamaged
	}
	for _, one := range s.Tables {
		t := seen[one.Name]
		if t == nil || t.sum.Rows != one.Rows || t.sum.String() != one.Sum {
			return nil, ErrDamaged
		}
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, ErrDamaged
	}
	return &s, nil
}

// tableReader reads the rows of one table.
type tableReader struct {
	table *Table
	place []int // of the file's columns in the table's
	sum   Sum
}

func newTableReader(payload []byte) (*tableReader, error) {
	var said struct {
		Name    string   `json:"name"`
		Columns []Column `json:"columns"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return nil, ErrDamaged
	}
	t := &tableReader{table: Named(said.Name)}
	if t.table == nil {
		return nil, fmt.Errorf("%w (it has a table %q)", ErrNewer, said.Name)
	}
	for _, c := range said.Columns {
		i := t.table.Column(c.Name)
		if i < 0 || t.table.Columns[i].Type != c.Type {
			return nil, fmt.Errorf("%w (it has a column %s.%s)", ErrNewer, said.Name, c.Name)
		}
		t.place = append(t.place, i)
	}
	for i, c := range t.table.Columns {
		if c.Default == nil && !slices.Contains(t.place, i) {
			return nil, ErrDamaged
		}
	}
	return t, nil
}

func (t *tableReader) rows(b []byte) (rows [][]any, err error) {
	for len(b) > 0 {
		said, rest, err := readRow(b, len(t.place))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		t.sum.add(b[:len(b)-len(rest)])
		b = rest
		row := make([]any, len(t.table.Columns))
		for i, c := range t.table.Columns {
			row[i] = c.Default
		}
		for i, v := range said {
			row[t.place[i]] = v
		}
		if err := t.table.check(row); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
