package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; it must not be there yet. - is standard output."`
}

func (c *backupCmd) Help() string {
	return "The backup is of one moment, and writers wait for nothing. The master key is not in it: keep a copy of that elsewhere. docs/backup.md says what else to keep."
}

// backupDone is what backup answers with --json.
type backupDone struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	MasterKeyIn bool   `json:"master_key_included"` // never
	*app.BackupReport
}

func (c *backupCmd) Run(e *env) error {
	if c.File == "-" {
		if f, ok := e.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return usagef("a backup is no text for a terminal; name a file, or send it through a pipe")
		}
		done, err := e.backupInto(e.out)
		if err == nil {
			e.note("%s", c.words(e, done))
		}
		return err
	}
	done, err := e.backupFile(c.File)
	if err != nil {
		return err
	}
	if e.json {
		return e.printJSON(done)
	}
	e.print(c.words(e, done) + "\n")
	return nil
}

func (c *backupCmd) words(e *env, d *backupDone) string {
	to := "to standard output"
	if c.File != "-" {
		to = "to " + plain(shown(c.File))
	}
	return fmt.Sprintf("Written %s: %s rows, %s, as of %s.\nThe master key %s is NOT in it, and without that key it is worth nothing: keep a copy apart.\n"+
		"The facts journal is not in it either: a restore needs the one that goes on, see docs/backup.md.",
		to, thousands(d.Rows), size(d.Bytes), time.UnixMilli(d.CreatedAt).UTC().Format("2006-01-02 15:04:05 UTC"), d.MasterKey)
}

// backupFile writes a file that is there only once it is whole.
func (e *env) backupFile(path string) (done *backupDone, err error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s is there already, and a backup replaces nothing", shown(path))
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	done, err = e.backupInto(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	done.File = shown(path)
	// A link, unlike a rename, replaces nothing.
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s was made meanwhile, and a backup replaces nothing", shown(path))
	} else if err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	return done, syncFolder(path)
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// backupInto gets a backup from the server, or from the store itself when none
// runs, and reads what it writes: a backup that cannot be read is none.
func (e *env) backupInto(out io.Writer) (*backupDone, error) {
	pr, pw := io.Pipe()
	count := &counting{w: out}
	got := make(chan error, 1)
	go func() {
		err := e.backupFrom(io.MultiWriter(count, pw))
		_ = pw.CloseWithError(err) // always nil
		got <- err
	}()
	bar := e.progress("backing up")
	report, err := e.rt.checkBackup(pr, bar.tell)
	_ = pr.CloseWithError(errors.New("the backup is not whole")) // always nil; whoever still writes hears of it
	bar.end()
	if werr := <-got; werr != nil {
		err = werr // the cause
	}
	if err != nil {
		return nil, err
	}
	return &backupDone{Bytes: count.n, BackupReport: report}, nil
}

func (e *env) backupFrom(out io.Writer) error {
	cfg, cfgErr := e.loadConfig()
	data := e.global.Data
	if cfgErr == nil {
		data = cfg.Data
	} else if data == "" {
		return cfgErr
	}
	client := admin.NewSocketClient(filepath.Join(data, socketName))
	err := client.Ping(e.ctx)
	if err == nil {
		return client.Backup(e.ctx, out)
	}
	if !noServer(err) {
		return err
	}
	if cfgErr != nil {
		return cfgErr
	}
	return e.rt.backup(e.ctx, e, cfg, out)
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// progressBar tells on stderr how far something long has come: a line that
// changes on a terminal, a line every few seconds elsewhere.
type progressBar struct {
	e       *env
	what    string
	live    bool
	last    time.Time
	printed bool
	indexes bool // are being built
}

func (e *env) progress(what string) *progressBar {
	f, ok := e.err.(*os.File)
	return &progressBar{e: e, what: what, live: ok && term.IsTerminal(int(f.Fd())), last: e.now()}
}

func (b *progressBar) tell(table string, done, total int64) {
	every := 5 * time.Second
	if b.live {
		every = 200 * time.Millisecond
	}
	now := b.e.now()
	indexes := table == app.BuildingIndexes
	if b.e.json || now.Sub(b.last) < every && indexes == b.indexes || total == 0 {
		return
	}
	b.last, b.printed, b.indexes = now, true, indexes
	before, after := "", "\n"
	if b.live {
		before, after = "\r\x1b[K", ""
	}
	if indexes {
		_, _ = fmt.Fprintf(b.e.err, "%s%s: %s, %d of %d%s", before, b.what, table, done, total, after) // see print
		return
	}
	_, _ = fmt.Fprintf(b.e.err, "%s%s: %3d%%, %s of %s rows (%s)%s", // see print
		before, b.what, 100*done/total, thousands(done), thousands(total), table, after)
}

func (b *progressBar) end() {
	if b.live && b.printed {
		_, _ = io.WriteString(b.e.err, "\r\x1b[K") // see print
	}
}

// size writes a number of bytes.
func size(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%d kB", (n+999)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
