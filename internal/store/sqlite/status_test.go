package sqlite

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// rewind takes the migrations above a number back, as if they had never been.
func rewind(t *testing.T, s *Store, to int) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	err = s.multi(t.Context(), func(tx *tx) error {
		for _, name := range slices.Backward(files[to:]) {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			_, down, _ := strings.Cut(string(text), "-- +goose Down")
			for _, stmt := range strings.Split(strings.TrimSpace(down), ";") {
				if stmt == "" {
					continue
				}
				if _, err := tx.exec(stmt); err != nil {
					return err
				}
			}
		}
		_, err := tx.exec(`DELETE FROM goose_db_version WHERE version_id > ` + strconv.Itoa(to))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSchemaThreeIsAnAddition: a store of the binary before opens; what that
// binary forgot to tell verifiers of application tokens is told, and what it
// writes beside this one has no number and raises the versions of lists.
func TestSchemaThreeIsAnAddition(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	rewind(t, s, 2)
	must := func(query string, args ...any) {
		t.Helper()
		err := s.multi(t.Context(), func(tx *tx) error {
			_, err := tx.exec(query, args...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, state := range map[string]string{"fine": "active", "gone": "disabled"} {
		p := user(name)
		p.User.ID, p.User.Type, p.User.State = name, core.TypeApplication, core.State(state)
		if _, err := s.CreateUser(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	mint := func(id, user string, suspended int) {
		t.Helper()
		must(`INSERT INTO app_tokens (id, hash, user, account, mount, session, label, networks, scopes, created_at, created_by, last_used, last_from, revoked_at, suspended)
			VALUES (?1, CAST(?1 AS BLOB), ?2, 'ac_default', 'm', '', '', '[]', '[]', 1, '', 0, '', 0, ?3)`, id, user, suspended)
	}
	fact := `INSERT INTO facts (kind, subject, spare, reason, at, purge_at) VALUES ('token', ?, '', '', 1, 0)`
	mint("fine", "fine", 0)
	mint("of a disabled user", "gone", 0)
	mint("suspended", "fine", 1)
	must(fact, "suspended")
	mint("resumed", "fine", 0)
	must(fact, "resumed")
	closing(t, s)

	s = openAt(t, dir)
	defer closing(t, s)
	facts, _, err := s.FactsSince(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	latest := map[string]string{}
	for _, f := range facts {
		latest[f.Subject] = f.Spare
	}
	want := map[string]string{"of a disabled user": "", "suspended": "", "resumed": "resumed"}
	if len(latest) != len(want) || latest["resumed"] != "resumed" || latest["of a disabled user"] != "" || len(facts) != 4 {
		t.Errorf("facts %v, want %v", latest, want)
	}

	// The binary before goes on beside this one.
	mint("minted by the old", "fine", 0)
	if _, err := s.ReserveStatus(t.Context(), &core.ReserveStatusParams{Space: core.StatusTokens, Count: 8, Incarnation: "in_a", Now: testNow}); err != nil {
		t.Fatal(err)
	}
	mint("minted by the new", "fine", 0)
	must(`UPDATE app_tokens SET status = 3 WHERE id = 'minted by the new'`)
	must(`UPDATE app_tokens SET revoked_at = 5 WHERE status = 0`)
	must(`UPDATE users SET state = 'disabled' WHERE id = 'fine'`)
	l, err := s.StatusList(t.Context(), core.StatusQuery{Space: core.StatusTokens, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	if l.Version != 2 || l.Dead[0] != 1<<3|1 {
		t.Errorf("version %d, first bits %08b", l.Version, l.Dead[0])
	}
}

// TestStatusIndexes: a list is read from indexes, whatever the size of the
// tables.
func TestStatusIndexes(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	for name, c := range map[string]struct{ query, want string }{
		"sessions": {heldNumbers[core.StatusSessions], "USING COVERING INDEX sessions_by_status (status>? AND status<?)"},
		"tokens":   {heldNumbers[core.StatusTokens], "USING INDEX app_tokens_by_status (status>? AND status<?)"},
		"lists":    {liveLists[core.StatusSessions], "USING COVERING INDEX sessions_by_status (status>? AND status<?)"},
		"accounts": {endedByAccount, "USING INDEX sessions_by_account (account=?)"},
	} {
		var plan []string
		err := s.view(t.Context(), func(k *conn) error {
			return k.each(func(row scanner) error {
				var id, parent, other int
				var detail string
				err := row.Scan(&id, &parent, &other, &detail)
				plan = append(plan, detail)
				return err
			}, `EXPLAIN QUERY PLAN `+c.query, 0, 65536)
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(plan, "\n"), c.want) {
			t.Errorf("%s:\n%s\nwant %s", name, strings.Join(plan, "\n"), c.want)
		}
	}
}

// BenchmarkStatusList builds a list whose 65,536 numbers all are sessions'.
func BenchmarkStatusList(b *testing.B) {
	s := openAt(b, b.TempDir())
	defer closing(b, s)
	if _, err := s.ReserveStatus(b.Context(), &core.ReserveStatusParams{Space: core.StatusSessions, Count: 2 * core.StatusListSize, Incarnation: "in_a", Now: testNow}); err != nil {
		b.Fatal(err)
	}
	err := s.multi(b.Context(), func(tx *tx) error {
		_, err := tx.exec(`WITH RECURSIVE n(i) AS (SELECT 65536 UNION ALL SELECT i + 1 FROM n WHERE i < 131071)
			INSERT INTO sessions SELECT randomblob(16), 0, 'm', 'ac_default', 'user', 'u' || (i % 5000), 'password', 'name', 1, 0, 0, 0, 0, 0, 'k', ?1, ?1, ?1,
				1, 0, 0, 0, CASE i % 3 WHEN 0 THEN 1 ELSE 0 END, '', '', '', i FROM n`, testNow)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := s.StatusList(b.Context(), core.StatusQuery{Space: core.StatusSessions, List: 1, Now: testNow})
		if err != nil {
			b.Fatal(err)
		}
		if len(l.Dead) != core.StatusListSize/8 {
			b.Fatal("no bits")
		}
	}
}
