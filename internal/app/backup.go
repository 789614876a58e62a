package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// Backup writes the whole store, as of one moment, while it is served. The
// master key is not in it. The audit log tells of it first: whoever takes a copy
// of everything does not do so unseen, and the copy says who took it.
func (a *App) Backup(ctx context.Context, actor core.Actor, out io.Writer) error {
	if err := a.engine.store.AppendAudit(ctx, a.engine.now(), []core.Event{actor.Event("backup.take")}); err != nil {
		return core.StoreError(err)
	}
	return a.engine.backup(ctx, a.opts.Version, out)
}

func (e *engine) backup(ctx context.Context, version string, out io.Writer) error {
	found, err := core.ReadStoreState(ctx, e.store)
	if err != nil {
		return err
	}
	h := dump.Header{Version: version, CreatedAt: e.now(), Store: e.kind(), Installation: found.Installation, Incarnation: found.Incarnation}
	if h.MasterKey, err = e.store.MetaGet(ctx, core.MetaMasterKeyID); err != nil && !errors.Is(err, core.ErrNoRow) {
		return err
	}
	view, err := e.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if h.LastFact, err = lastFactOf(ctx, view); err == nil {
		_, err = dump.Write(ctx, out, view, h, nil)
	}
	return errors.Join(err, view.Close())
}

// lastFactOf is the highest fact number in a view.
func lastFactOf(ctx context.Context, view dump.Snapshot) (last int64, err error) {
	err = view.Rows(ctx, dump.Named(dump.Counters), 0, func(row []any) error {
		if row[0] == "facts" {
			last, _ = row[1].(int64)
		}
		return nil
	})
	return last, err
}

// BackupOffline writes the store of a data directory on which no server runs.
func BackupOffline(ctx context.Context, cfg *config.Config, o Options, out io.Writer) error {
	a, err := OpenOffline(ctx, cfg, o)
	if err != nil {
		return err
	}
	actor := core.Actor{Name: "operator:" + strconv.Itoa(os.Getuid())}
	return errors.Join(a.Backup(ctx, actor, out), a.Close())
}

// BackupReport says what is in a backup.
type BackupReport struct {
	dump.Header
	Tables []dump.TableSum `json:"tables"`
	SHA256 string          `json:"sha256"`
}

// CheckBackup reads a backup to its end and says whether it is whole; progress
// may be nil.
func CheckBackup(in io.Reader, progress func(table string, done, total int64)) (*BackupReport, error) {
	r, err := dump.NewReader(in)
	if err != nil {
		return nil, err
	}
	return readBackup(r, progress, nil)
}

func readBackup(r *dump.Reader, progress dump.Progress, f func(t *dump.Table, rows [][]any) error) (*BackupReport, error) {
	var done int64
	sum, err := r.Each(func(t *dump.Table, rows [][]any) error {
		if f != nil {
			if err := f(t, rows); err != nil {
				return err
			}
		}
		done += int64(len(rows))
		if progress != nil {
			progress(t.Name, done, r.Header.Rows)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if sum.Rows() != r.Header.Rows {
		return nil, fmt.Errorf("%w: it has %d rows and says %d", dump.ErrDamaged, sum.Rows(), r.Header.Rows)
	}
	return &BackupReport{Header: r.Header, Tables: sum.Tables, SHA256: sum.SHA256}, nil
}
