package core_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestSchemaWords: who may use a store, and who beside whom.
func TestSchemaWords(t *testing.T) {
	pending := []core.Migration{{Number: 4, Name: "d"}, {Number: 5, Name: "e", UsableSince: 4}}
	for name, c := range map[string]struct {
		s              core.Schema
		usable, beside bool
		words          string
	}{
		"empty":                    {core.Schema{Known: 3}, true, false, "is empty"},
		"same, older can":          {core.Schema{Have: 3, UsableSince: 1, Known: 3}, true, true, "Older binaries can use it as well, beside this one too, as long as they know schema 1"},
		"same, none older":         {core.Schema{Have: 3, UsableSince: 3, Known: 3}, true, false, "No older binary"},
		"newer, can":               {core.Schema{Have: 5, UsableSince: 3, Known: 3}, true, true, "This one can use it, also beside"},
		"newer, cannot":            {core.Schema{Have: 5, UsableSince: 4, Known: 3}, false, false, "cannot use it any more"},
		"pending, no one beside":   {core.Schema{Have: 3, UsableSince: 1, Known: 5, Pending: pending}, true, false, "stop those that serve it now before"},
		"pending, some beside":     {core.Schema{Have: 4, UsableSince: 1, Known: 5, Pending: pending[1:]}, true, true, "know schema 4 or later can use it afterwards too"},
		"pending, nothing is said": {core.Schema{Have: 3, UsableSince: 1, Known: 4, Pending: pending[:1]}, true, true, "know schema 1 or later"},
		"moved":                    {core.Schema{Have: 3, UsableSince: 1 << 30, Known: 3, Move: &core.Move{From: "sqlite:/d", To: "postgres://h/d", DoneAt: 1}}, false, false, "The store sqlite:/d was moved to postgres://h/d"},
	} {
		got := strings.Join(c.s.Words(), "\n")
		if c.s.Usable() != c.usable || c.s.Move == nil && c.s.Have > 0 && c.s.Usable() && c.s.Have <= c.s.Known && c.s.Beside() != c.beside || !strings.Contains(got, c.words) {
			t.Errorf("%s: usable %t, beside %t, %s", name, c.s.Usable(), c.s.Beside(), got)
		}
	}
	if _, err := core.ReadMigration("x_y.sql", ""); err == nil {
		t.Error("a migration without a number is read")
	}
}
