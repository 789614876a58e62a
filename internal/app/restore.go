package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// Restore fills the data directory, which must have no store, from a backup.
// The store is built in a folder beside and put in its place when the backup
// proved whole, so that a restore that is cut off leaves none. It must be
// confirmed before it is served.
func Restore(ctx context.Context, cfg *config.Config, o Options, in io.Reader, progress func(table string, done, total int64)) (report *BackupReport, err error) {
	if err := o.fill(cfg); err != nil {
		return nil, err
	}
	if cfg.Store != "" {
		return restoreShared(ctx, cfg, o, in, progress)
	}
	dir := absolute(cfg.Data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	lock, err := sqlite.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := noStore(dir); err != nil {
		return nil, err
	}
	building := filepath.Join(dir, restoringName)
	if err := os.RemoveAll(building); err != nil { // of one that was cut off
		return nil, fmt.Errorf("clearing what a former restore left: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(building)) }()
	if report, err = fill(ctx, o, building, in, progress); err != nil {
		return nil, err
	}
	return report, moveStore(building, dir)
}

// restoreShared fills an empty database. Cut off, it leaves one that nobody
// serves, and that the same backup can be restored into again.
func restoreShared(ctx context.Context, cfg *config.Config, o Options, in io.Reader, progress dump.Progress) (report *BackupReport, err error) {
	e := &engine{dir: absolute(cfg.Data), log: o.Logger, now: o.Now}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.openStore(ctx, cfg, o, true); err != nil && !errors.Is(err, core.ErrLoading) {
		return nil, err
	}
	if err := idle(ctx, e.store, place{url: cfg.Store}); err != nil {
		return nil, err
	}
	report, err = load(ctx, e.store, in, progress)
	if errors.Is(err, dump.ErrNotEmpty) {
		return nil, fmt.Errorf("%w: restore into an empty database", err)
	}
	return report, err
}

// noStore refuses a directory that has a store, or remains of one: a log that
// lay beside another file would be played into this one.
func noStore(dir string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		path := filepath.Join(dir, sqlite.FileName+suffix)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already: restore into another directory (--data DIR), or move it away first", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for a store: %w", err)
		}
	}
	return nil
}

// fill builds a store in a new directory.
func fill(ctx context.Context, o Options, dir string, in io.Reader, progress dump.Progress) (*BackupReport, error) {
	st, err := sqlite.Open(ctx, sqlite.Config{Dir: dir, Create: true, Now: o.Now, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	report, err := load(ctx, st, in, progress)
	return report, errors.Join(err, st.Close())
}

// load fills an empty store from a backup and marks it as one to be confirmed.
func load(ctx context.Context, to dump.Target, in io.Reader, progress dump.Progress) (*BackupReport, error) {
	r, err := dump.NewReader(in)
	if err != nil {
		return nil, err
	}
	// Another backup's rows would mix with what is left of this one.
	mark := fmt.Sprintf("restore of the backup %d of %s", r.Header.CreatedAt, r.Header.Incarnation)
	if err := to.BeginLoad(ctx, mark); err != nil {
		return nil, err
	}
	loading := &dump.Loading{To: to}
	report, err := readBackup(r, progress, func(t *dump.Table, rows [][]any) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return loading.LoadRows(ctx, t, rows)
	})
	if err != nil {
		return nil, err
	}
	if err := loading.Flush(ctx); err != nil {
		return nil, err
	}
	if err := to.BuildIndexes(ctx, buildingIndexes(progress)); err != nil {
		return nil, err
	}
	made := time.UnixMilli(report.CreatedAt).UTC().Format("2006-01-02 15:04:05 UTC")
	return report, to.EndLoad(ctx, map[string]string{core.MetaRestored: "it was filled from a backup of " + made})
}

// BuildingIndexes is what progress is told in the place of a table while
// indexes are built; done and total are then how many.
const BuildingIndexes = "building indexes"

func buildingIndexes(progress dump.Progress) dump.Progress {
	return func(_ string, done, total int64) { progress.Tell(BuildingIndexes, done, total) }
}

// moveStore puts a finished store in its place.
func moveStore(from, to string) error {
	if _, err := os.Stat(filepath.Join(from, sqlite.FileName+"-wal")); err == nil {
		return errors.New("the restored store was not closed well: its log is still there")
	}
	if err := os.Rename(filepath.Join(from, sqlite.FileName), filepath.Join(to, sqlite.FileName)); err != nil {
		return fmt.Errorf("putting the store in its place: %w", err)
	}
	d, err := os.Open(to)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
