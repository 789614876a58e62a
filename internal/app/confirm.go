package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/journal"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// ConfirmOptions say how a restored store is told what it has forgotten.
type ConfirmOptions struct {
	// Facts are copies of facts journals, beside the one of this node.
	Facts []string
	// EndEverything ends all sessions and application tokens instead.
	EndEverything bool
	// JournalLost says that the store is the present one and only the journal
	// is gone.
	JournalLost bool
}

// ConfirmReport says what was done.
type ConfirmReport struct {
	*core.ReplayReport
	Why         string   // it had to be confirmed
	Incarnation string   // the new one, "" for JournalLost
	Journals    []string // that were replayed
	SetAside    string   // where a damaged journal is now
	KeptKeys    []string // signing keys that could not be dropped: others hold them
}

// errConfirmHow asks for one of the ways.
var errConfirmHow = errors.New("there is no facts journal here to replay: name a copy with --facts FILE; " +
	"without any, `sallyport restore confirm --end-everything` ends all sessions and application tokens")

// ConfirmRestore makes a restored store one that may be served.
func ConfirmRestore(ctx context.Context, cfg *config.Config, o Options, c ConfirmOptions) (report *ConfirmReport, err error) {
	if err := o.fill(cfg); err != nil {
		return nil, err
	}
	e := &engine{dir: absolute(cfg.Data), log: o.Logger, now: o.Now, metrics: newMetrics(o.Version)}
	defer func() { err = errors.Join(err, e.close()) }()
	if _, err := os.Stat(filepath.Join(e.dir, sqlite.FileName)); err != nil && cfg.Store == "" {
		return nil, fmt.Errorf("there is no Sallyport data in %s; `sallyport restore FILE` brings it back", e.dir)
	}
	if err := e.openStore(ctx, cfg, o, false); err != nil {
		return nil, err
	}
	f := &confirming{e: e, cfg: cfg, how: c, actor: core.Actor{Name: "operator:" + strconv.Itoa(os.Getuid())}, report: &ConfirmReport{}}
	if err := f.look(ctx); err != nil {
		return nil, err
	}
	if c.JournalLost {
		return f.report, f.startAnew(ctx)
	}
	// A node that serves goes on in the life that ends here, until it starts
	// again and finds a journal of another one.
	if err := idle(ctx, e.store, place{dir: e.dir, url: cfg.Store}); err != nil {
		return nil, err
	}
	return f.report, f.run(ctx, o)
}

// confirming is a confirmation under way.
type confirming struct {
	e       *engine
	cfg     *config.Config
	how     ConfirmOptions
	actor   core.Actor
	report  *ConfirmReport
	found   *core.StoreState
	known   int64    // the store's last fact when it was restored
	former  []string // incarnations that journals know
	highest int64    // fact that a journal knows
	sources []source
}

// source is a journal to replay.
type source struct {
	path   string
	known  int64 // the last fact that the store has of the journal's life
	former bool  // that life was replayed before
}

// look finds out why the store is to be confirmed, and from what.
func (f *confirming) look(ctx context.Context) (err error) {
	if f.found, err = core.ReadStoreState(ctx, f.e.store); err != nil {
		return err
	}
	f.known = f.found.RestoredFact
	path, err := f.e.findJournal(f.cfg)
	if err != nil {
		return err
	}
	var own *core.JournalState
	if path != "" {
		if own, err = f.openOwn(path); err != nil {
			return err
		}
	}
	verdict := core.JudgeStore(f.found, own, f.e.shared())
	if verdict == nil && own != nil {
		verdict = core.CheckMark(ctx, f.e.store, own.Mark)
	}
	var restored *core.RestoredError
	if verdict == nil {
		// A copy of another node's may have more to say.
		verdict = f.judgeCopies()
	}
	switch {
	case errors.As(verdict, &restored):
		f.report.Why = restored.Why
	case verdict != nil:
		return verdict
	case f.report.SetAside == "":
		return errors.New("there is nothing to confirm: the store and the facts journal agree, and `sallyport serve` takes them")
	default:
		f.report.Why = "the facts journal was damaged"
	}
	return f.choose(own)
}

// judgeCopies says whether the store lacks what a copy of a journal has.
func (f *confirming) judgeCopies() error {
	for _, path := range f.how.Facts {
		st, err := journal.Read(path, nil)
		if err != nil {
			return err
		}
		if err := core.JudgeStore(f.found, st, f.e.shared()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// openOwn opens the journal of this node. A damaged one is set aside where it
// is not needed.
func (f *confirming) openOwn(path string) (*core.JournalState, error) {
	j, err := journal.Open(journal.Config{Path: path, MakeRoom: f.e.makeRoom, Logger: f.e.log})
	var damaged *journal.DamagedError
	if errors.As(err, &damaged) && (f.how.EndEverything || f.how.JournalLost || len(f.how.Facts) > 0) {
		f.report.SetAside = path + ".damaged-" + strconv.FormatInt(f.e.now(), 10)
		return nil, os.Rename(path, f.report.SetAside)
	}
	if err != nil {
		return nil, err
	}
	f.e.journal = j
	return j.State(), nil
}

// choose checks that what was asked for can be done.
func (f *confirming) choose(own *core.JournalState) error {
	switch {
	case f.how.JournalLost && (f.found.Restored != "" || own != nil):
		return fmt.Errorf("the journal is not what is wrong here: %s", f.report.Why)
	case f.how.JournalLost, f.how.EndEverything:
		if own != nil {
			f.former = append(f.former, own.Incarnation)
			f.highest = own.Highest
		}
		return nil
	}
	if own != nil {
		f.take(f.e.journal.Path(), own)
	}
	for _, path := range f.how.Facts {
		st, err := journal.Read(path, nil)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no file %s", path)
		}
		if err != nil {
			return err
		}
		if f.found.Installation != "" && st.Installation != f.found.Installation {
			return fmt.Errorf("%s is the facts journal of another installation: %s, and the store is of %s", path, st.Installation, f.found.Installation)
		}
		f.take(path, st)
	}
	if len(f.sources) == 0 {
		return errConfirmHow
	}
	late := func(s source) bool { return s.former || f.highest >= s.known }
	if !slices.ContainsFunc(f.sources, late) {
		return fmt.Errorf("the facts journal ends at number %d, before the store does (%d), so it does not know what was revoked after; give a later copy with --facts FILE, or --end-everything", f.highest, f.known)
	}
	return nil
}

// take takes a journal for replaying. One of a life that was replayed up to
// some fact has no more to say than what came after.
func (f *confirming) take(path string, st *core.JournalState) {
	src := source{path: path, known: f.known}
	for _, life := range f.found.Former {
		if life.Incarnation == st.Incarnation {
			src.known, src.former = life.Replayed, true
		}
	}
	f.sources = append(f.sources, src)
	f.report.Journals = append(f.report.Journals, path)
	f.former = append(f.former, st.Incarnation)
	f.highest = max(f.highest, st.Highest)
	if f.found.Installation == "" {
		f.found.Installation = st.Installation
	}
}

// run does it. Cut off anywhere before the end it leaves a store that is still
// to be confirmed, and can be run again.
func (f *confirming) run(ctx context.Context, o Options) error {
	if err := core.BeginConfirm(ctx, f.e.store, f.found, f.report.Why, f.e.now()); err != nil {
		return err
	}
	if f.found.Installation != "" {
		if _, err := f.e.store.MetaSetOnce(ctx, core.MetaInstallation, f.found.Installation); err != nil {
			return err
		}
	}
	if err := f.e.openKeys(ctx, f.cfg); err != nil {
		return err
	}
	if err := f.e.startJournal(ctx, f.cfg); err != nil {
		return err
	}
	issuer, err := f.e.lastIssuer(ctx, f.cfg.IssuerFor(firstListen(f.cfg.Listen)))
	if err != nil {
		return err
	}
	if err := f.e.openService(ctx, f.cfg, o, issuer); err != nil {
		return err
	}
	if err := f.replay(ctx); err != nil {
		return err
	}
	return f.finish(ctx)
}

func (f *confirming) replay(ctx context.Context) (err error) {
	s := f.e.service
	if f.how.EndEverything {
		f.report.ReplayReport, err = s.EndEverything(ctx, f.actor, max(f.known, f.highest))
		return err
	}
	var sources []core.ReplaySource
	for _, src := range f.sources {
		sources = append(sources, core.ReplaySource{Known: src.known, Entries: journalEntries(src.path)})
	}
	f.report.ReplayReport, err = s.Replay(ctx, f.actor, sources)
	if err != nil {
		return err
	}
	return f.dropKeys(ctx)
}

// dropKeys drops signing keys again. One that others hold cannot be replaced
// by us; the operator is told.
func (f *confirming) dropKeys(ctx context.Context) error {
	var dropped []string
	for _, id := range f.report.SigningKeys {
		info, there := f.e.keys.Inspect(id)
		if !there {
			continue
		}
		if info.Class == core.SharedKey && info.State == core.KeyActive {
			f.report.KeptKeys = append(f.report.KeptKeys, id)
			continue
		}
		if err := f.dropKey(ctx, id, info); err != nil {
			return fmt.Errorf("dropping the signing key %s: %w", id, err)
		}
		dropped = append(dropped, id)
	}
	f.report.SigningKeys = dropped
	return nil
}

// dropKey drops a key as keySide.DropKey does. What whoever has it could have
// signed was ended when it was dropped the first time, and that was replayed.
func (f *confirming) dropKey(ctx context.Context, id string, info keyring.KeyInfo) error {
	if err := f.e.service.NoteKeyDropped(ctx, id); err != nil {
		return err
	}
	if info.State == core.KeyActive {
		if _, err := f.e.keys.Replace(ctx, id, f.actor.Name); err != nil {
			return err
		}
	}
	return f.e.keys.Drop(ctx, id, f.actor.Name)
}

// finish gives store and journal their new name and takes the mark away.
func (f *confirming) finish(ctx context.Context) error {
	now := f.e.now()
	replayed := max(f.highest, f.report.Highest)
	if f.how.EndEverything {
		replayed = 1 << 62 // nobody's journal has more to end
	}
	id, err := core.NewIncarnation(ctx, f.e.store, f.actor, f.found, f.former, replayed, now)
	if err != nil {
		return err
	}
	f.report.Incarnation = id
	_, last, err := f.e.store.FactsSince(ctx, 0, 1)
	if err != nil {
		return err
	}
	if err := f.e.journal.Adopt(id, last); err != nil {
		return err
	}
	return core.EndConfirm(ctx, f.e.store, now)
}

// startAnew makes another journal for a store that is the present one.
func (f *confirming) startAnew(ctx context.Context) error {
	if err := f.e.makeJournal(ctx, f.cfg); err != nil {
		return err
	}
	return f.e.store.AppendAudit(ctx, f.e.now(), []core.Event{{Kind: "journal.lost", Actor: f.actor.Name}})
}

// journalEntries reads a journal.
func journalEntries(path string) iter.Seq2[core.JournalEntry, error] {
	return func(yield func(core.JournalEntry, error) bool) {
		errStop := errors.New("stop")
		_, err := journal.Read(path, func(e *core.JournalEntry) error {
			if !yield(*e, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(core.JournalEntry{}, err)
		}
	}
}
