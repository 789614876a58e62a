package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/app"
)

type restoreCmd struct {
	File    restoreFileCmd    `cmd:"" default:"withargs" help:"Fill an empty data directory from a backup."`
	Confirm restoreConfirmCmd `cmd:"" help:"Say to a restored store what was revoked since, so that it can be served."`
}

func (c *restoreCmd) Help() string {
	return "`sallyport restore FILE` is enough for the first step; docs/backup.md says what else there is to do."
}

type restoreFileCmd struct {
	File string `arg:"" help:"Backup to read. - is standard input."`
}

func (c *restoreFileCmd) Help() string {
	return "The data directory must have no store; the database, if one is configured, must be empty. Afterwards put the master key where it was, and run `sallyport restore confirm`: until then the store is not served."
}

func (c *restoreFileCmd) Run(e *env) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	in := e.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("reading the backup: %w", err)
		}
		defer func() { _ = f.Close() }() // read only: nothing to lose
		if in, err = e.checkFirst(f); err != nil {
			return err
		}
	}
	bar := e.progress("restoring")
	report, err := e.rt.restore(e.ctx, e, cfg, in, bar.tell)
	bar.end()
	if err != nil {
		return err
	}
	into := shown(cfg.Data)
	if cfg.Store != "" {
		into = cfg.Store.String()
	}
	if e.json {
		return e.printJSON(struct {
			Data          string `json:"data"`
			MasterKeyIn   bool   `json:"master_key_included"`
			ToBeConfirmed bool   `json:"to_be_confirmed"`
			*app.BackupReport
		}{into, false, true, report})
	}
	made := time.UnixMilli(report.CreatedAt)
	e.printf("Restored into %s: %s rows, as of %s.\n", plain(into), thousands(report.Rows), made.UTC().Format("2006-01-02 15:04:05 UTC"))
	e.printf("The master key was not in the backup: the store needs %s.\n", report.MasterKey)
	confirm := "  sallyport restore confirm" + plain(e.again())
	e.print("What was revoked since the backup is not known yet. Before `sallyport serve`:\n" +
		confirm + "                    replays the facts journal that is in its place\n" +
		confirm + " --facts FILE       … or a copy of it\n" +
		confirm + " --end-everything   ends all sessions and application tokens instead\n")
	return nil
}

// checkFirst reads a file to its end before anything is written, and goes back
// to the beginning. What cannot go back is checked on the way.
func (e *env) checkFirst(f *os.File) (io.Reader, error) {
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return f, err
	}
	bar := e.progress("checking")
	_, err := e.rt.checkBackup(f, bar.tell)
	bar.end()
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

type restoreConfirmCmd struct {
	Facts         []string `placeholder:"FILE" sep:"none" help:"Copy of a facts journal to replay, beside the one in its place; may be given several times, one a node."`
	EndEverything bool     `xor:"how" help:"End all sessions and application tokens instead: for when there is no facts journal."`
	JournalLost   bool     `xor:"how" help:"The store was not restored; only the facts journal is lost. Begin another one."`
	confirmFlag
}

func (c *restoreConfirmCmd) Help() string {
	return "No server may run on the store. What was revoked since the backup is revoked again; users, keys and clients that were disabled or deleted since are, too; passwords and secrets that were changed since no longer open anything. " +
		"Repeat it if it was cut off."
}

func (c *restoreConfirmCmd) Run(e *env) error {
	if len(c.Facts) > 0 && (c.EndEverything || c.JournalLost) {
		return usagef("--facts replays a journal; it does not go with the other ways")
	}
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	what := ""
	switch {
	case c.EndEverything:
		what = "ending all sessions and application tokens"
	case c.JournalLost:
		what = "serving this store without looking for what it may have forgotten"
	}
	if what != "" {
		if err := e.confirm(c.confirmFlag, what); err != nil {
			return err
		}
	}
	r, err := e.rt.confirm(e.ctx, e, cfg, app.ConfirmOptions{Facts: c.Facts, EndEverything: c.EndEverything, JournalLost: c.JournalLost})
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(confirmJSON(r))
	}
	e.confirmed(r)
	return nil
}

// confirmDone is what restore confirm answers with --json.
type confirmDone struct {
	Why         string   `json:"why"`
	Incarnation string   `json:"incarnation,omitempty"`
	Journals    []string `json:"journals"`
	SetAside    string   `json:"damaged_journal,omitempty"`
	Facts       int      `json:"facts_replayed"`
	Everything  bool     `json:"everything_ended"`
	Tokens      []string `json:"application_tokens_ended"`
	Disabled    []string `json:"disabled"`
	Deleted     []string `json:"deleted"`
	Passwords   []string `json:"without_password"`
	Secrets     []string `json:"disabled_for_their_secret"`
	Keys        []string `json:"signing_keys_dropped"`
	KeptKeys    []string `json:"signing_keys_kept"`
}

func confirmJSON(r *app.ConfirmReport) *confirmDone {
	d := &confirmDone{Why: r.Why, Incarnation: r.Incarnation, Journals: r.Journals, SetAside: r.SetAside, KeptKeys: r.KeptKeys}
	if p := r.ReplayReport; p != nil {
		d.Facts, d.Everything, d.Tokens = p.Facts, p.Everything, p.Tokens
		d.Disabled, d.Deleted, d.Passwords, d.Secrets, d.Keys = p.Disabled, p.Deleted, p.Passwords, p.Secrets, p.SigningKeys
	}
	for _, list := range []*[]string{&d.Journals, &d.Tokens, &d.Disabled, &d.Deleted, &d.Passwords, &d.Secrets, &d.Keys, &d.KeptKeys} {
		if *list == nil {
			*list = []string{}
		}
	}
	return d
}

// confirmed tells a person what was done and what is left to do.
func (e *env) confirmed(r *app.ConfirmReport) {
	if r.SetAside != "" {
		e.printf("The damaged facts journal is now %s.\n", plain(r.SetAside))
	}
	p := r.ReplayReport
	if p == nil {
		e.print("A new facts journal is begun. The store can be served.\n")
		return
	}
	for _, path := range r.Journals {
		e.printf("Replayed %s.\n", plain(path))
	}
	if p.Everything {
		e.print("All sessions are ended.\n")
	}
	e.printf("Revocations replayed: %d.\n", p.Facts)
	e.ids("Application tokens ended again", p.Tokens)
	e.ids("Disabled, as they were when the journal was last told of them; enable who should be", p.Disabled)
	e.ids("Deleted again", p.Deleted)
	e.ids("Users whose password was changed since the backup; the former one no longer works, set a new one with `sallyport user passwd`", p.Passwords)
	e.ids("API keys and clients whose secret was changed since; disabled, rotate and enable them", p.Secrets)
	e.ids("Signing keys dropped", p.SigningKeys)
	e.ids("Signing keys that are compromised, perhaps, and that others hold: import new ones", r.KeptKeys)
	if len(r.Journals) == 0 {
		e.print("Nobody knows who and what was disabled, deleted or changed since the backup, and it is as it was: users, passwords, API keys, clients, signing keys. Look through them.\n")
	}
	e.print("What else was changed since the backup is lost: new users and keys, roles, clients. The store can be served.\n")
}

// ids prints a list, the beginning of a long one.
func (e *env) ids(what string, all []string) {
	if len(all) == 0 {
		return
	}
	const most = 20
	more := ""
	if len(all) > most {
		more = fmt.Sprintf("\n  and %d more, see --json or the audit log", len(all)-most)
		all = all[:most]
	}
	e.printf("%s:\n  %s%s\n", what, plainLines(strings.Join(all, "\n  ")), more)
}
