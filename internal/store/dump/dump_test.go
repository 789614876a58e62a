package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// memory is a store of nothing but rows.
type memory struct{ rows map[string][][]any }

func (m *memory) Count(_ context.Context, t *Table) (int64, error) {
	return int64(len(m.rows[t.Name])), nil
}

func (m *memory) Rows(_ context.Context, t *Table, skip int64, f func([]any) error) error {
	for _, row := range m.rows[t.Name][skip:] {
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Close() error { return nil }

// filled has odd values in some tables and none in others.
func filled() *memory {
	m := &memory{rows: map[string][][]any{
		"meta":    {{"a", ""}, {"b", "\x00\xff not UTF-8"}},
		Counters:  {{"facts", int64(1) << 62}},
		"facts":   {{int64(1), "user", "u", "", "r", int64(-5), int64(0)}},
		"issuers": {{int64(1), "https://a.example", int64(7)}},
	}}
	for i := range 30_000 { // more than one block
		m.rows["login_names"] = append(m.rows["login_names"], []any{"ac", fmt.Sprintf("name %d", i), strings.Repeat("x", i%100), nil})
	}
	m.rows["login_names"][7][3] = int64(9)
	return m
}

func written(t *testing.T, m *memory) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := Write(t.Context(), &file, m, Header{Version: "test", Store: "memory", LastFact: 4}, nil); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func read(file []byte) (*memory, error) {
	m := &memory{rows: map[string][][]any{}}
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	_, err = r.Each(func(t *Table, rows [][]any) error {
		m.rows[t.Name] = append(m.rows[t.Name], rows...)
		return nil
	})
	return m, err
}

func TestFile(t *testing.T) {
	want := filled()
	file := written(t, want)
	got, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatal("what was read is not what was written")
	}
	r, err := NewReader(bytes.NewReader(file))
	if err != nil || r.Header != (Header{Version: "test", Store: "memory", LastFact: 4, Rows: 30_005}) {
		t.Fatalf("header %+v, %v", r.Header, err)
	}
}

// somewhere says whether to try a place of a long file: every one near its
// ends, some of the others.
func somewhere(n, size, every int) bool { return n < 300 || size-n < 300 || n%every == 0 }

// TestFileCut: no beginning of a file is taken for a file.
func TestFileCut(t *testing.T) {
	file := written(t, &memory{rows: map[string][][]any{"meta": {{"a", "b"}}, "facts": filled().rows["facts"]}})
	for n := range len(file) {
		if !somewhere(n, len(file), 11) {
			continue
		}
		if _, err := read(file[:n]); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBackup) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(file), err)
		}
	}
}

// TestFileChanged: no byte can be changed, and nothing be added.
func TestFileChanged(t *testing.T) {
	file := written(t, &memory{rows: map[string][][]any{"meta": {{"a", "b"}}, "facts": filled().rows["facts"]}})
	for n := range len(file) {
		if !somewhere(n, len(file), 13) {
			continue
		}
		changed := slices.Clone(file)
		changed[n] ^= []byte{1, 0x20, 0x80}[n%3]
		if _, err := read(changed); err == nil {
			t.Fatalf("byte %d of %d changed from %q to %q: taken", n, len(file), file[n], changed[n])
		}
	}
	if _, err := read(append(slices.Clone(file), '\n')); !errors.Is(err, ErrDamaged) {
		t.Fatalf("something added: %v", err)
	}
	if _, err := read([]byte("SALLYPORT BACKUP 2\nwhatever comes")); !errors.Is(err, ErrNewer) {
		t.Fatalf("a newer format: %v", err)
	}
	if _, err := read([]byte("SQLite format 3\x00 and so on and on")); !errors.Is(err, ErrNoBackup) {
		t.Fatalf("another file: %v", err)
	}
}

// TestOlderAndNewer: a file lacks columns that came since, and one with more
// than we know is not restored in part.
func TestOlderAndNewer(t *testing.T) {
	for _, c := range []struct{ name, columns, want string }{
		{"app_tokens", "all but status", ""},
		{"app_tokens", "all but hash", "cut off or was changed"},
		{"app_tokens", "one more", "newer"},
		{"galaxies", "one more", "newer"},
	} {
		tab := Table{Name: c.name}
		for _, col := range Named("app_tokens").Columns {
			if c.columns != "all but "+col.Name {
				tab.Columns = append(tab.Columns, col)
			}
		}
		if c.columns == "one more" {
			tab.Columns = append(tab.Columns, Column{Name: "more", Type: Int})
		}
		b, err := tab.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		tr, err := newTableReader(b)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s, %s: %v", c.name, c.columns, err)
		case c.want == "":
			row := make([]any, 0, 15)
			for _, col := range tab.Columns {
				row = append(row, map[Type]any{Int: int64(1), Bool: true, Text: "t", Bytes: []byte{1}}[col.Type])
			}
			rows, err := tr.rows(appendRow(nil, row))
			if err != nil || rows[0][Named("app_tokens").Column("status")] != int64(0) {
				t.Errorf("an older row: %v, %v", rows, err)
			}
		}
	}
}

// TestSum: the order of rows is no matter, everything else is.
func TestSum(t *testing.T) {
	rows := filled().rows["login_names"]
	sumOf := func(rows [][]any) Sum {
		sums, err := Sums(t.Context(), &memory{rows: map[string][][]any{"login_names": rows}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return sums["login_names"]
	}
	want := sumOf(rows)
	back := slices.Clone(rows)
	slices.Reverse(back)
	if sumOf(back) != want {
		t.Error("another order gives another sum")
	}
	back[0] = []any{"ac", "another", "x", nil}
	if sumOf(back) == want || sumOf(rows[1:]) == want {
		t.Error("other rows give the same sum")
	}
}

// FuzzRead: whatever the bytes, reading ends in an error or in rows that fit
// their tables, and what is read and written again is the same.
func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	if _, err := Write(f.Context(), &file, &memory{rows: map[string][][]any{"meta": {{"a", "b"}}}}, Header{}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := read(data)
		if err != nil {
			return
		}
		again, err := read(written(t, m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("read, written and read again: %v", err)
		}
	})
}
