package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/journal"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// journalName is the file of the facts journal where nothing else is said.
const journalName = "facts.journal"

// restoringName is a folder in the data directory in which a restore builds
// the store. Nothing else ever makes it.
const restoringName = "restoring"

// journalPlaces are where the facts journal may be, the best first. Beside the
// master key, it stays when somebody puts an old store in the place of the
// present one; a folder of mounted secrets cannot be written, though.
func (e *engine) journalPlaces(cfg *config.Config) []string {
	if cfg.FactsJournal != "" {
		return []string{absolute(cfg.FactsJournal)}
	}
	places := []string{filepath.Join(e.dir, journalName)}
	// A store in PostgreSQL is elsewhere in any case, and nodes on one machine
	// may share the file of the master key, which a journal is not for.
	if cfg.MasterKeyFile != "" && cfg.Store == "" {
		beside := filepath.Join(filepath.Dir(absolute(cfg.MasterKeyFile)), journalName)
		if beside != places[0] {
			places = append([]string{beside}, places...)
		}
	}
	return places
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// findJournal says where the journal is; "" when there is none.
func (e *engine) findJournal(cfg *config.Config) (string, error) {
	for _, path := range e.journalPlaces(cfg) {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for the facts journal: %w", err)
		}
	}
	return "", nil
}

// checkPlace refuses to make a new store where there was one: the next step
// would be a server that knows nobody, and a journal of another life beside it.
func (e *engine) checkPlace(cfg *config.Config) error {
	if cfg.Store != "" {
		return nil // it is elsewhere; judgeStore compares it with the journal
	}
	// A restore that was finished and not cleared up has moved the store away.
	if _, err := os.Stat(filepath.Join(e.dir, restoringName, sqlite.FileName)); err == nil {
		return fmt.Errorf("a restore into %s was cut off: run `sallyport restore FILE` again, or remove %s", e.dir, filepath.Join(e.dir, restoringName))
	}
	_, err := os.Stat(filepath.Join(e.dir, sqlite.FileName))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	path, err := e.findJournal(cfg)
	if err != nil || path == "" {
		return err
	}
	return fmt.Errorf("there is no store in %s, and a facts journal of one in %s: bring the store back with `sallyport restore FILE`, or move the journal away to begin anew", e.dir, path)
}

// judgeStore opens the facts journal, if there is one, and refuses a store that
// has forgotten what the journal knows. *core.RestoredError.
func (e *engine) judgeStore(ctx context.Context, cfg *config.Config) error {
	found, err := core.ReadStoreState(ctx, e.store)
	if err != nil {
		return err
	}
	path, err := e.findJournal(cfg)
	if err != nil {
		return err
	}
	if path == "" {
		return e.judgeAlone(found, cfg)
	}
	if e.journal, err = journal.Open(journal.Config{Path: path, MakeRoom: e.makeRoom, Logger: e.log}); err != nil {
		return err
	}
	known := e.journal.State()
	if err := core.JudgeStore(found, known, e.shared()); err != nil {
		return errors.Join(err, e.tellNodes(ctx, found, err))
	}
	if known.Incarnation != found.Incarnation {
		e.log.Info("the store was restored and confirmed; this node goes on with it", "incarnation", found.Incarnation)
		return e.journal.Adopt(found.Incarnation, 0)
	}
	return core.CheckMark(ctx, e.store, known.Mark)
}

// judgeAlone judges a store beside which there is no journal.
func (e *engine) judgeAlone(found *core.StoreState, cfg *config.Config) error {
	if err := core.JudgeStore(found, nil, e.shared()); err != nil {
		return fmt.Errorf("%w (looked for %s; if it lies elsewhere now, name it with facts_journal)", err, strings.Join(e.journalPlaces(cfg), " and "))
	}
	if found.Journaled {
		e.log.Warn("this node has no facts journal yet, so it cannot tell whether the database was put back to an earlier day; it makes one, which must be kept", "places", e.journalPlaces(cfg))
	}
	return nil
}

// tellNodes marks a store that others serve, too, as restored: a node that is
// new, and has no journal to see it by, must not serve it either.
func (e *engine) tellNodes(ctx context.Context, found *core.StoreState, verdict error) error {
	var restored *core.RestoredError
	if !e.shared() || found.Restored != "" || !errors.As(verdict, &restored) {
		return nil
	}
	return e.store.MetaSet(ctx, &core.MetaSetParams{Name: core.MetaRestored, Value: restored.Why, Now: e.now()})
}

// startJournal makes the journal of a store that never had one. It is written
// from the store's log as soon as the service has read that.
func (e *engine) startJournal(ctx context.Context, cfg *config.Config) error {
	if e.journal == nil {
		if err := e.makeJournal(ctx, cfg); err != nil {
			return err
		}
	}
	// After the file: should the process die between, the next start finds a
	// journal and a store that agree.
	if _, err := e.store.MetaSetOnce(ctx, core.MetaJournaled, "1"); err != nil {
		return fmt.Errorf("noting that there is a facts journal: %w", err)
	}
	return nil
}

func (e *engine) makeJournal(ctx context.Context, cfg *config.Config) error {
	installation, err := e.store.MetaSetOnce(ctx, core.MetaInstallation, core.NewID("ins_"))
	if err != nil {
		return fmt.Errorf("naming the installation: %w", err)
	}
	incarnation, err := e.store.MetaGet(ctx, core.MetaIncarnation)
	if err != nil {
		return fmt.Errorf("reading the store's incarnation: %w", err)
	}
	places := e.journalPlaces(cfg)
	for i, path := range places {
		e.journal, err = journal.Create(journal.Config{Path: path, MakeRoom: e.makeRoom, Logger: e.log}, installation, incarnation)
		if err == nil {
			return nil
		}
		if i+1 < len(places) {
			e.log.Warn("the facts journal cannot be beside the master key; it is made in the data directory, where it is lost with the store; see facts_journal", "err", err)
		}
	}
	return fmt.Errorf("%w; name another place with facts_journal", err)
}

// makeRoom gives up the ballast of the data directory for the journal.
func (e *engine) makeRoom() bool {
	s, ok := e.store.(interface{ GiveUpBallast() bool })
	return ok && s.GiveUpBallast()
}

// factsJournal is the journal for core, which knows none by a nil interface.
func (e *engine) factsJournal() core.Journal {
	if e.journal == nil {
		return nil
	}
	return e.journal
}
