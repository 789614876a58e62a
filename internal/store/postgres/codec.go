package postgres

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// encodeList gives a list as JSON text; nil and empty are the same.
func encodeList(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(list) // strings always marshal
	return string(b)
}

// list scans a JSON list; an empty one is nil.
type list struct{ into *[]string }

// ScanText implements pgtype.TextScanner.
func (l list) ScanText(v pgtype.Text) error {
	*l.into = nil
	if v.String == "[]" || v.String == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(v.String), l.into); err != nil {
		return fmt.Errorf("a list in the store is damaged: %w", err)
	}
	return nil
}

// fixed scans a bytea of a fixed length.
type fixed []byte

// ScanBytes implements pgtype.BytesScanner.
func (f fixed) ScanBytes(b []byte) error {
	if len(b) != len(f) {
		return fmt.Errorf("a hash in the store is damaged: want %d bytes", len(f))
	}
	copy(f, b)
	return nil
}

// filter collects the conditions of a listing, so that each one asked for can
// use its index; "any" spelled as OR would walk the whole table.
type filter struct {
	where []string
	args  []any
}

// arg adds a parameter and gives its place.
func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return fmt.Sprintf("$%d", len(f.args))
}

// and adds a condition that ends in the place of its parameter.
func (f *filter) and(condition string, arg any) {
	f.where = append(f.where, condition+" "+f.arg(arg))
}

// text adds column = value unless the value is empty.
func (f *filter) text(column, value string) {
	if value != "" {
		f.and(column+" =", value)
	}
}

func (f *filter) String() string {
	if len(f.where) == 0 {
		return "true"
	}
	return strings.Join(f.where, " AND ")
}

// limitOf applies the page size of queries: 100 unless told, 1000 at most.
func limitOf(n int) int {
	if n <= 0 {
		return 100
	}
	return min(n, 1000)
}

// chunks cuts a slice into parts short enough for one step each.
func chunks[T any](all []T, size int) [][]T {
	var parts [][]T
	for len(all) > size {
		parts, all = append(parts, all[:size]), all[size:]
	}
	if len(all) > 0 {
		parts = append(parts, all)
	}
	return parts
}
