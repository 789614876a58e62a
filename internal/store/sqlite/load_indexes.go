package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// A store of millions of sessions is loaded without the indexes that are there
// for looking things up: each row would change a page of each of them, all over
// the file. Sorted and written at a stroke afterwards they cost a tenth. Keys
// stay, because rows with the same one are replaced.
//
// BeginLoad writes down in the store what it drops, in the step that marks it.
// So whoever goes on with a loading, in another process, after another kill,
// knows what is missing, and nobody else uses a store that bears the mark.

// metaIndexes is the Meta name of what was dropped.
const metaIndexes = "loading_indexes"

const (
	// While loading, the writer's cache, in KiB, and after how many pages of log
	// it is carried over: what is written again meanwhile goes over once.
	loadCache, loadCheckpoint = 131_072, 32_768
)

// setCache sets the writer's cache, in KiB. A writer that was opened anew after
// a failure has the usual one.
func (s *Store) setCache(ctx context.Context, kib int) error {
	return s.single(ctx, func(t *tx) error {
		_, err := t.exec(fmt.Sprintf("PRAGMA cache_size=-%d", kib))
		return err
	})
}

// asideIndex is an index that was dropped.
type asideIndex struct {
	Name string `json:"name"`
	SQL  string `json:"sql"`
}

// putIndexesAside drops the indexes of all tables but those that keep rows
// apart. A store that is empty but for what each has bears it in no time.
func (t *tx) putIndexesAside() error {
	var all []asideIndex
	err := t.each(func(row scanner) error {
		var i asideIndex
		err := row.Scan(&i.Name, &i.SQL)
		all = append(all, i)
		return err
	}, `SELECT i.name, i.sql FROM sqlite_schema i, pragma_index_list(i.tbl_name) l
		WHERE i.type = 'index' AND i.sql IS NOT NULL AND l.name = i.name AND NOT l."unique" ORDER BY i.rowid`)
	if err != nil {
		return err
	}
	note, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO meta (name, value) VALUES (?, ?)`, metaIndexes, string(note)); err != nil {
		return err
	}
	for _, i := range all {
		if _, err := t.exec(`DROP INDEX "` + i.Name + `"`); err != nil {
			return fmt.Errorf("putting the index %s aside: %w", i.Name, err)
		}
	}
	return nil
}

// indexesAside lists the indexes that BeginLoad dropped and that are not there
// again.
func (t *tx) indexesAside() (left []asideIndex, err error) {
	var note string
	err = noRow(t.row(`SELECT value FROM meta WHERE name = ?`, metaIndexes).Scan(&note))
	if errors.Is(err, core.ErrNoRow) {
		return nil, nil // nothing is being loaded
	}
	if err != nil {
		return nil, err
	}
	var all []asideIndex
	if err := json.Unmarshal([]byte(note), &all); err != nil {
		return nil, fmt.Errorf("the note of the indexes to build is damaged: %w", err)
	}
	for _, i := range all {
		var there bool
		if err := t.row(`SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?)`, i.Name).Scan(&there); err != nil {
			return nil, err
		}
		if !there {
			left = append(left, i)
		}
	}
	return left, nil
}

// BuildIndexes implements dump.Target. Each index is a step.
func (s *Store) BuildIndexes(ctx context.Context, progress dump.Progress) error {
	var left []asideIndex
	err := s.single(ctx, func(t *tx) (err error) {
		left, err = t.indexesAside()
		return err
	})
	if err != nil || len(left) == 0 {
		return err
	}
	if err := s.sortHere(ctx, filepath.Dir(s.path)); err != nil {
		return err
	}
	for n, i := range left {
		progress.Tell(i.Name, int64(n), int64(len(left)))
		err := s.single(ctx, func(t *tx) error {
			_, err := t.exec(i.SQL)
			return err
		})
		if err != nil {
			return errors.Join(fmt.Errorf("building the index %s: %w", i.Name, err), s.sortHere(ctx, ""))
		}
	}
	progress.Tell("", int64(len(left)), int64(len(left)))
	return s.sortHere(ctx, "")
}

// sortHere names the directory for what does not fit into memory while it is
// sorted; "" is the system's. There may be too little room in that, or
// none at all, and what is sorted is as private as the store. SQLite unlinks
// such files as it opens them, so a kill leaves none.
func (s *Store) sortHere(ctx context.Context, dir string) error {
	return s.single(ctx, func(t *tx) error {
		_, err := t.exec(`PRAGMA temp_store_directory = '` + strings.ReplaceAll(dir, "'", "''") + `'`)
		return err
	})
}
