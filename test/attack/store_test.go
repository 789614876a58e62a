package attack_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// counters are the tables that refusals may write to: budgets of attempts, and
// the minute's summary of refusals in the audit log.
var counters = map[string]bool{"attempts": true, "audit": true}

// purged are tables that the server's own chores write to, at their own times.
var purged = map[string]bool{"meta": true, "status_blocks": true}

// rows are the rows of every table, by a digest of each, and the number of
// audit records of each kind.
func (w *world) rows() *snapshot {
	w.t.Helper()
	version := w.version()
	names := w.column(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	out := map[string]bool{}
	for _, name := range names {
		if counters[name] || purged[name] {
			continue
		}
		for _, row := range w.column(fmt.Sprintf("SELECT quote(json_array(%s)) FROM %s", w.quoted(name), name)) {
			sum := sha256.Sum256([]byte(row))
			out[name+" "+hex.EncodeToString(sum[:])] = true
		}
	}
	for _, kind := range w.column(`SELECT kind || ' ' || count(*) FROM audit WHERE kind NOT IN ('refusals', 'token.grants') GROUP BY kind`) {
		out["audit "+kind] = true
	}
	return &snapshot{version, out}
}

// snapshot is what the store held.
type snapshot struct {
	version string // changes with every commit of others
	rows    map[string]bool
}

// version is SQLite's data_version: as long as it stays, nothing was committed.
func (w *world) version() string { return w.column(`PRAGMA data_version`)[0] }

// unchanged compares with earlier rows. None may be new, and none changed; what
// has gone was purged because its time was over, which refusals cannot ask for.
func (w *world) unchanged(before *snapshot, after string) {
	w.t.Helper()
	if w.version() == before.version {
		return // nobody has written anything at all
	}
	tables := map[string]int{}
	for row := range w.rows().rows {
		if !before.rows[row] {
			name, _, _ := strings.Cut(row, " ")
			if name == "audit" {
				name = row
			}
			tables[name]++
		}
	}
	for name, n := range tables {
		w.t.Errorf("%s: %d rows of %s are new or changed", after, n, name)
	}
}

// quoted lists the columns of a table as SQL literals, so that blobs compare;
// those of last use are left out, because good requests have them written late.
func (w *world) quoted(table string) string {
	cols := w.column(`SELECT 'quote("' || name || '")' FROM pragma_table_info(?) WHERE name NOT LIKE 'last_%'`, table)
	return strings.Join(cols, ", ")
}

func (w *world) column(query string, args ...any) []string {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), query, args...)
	if err != nil {
		w.t.Fatal(query, err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// copyKeys opens the keys of a copy of the data directory, as a thief of
// everything would.
func (w *world) copyKeys() {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "copy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal", "master.key"} {
		data, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	store, err := sqlite.Open(w.t.Context(), sqlite.Config{Dir: dir, Now: w.clock.Load})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	master, err := keyring.LoadMaster(keyring.Source{File: filepath.Join(dir, "master.key")})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.keys, err = keyring.Open(w.t.Context(), keyring.Config{Rows: store, Meta: store, Master: master, Now: w.clock.Load}); err != nil {
		w.t.Fatal(err)
	}
	list, err := store.ListKeys(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.signers = map[core.KeySet]*rawKey{}
	for i := range list {
		row := &list[i]
		if row.State != core.KeyActive || row.Class != core.OwnKey {
			continue
		}
		binding := fmt.Sprintf("keys/%q/%q/%q/%q/%q", row.ID, row.Set.Mount, fmt.Sprint(row.Set.Kind), row.Class, row.Algorithm)
		plain, err := w.keys.Open(core.SealSigningKey, binding, row.Sealed)
		if err != nil {
			w.t.Fatal(err)
		}
		w.signers[row.Set] = parseRawKey(w.t, string(row.Algorithm), row.ID, plain)
	}
}
