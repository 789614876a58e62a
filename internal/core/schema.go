package core

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Migration is one change of a store's schema.
type Migration struct {
	Number int64  `json:"number"`
	Name   string `json:"name"`
	// UsableSince is what the migration says of itself: binaries that know this
	// schema or a later one can use the store afterwards. 0 = it says nothing,
	// and what held before still does.
	UsableSince int64 `json:"usable_since,omitempty"`
}

// ReadMigration reads what a migration's file says: NUMBER_NAME.sql.
func ReadMigration(file, text string) (m Migration, err error) {
	number, name, _ := strings.Cut(strings.TrimSuffix(file, ".sql"), "_")
	if m.Number, err = strconv.ParseInt(number, 10, 64); err != nil {
		return m, fmt.Errorf("migration %s: its name must begin with a number: %w", file, err)
	}
	m.Name = name
	for _, found := range usableSince.FindAllStringSubmatch(text, -1) {
		if m.UsableSince, err = strconv.ParseInt(found[1]+found[2], 10, 64); err != nil {
			return m, fmt.Errorf("migration %s: %w", file, err)
		}
	}
	return m, nil
}

// PendingMigrations reads the files migrations/*.sql: which schema they make in
// the end, and those of them that come after a number, in order.
func PendingMigrations(all fs.FS, after int64) (known int64, pending []Migration, err error) {
	pending = []Migration{}
	names, err := fs.Glob(all, "migrations/*.sql") // sorted
	if err != nil {
		return 0, nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(all, name)
		if err != nil {
			return 0, nil, err
		}
		m, err := ReadMigration(path.Base(name), string(text))
		if err != nil {
			return 0, nil, err
		}
		if known = max(known, m.Number); m.Number > after {
			pending = append(pending, m)
		}
	}
	return known, pending, nil
}

// usableSince finds the two ways in which migrations set the number.
var usableSince = regexp.MustCompile(`(?i)VALUES \('schema_usable_since', '(\d+)'\)|SET value = '(\d+)' WHERE name = 'schema_usable_since'`)

// Schema says how a store and this binary stand to each other.
type Schema struct {
	Kind        string      `json:"kind"`         // sqlite or postgres
	Have        int64       `json:"schema"`       // of the store; 0 = it is empty
	UsableSince int64       `json:"usable_since"` // binaries that know this schema or a later one can use it; 0 = empty
	Known       int64       `json:"known"`        // schema of this binary
	Pending     []Migration `json:"pending"`      // what this binary would do to the store, in order
	Move        *Move       `json:"move,omitempty"`
}

// Usable says whether this binary can use the store, after its migrations if
// it has any.
func (s *Schema) Usable() bool {
	return s.Move == nil && (s.Have <= s.Known || s.UsableSince <= s.Known)
}

// After is what UsableSince will be after the pending migrations.
func (s *Schema) After() int64 {
	since := s.UsableSince
	for _, m := range s.Pending {
		if m.UsableSince > 0 {
			since = m.UsableSince
		}
	}
	return since
}

// Beside says whether a binary that knows the schema of the store as it is now,
// and none later, can go on while this one is served.
func (s *Schema) Beside() bool {
	if len(s.Pending) == 0 {
		return s.UsableSince < s.Known // the binary before this one
	}
	return s.Have > 0 && s.After() <= s.Have
}

// Words explains it, a line each.
func (s *Schema) Words() []string {
	switch {
	case s.Move != nil:
		text := (&MovedError{*s.Move}).Error()
		return []string{strings.ToUpper(text[:1]) + text[1:] + "."}
	case s.Have == 0:
		return []string{"The store is empty. `sallyport serve` makes it."}
	case s.Have > s.Known && s.UsableSince > s.Known:
		return []string{
			"A newer sallyport has migrated the store, and this one cannot use it any more.",
			fmt.Sprintf("Start one that knows schema %d or later, or restore a backup from before the upgrade.", s.UsableSince),
		}
	case s.Have > s.Known:
		return []string{"A newer sallyport has migrated the store. This one can use it, also beside the newer one."}
	case len(s.Pending) > 0:
		lines := []string{
			"`sallyport serve` will migrate the store when it starts. Each migration happens whole or not at all: a start that was killed is repeated, and there is nothing to repair.",
		}
		if s.Beside() {
			return append(lines, fmt.Sprintf("Binaries that know schema %d or later can use it afterwards too: those that serve it now may go on beside this one, and you can go back to them.", s.After()))
		}
		return append(lines, fmt.Sprintf("Afterwards only binaries that know schema %d or later can use it: stop those that serve it now before, and make a backup to be able to go back.", s.After()))
	}
	lines := []string{"The store is up to date."}
	if s.Beside() {
		return append(lines, fmt.Sprintf("Older binaries can use it as well, beside this one too, as long as they know schema %d or a later one.", s.UsableSince))
	}
	return append(lines, "No older binary can use it.")
}
