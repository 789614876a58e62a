package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/internal/app"
)

type migrateStoreCmd struct {
	From     string `placeholder:"STORE" help:"Store to move: sqlite:DIR, a data directory, or postgres://… Without it the data directory."`
	FromFile string `placeholder:"FILE" help:"File that holds the URL of the store to move."`
	To       string `placeholder:"STORE" help:"Empty store to move it into: postgres://USER@HOST/DATABASE or sqlite:DIR. Without it the store of the configuration (SALLYPORT_STORE, store_file)."`
	ToFile   string `placeholder:"FILE" help:"File that holds the URL of the store to move into, with its password."`
	Undo     bool   `help:"Make the store usable again that was moved, or whose move was cut off."`
	confirmFlag
}

func (c *migrateStoreCmd) Help() string {
	return "Users, keys, sessions and tokens stay valid: serve the new store with the same master key and the same contracts, and no client notices. " +
		"The store must not be served meanwhile, and afterwards it is refused. Cut off anywhere, the same command goes on where it was. docs/moving.md shows it step by step."
}

// stores gives both ends of a move.
func (c *migrateStoreCmd) stores(e *env) (from, to string, err error) {
	if c.From != "" && c.FromFile != "" || c.To != "" && c.ToFile != "" {
		return "", "", usagef("name a store or a file that holds its URL, not both")
	}
	from, to = c.From, c.To
	for _, f := range []struct {
		path string
		into *string
	}{{c.FromFile, &from}, {c.ToFile, &to}} {
		if f.path == "" {
			continue
		}
		text, err := e.readInput(f.path, "the URL of a store")
		if err != nil {
			return "", "", err
		}
		*f.into = strings.TrimSpace(text)
	}
	cfg, err := e.loadConfig()
	if err != nil {
		return "", "", err
	}
	if from == "" {
		from = cfg.Data
	}
	if to == "" {
		to = cfg.Store.Reveal()
	}
	if to == "" && !c.Undo {
		return "", "", usagef("it is not said where to move the store: give --to postgres://USER@HOST/DATABASE")
	}
	for _, given := range []string{c.From, c.To} {
		if strings.Contains(given, "://") && strings.Contains(given, ":") && passwordIn(given) {
			e.note("sallyport: the password in the URL can be read by every user of the machine; --from-file and --to-file, SALLYPORT_STORE or libpq's password file hide it.")
		}
	}
	return from, to, nil
}

// passwordIn says whether a URL holds one, as far as a look at it tells.
func passwordIn(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	user, _, has := strings.Cut(rest, "@")
	return has && strings.Contains(user, ":")
}

func (c *migrateStoreCmd) Run(e *env) error {
	from, to, err := c.stores(e)
	if err != nil {
		return err
	}
	if c.Undo {
		return c.undo(e, from, to)
	}
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	bar := newBar(e)
	began := e.now()
	r, err := e.rt.move(e.ctx, e, cfg, app.MoveOptions{From: from, To: to, Progress: bar.tell})
	bar.end()
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(r)
	}
	t := &table{head: []string{"TABLE", "ROWS", "CHECKSUM, THE SAME ON BOTH SIDES"}}
	for _, one := range r.Tables {
		t.add(one.Name, thousands(one.Rows), one.Sum[:16])
	}
	t.write(e, "")
	e.printf("\nMoved %s rows from %s to %s in %s.\n", thousands(r.Rows), plain(r.From), plain(r.To), e.now().Sub(began).Round(100*time.Millisecond))
	if r.Replaced > 0 {
		e.printf("%s texts held bytes that PostgreSQL cannot keep (NUL, or no UTF-8); they have U+FFFD there.\n", thousands(r.Replaced))
	}
	how, back := "--store …      or SALLYPORT_STORE, store_file", "--from "+shellWord(r.From)
	if dir, is := strings.CutPrefix(r.To, "sqlite:"); is {
		how, back = "--data "+shellWord(dir), back+" --to "+shellWord(r.To)
	}
	e.printf("Serve it with the same master key, %s, and the same settings otherwise:\n  sallyport serve %s\n", plain(r.MasterKey), plain(how))
	if dir, is := strings.CutPrefix(r.To, "sqlite:"); is {
		e.printf("Neither the key nor the facts journal was moved. Before, copy master.key and facts.journal of a node that served until now into %s, or name them with --master-key-file and --facts-journal: without the journal it counts as restored.\n", plain(dir))
	}
	e.printf("%s is refused from now on. To go back: sallyport migrate-store --undo %s\n", plain(r.From), plain(back))
	return nil
}

func (c *migrateStoreCmd) undo(e *env, from, to string) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	if c.To == "" && c.ToFile == "" && cfg.Store == "" {
		to = ""
	}
	how := app.MoveOptions{From: from, To: to}
	r, err := e.rt.undoMove(e.ctx, e, cfg, how, false)
	if app.UsedSince(err) && (c.Yes || e.interactive()) {
		e.note("sallyport: %s", sentence(plainLines(err.Error())))
		if err := e.confirm(c.confirmFlag, "giving up what happened in the new store since"); err != nil {
			return err
		}
		r, err = e.rt.undoMove(e.ctx, e, cfg, how, true)
	}
	if app.UsedSince(err) {
		return fmt.Errorf("%w. To give that up: --yes", err)
	}
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(r)
	}
	e.printf("%s is no longer marked as moved.\n", plain(r.From))
	if r.TargetShut {
		e.printf("%s is refused from now on.\n", plain(r.To))
	} else if r.Confirm {
		e.printf("%s could not be asked: make sure that nobody serves it any more.\n", plain(r.To))
	}
	if r.Confirm {
		where := e.again()
		if dir, is := strings.CutPrefix(r.From, "sqlite:"); is && e.global.Data == "" {
			where += " --data " + shellWord(dir) // it may have been done from another folder
		}
		e.print("What was revoked in the new store has to be said to this one, as after a restore. Before `sallyport serve`, and without the new store in the environment or the configuration:\n  sallyport restore confirm" + plain(where) + " --facts FILE    the facts journal of each node that served the new store\n")
	}
	return nil
}

// interactive says whether there is somebody to ask.
func (e *env) interactive() bool {
	_, ok := e.terminal()
	return ok
}

// moveBar tells how far a move has come: on a terminal a bar that grows,
// elsewhere a line every few seconds.
type moveBar struct {
	e           *env
	live        bool
	phase       string
	began, last time.Time
	first       int64 // rows that were there when the phase began
}

func newBar(e *env) *moveBar {
	f, ok := e.err.(*os.File)
	return &moveBar{e: e, live: ok && term.IsTerminal(int(f.Fd()))}
}

func (b *moveBar) tell(phase, table string, done, total int64) {
	now := b.e.now()
	if b.e.json || total == 0 {
		return
	}
	every := 5 * time.Second
	if b.live {
		every = 100 * time.Millisecond
	}
	if phase != b.phase {
		b.phase, b.began, b.first = phase, now, done
	} else if now.Sub(b.last) < every && done < total {
		return
	}
	b.last = now
	line := barLine(phase, table, done, total, b.rest(now, done, total))
	if b.live {
		line = "\r\x1b[K" + line
	} else {
		line += "\n"
	}
	_, _ = io.WriteString(b.e.err, line) // see print
}

// rest guesses how long the phase will take from here, 0 for no idea.
func (b *moveBar) rest(now time.Time, done, total int64) time.Duration {
	took := now.Sub(b.began)
	if took < time.Second || done <= b.first {
		return 0
	}
	return time.Duration(float64(took) / float64(done-b.first) * float64(total-done))
}

func barLine(phase, table string, done, total int64, rest time.Duration) string {
	const width = 24
	full := int(width * done / total)
	what := " rows"
	if phase == app.BuildingIndexes {
		what = ""
	}
	line := fmt.Sprintf("%-19s [%s%s] %3d%%  %s of %s%s", phase, strings.Repeat("#", full), strings.Repeat(".", width-full), 100*done/total, thousands(done), thousands(total), what)
	if table != "" {
		line += " (" + table + ")"
	}
	if rest >= time.Second {
		line += ", " + span(rest) + " to go"
	}
	return line
}

func (b *moveBar) end() {
	if b.live && b.phase != "" {
		_, _ = io.WriteString(b.e.err, "\r\x1b[K") // see print
	}
}

type migrateCmd struct {
	Status migrateStatusCmd `cmd:"" help:"Show the schema of the store, and which versions can use it."`
}

type migrateStatusCmd struct{}

func (c *migrateStatusCmd) Help() string {
	return "Looks and changes nothing, also while the store is served. `sallyport serve` brings an older store up to its schema when it starts."
}

func (c *migrateStatusCmd) Run(e *env) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	r, err := e.rt.schema(e.ctx, e, cfg)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(r)
	}
	f := &facts{}
	f.add("Store", r.Store)
	f.add("Schema of the store", schemaNumber(r.Have))
	f.add("Schema of this binary", fmt.Sprintf("%d (sallyport %s)", r.Known, Version))
	if r.Have > 0 && r.Move == nil {
		f.add("Usable since schema", fmt.Sprint(r.UsableSince))
	}
	for i, p := range r.Pending {
		name := ""
		if i == 0 {
			name = "Pending"
		}
		f.rows = append(f.rows, [2]string{name, fmt.Sprintf("%d %s", p.Number, plain(p.Name))})
	}
	f.write(e)
	e.print("\n")
	for _, line := range r.Words {
		e.printf("%s\n", plain(line))
	}
	return nil
}

func schemaNumber(n int64) string {
	if n == 0 {
		return "none: the store is empty"
	}
	return fmt.Sprint(n)
}
