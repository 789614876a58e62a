package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	lib "modernc.org/sqlite/lib"
)

// onConn runs f on a connection of its own to a store.
func onConn(t *testing.T, f func(*conn)) {
	t.Helper()
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	c, err := openConn(t.Context(), s.path, writerPragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	f(c)
}

// TestValuesThereAndBack: what is bound comes back as it was, whatever was bound in
// its place before.
func TestValuesThereAndBack(t *testing.T) {
	onConn(t, func(c *conn) {
		for _, size := range []int{0, 1, 100, keptRoom - 1, keptRoom + 1, 3, 1 << 20, 0} {
			text, blob := strings.Repeat("ä", size), bytes.Repeat([]byte{0, 1}, size)
			number, yes, name := int64(size), true, "kept"
			var gotText, gotName, numberAsText string
			var gotBlob, none []byte
			var gotNumber, gotLength int64
			var gotYes bool
			var gotNull sql.NullString
			err := c.row(`SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?3, length(?2), ?7`, text, blob, &number, yes, nil, &name, core.Active).
				Scan(&gotText, &gotBlob, &gotNumber, &gotYes, &none, &gotName, &numberAsText, &gotLength, &gotNull)
			if err != nil {
				t.Fatalf("%d: %v", size, err)
			}
			if gotText != text || !bytes.Equal(gotBlob, blob) || gotNumber != number || !gotYes || none != nil || gotName != name ||
				numberAsText != json.Number(numberAsText).String() || gotLength != int64(len(blob)) || gotNull.String != string(core.Active) {
				t.Errorf("%d: %d %d %d %v %v %q %q %d %v", size, len(gotText), len(gotBlob), gotNumber, gotYes, none, gotName, numberAsText, gotLength, gotNull)
			}
		}
		var there, nothing bool
		var raw []byte
		if err := c.row(`SELECT ?1`, json.RawMessage(`{}`)).Scan(&raw); err != nil || string(raw) != `{}` {
			t.Errorf("bytes of another name: %q, %v", raw, err)
		}
		if err := c.row(`SELECT ?1 IS NULL, ?2 IS NULL`, []byte{}, []byte(nil)).Scan(&there, &nothing); err != nil || there || !nothing {
			t.Errorf("an empty blob is NULL: %v; none is NULL: %v, %v", there, nothing, err)
		}
	})
}

// TestValuesRefused: what does not fit is an error, and the statement can be
// run again.
func TestValuesRefused(t *testing.T) {
	onConn(t, func(c *conn) {
		var text string
		var number int64
		var yes bool
		var key [16]byte
		for name, got := range map[string]error{
			"NULL into a text":          c.row(`SELECT NULL`).Scan(&text),
			"NULL into a number":        c.row(`SELECT NULL`).Scan(&number),
			"a text into a number":      c.row(`SELECT '7'`).Scan(&number),
			"two into a truth":          c.row(`SELECT 2`).Scan(&yes),
			"a short key":               c.row(`SELECT x'00'`).Scan(fixed(key[:])),
			"a text as a key":           c.row(`SELECT '0123456789abcdef'`).Scan(fixed(key[:])),
			"two columns into one":      c.row(`SELECT 1, 2`).Scan(&number),
			"a parameter missing":       c.row(`SELECT ?1, ?2`, 1).Scan(&number, &number),
			"a parameter of no type":    c.row(`SELECT ?1`, struct{}{}).Scan(&number),
			"a place of no type":        c.row(`SELECT 1`).Scan(new(struct{})),
			"a statement that is wrong": c.row(`SELEKT 1`).Scan(&number),
		} {
			if got == nil || errors.Is(got, sql.ErrNoRows) {
				t.Errorf("%s: %v", name, got)
			}
		}
		if err := c.row(`SELECT 1 WHERE 0`).Scan(&number); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("no row: %v", err)
		}
		err := c.each(func(scanner) error { return c.row(`SELECT 1 UNION SELECT 2`).Scan(&number) }, `SELECT 1 UNION SELECT 2`)
		if err == nil {
			t.Error("a statement was run while it was under way")
		}
		if err := c.row(`SELECT 1 UNION SELECT 2`).Scan(&number); err != nil || number != 1 {
			t.Errorf("and then again: %d, %v", number, err)
		}
	})
}

// TestResultCodes: an error has the code that its meaning is told by.
func TestResultCodes(t *testing.T) {
	onConn(t, func(c *conn) {
		for query, want := range map[string]struct {
			code int
			is   error
		}{
			`INSERT INTO meta (name, value) SELECT name, '' FROM meta`:                                              {lib.SQLITE_CONSTRAINT_PRIMARYKEY, core.ErrExists},
			`INSERT INTO login_names (account, name, user) VALUES ('', '', 'nobody')`:                               {lib.SQLITE_CONSTRAINT_FOREIGNKEY, core.ErrNoRow},
			`UPDATE accounts SET version = NULL`:                                                                    {lib.SQLITE_CONSTRAINT_NOTNULL, nil},
			`INSERT INTO login_names (account, name, user) SELECT '', '', 'nobody' FROM meta WHERE name = 'schema'`: {0, nil},
		} {
			_, err := c.exec(query)
			var e *sqliteError
			if want.code == 0 {
				if err != nil {
					t.Errorf("%s: %v", query, err)
				}
				continue
			}
			if !errors.As(err, &e) || e.Code() != want.code || fatal(err) || want.is != nil && !errors.Is(taken(err), want.is) {
				t.Errorf("%s: %v", query, err)
			}
		}
	})
}

// TestPlainList: lists are read as encoding/json reads them.
func TestPlainList(t *testing.T) {
	for _, text := range []string{
		`["a"]`, `["a","b"]`, `["","",""]`, `["a", "b"]`, `["a\"","b"]`, `["a\",\"b"]`, `["é","\u00e9"]`, "[\"\xff\"]", `[]`, `["a",1]`, `["a"`, `["a""b"]`, `[1]`, `["]`,
	} {
		var want []string
		werr := json.Unmarshal([]byte(text), &want)
		got, err := decodeList(text)
		if (err == nil) != (werr == nil) || err == nil && len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v; json says %q, %v", text, got, err, want, werr)
		}
	}
}
