package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// A store of millions of sessions is loaded without the indexes that are there
// for looking things up: each row would change a page of each of them. Sorted
// and written at a stroke afterwards they cost a tenth. Keys stay, because rows
// with the same one are replaced.
//
// BeginLoad writes down in the store what it drops, in the step that marks it.
// So whoever goes on with a loading, in another process, after another kill,
// knows what is missing, and nobody else uses a store that bears the mark.

// metaIndexes is the Meta name of what was dropped.
const metaIndexes = "loading_indexes"

var errIndexesLeft = fmt.Errorf("%w: an index that was put aside is missing still", core.ErrStoreUnavailable)

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// asideIndex is an index that was dropped.
type asideIndex struct {
	Name string `json:"name"`
	SQL  string `json:"sql"`
}

// putIndexesAside drops the indexes of our tables but those that keep rows
// apart, and the one by which events without a place in the audit chain are
// found: no row that is loaded stands in it, and nodes look there at any time.
func (t *tx) putIndexesAside() error {
	var tables []string
	for _, one := range dump.Tables() {
		tables = append(tables, one.Name)
	}
	all, err := collect(t.conn, func(row scanner) (i asideIndex, err error) {
		err = row.Scan(&i.Name, &i.SQL)
		return i, err
	}, `SELECT format('%I.%I', n.nspname, c.relname), pg_get_indexdef(c.oid)
		FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT x.indisunique AND c.relname <> 'audit_loose' AND x.indrelid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS names (name))
		ORDER BY c.oid`, tables)
	if err != nil {
		return err
	}
	note, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2)`, metaIndexes, string(note)); err != nil {
		return err
	}
	for _, i := range all {
		if _, err := t.exec(`DROP INDEX ` + i.Name); err != nil {
			return fmt.Errorf("putting the index %s aside: %w", i.Name, err)
		}
	}
	return nil
}

// indexesAside lists the indexes that BeginLoad dropped and that are not there
// again.
func (t *tx) indexesAside() ([]asideIndex, error) {
	var note string
	err := t.row(`SELECT value FROM meta WHERE name = $1`, metaIndexes).Scan(&note)
	if errors.Is(err, core.ErrNoRow) {
		return nil, nil // nothing is being loaded
	}
	if err != nil {
		return nil, err
	}
	var all, left []asideIndex
	if err := json.Unmarshal([]byte(note), &all); err != nil {
		return nil, fmt.Errorf("the note of the indexes to build is damaged: %w", err)
	}
	for _, i := range all {
		var there bool
		if err := t.row(`SELECT to_regclass($1) IS NOT NULL`, i.Name).Scan(&there); err != nil {
			return nil, err
		}
		if !there {
			left = append(left, i)
		}
	}
	return left, nil
}

// BuildIndexes implements dump.Target. Each index is a step, as long as it
// takes: the time limits of steps are for those whom people wait for.
func (s *Store) BuildIndexes(ctx context.Context, progress dump.Progress) error {
	var left []asideIndex
	err := s.multi(ctx, func(t *tx) (err error) {
		left, err = t.indexesAside()
		return err
	})
	if err != nil || len(left) == 0 {
		return err
	}
	for n, i := range left {
		progress.Tell(i.Name, int64(n), int64(len(left)))
		if err := s.buildIndex(ctx, i); err != nil {
			return fmt.Errorf("building the index %s: %w", i.Name, err)
		}
	}
	progress.Tell("", int64(len(left)), int64(len(left)))
	return nil
}

func (s *Store) buildIndex(ctx context.Context, i asideIndex) error {
	return s.unhurried(ctx, func(t *tx) error {
		// Somebody else may go on with the same loading.
		var there bool
		if err := t.row(`SELECT to_regclass($1) IS NOT NULL`, i.Name).Scan(&there); err != nil || there {
			return err
		}
		_, err := t.exec(i.SQL)
		return err
	})
}

// unhurried is multi for a step of a loading: it may take as long as it takes,
// and ends with its caller.
func (s *Store) unhurried(ctx context.Context, run func(*tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.running.Done()
	return outward(s.transact(ctx, func(t *tx) error {
		_, err := t.exec(`SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`)
		if err != nil {
			return err
		}
		return run(t)
	}))
}
