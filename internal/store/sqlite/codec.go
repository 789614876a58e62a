package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// encodeList gives a list as JSON text; nil and empty are the same.
func encodeList(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(list) // strings always marshal
	return string(b)
}

func decodeList(text string) ([]string, error) {
	if text == "[]" || text == "" {
		return nil, nil
	}
	if list, ok := plainList(text); ok {
		return list, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("a list in the store is damaged: %w", err)
	}
	return list, nil
}

// plainList reads what encodeList writes of texts in which nothing is escaped,
// as roles mostly are: they stand in every subject's row.
func plainList(text string) ([]string, bool) {
	inner, ok := strings.CutPrefix(text, `["`)
	if ok {
		inner, ok = strings.CutSuffix(inner, `"]`)
	}
	if !ok || strings.Contains(inner, `\`) || !utf8.ValidString(inner) {
		return nil, false
	}
	list := strings.Split(inner, `","`)
	for _, one := range list {
		if strings.Contains(one, `"`) {
			return nil, false
		}
	}
	return list, true
}

// list scans a JSON list.
type list struct{ into *[]string }

func (l list) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("a list in the store is %T", src)
	}
	var err error
	*l.into, err = decodeList(text)
	return err
}

// fixed is where a BLOB of a fixed length goes.
type fixed []byte

// take copies the bytes, if they are as many as wanted.
func (f fixed) take(b []byte) bool { return copy(f, b) == len(f) && len(b) == len(f) }

func (f fixed) damaged() error {
	return fmt.Errorf("a key or hash in the store is damaged: want %d bytes", len(f))
}

// filter collects the conditions of a listing, so that each one asked for can
// use its index; "any" spelled as OR would walk the whole table.
type filter struct {
	where []string
	args  []any
}

func (f *filter) and(condition string, arg any) {
	f.where, f.args = append(f.where, condition), append(f.args, arg)
}

// text adds column = value unless the value is empty.
func (f *filter) text(column, value string) {
	if value != "" {
		f.and(column+" = ?", value)
	}
}

func (f *filter) String() string { return strings.Join(f.where, " AND ") }

// limitOf applies the page size of queries: 100 unless told, 1000 at most.
func limitOf(n int) int {
	if n <= 0 {
		return 100
	}
	return min(n, 1000)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
