package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// runtime is what the command line starts; tests of the command line alone
// replace it.
type runtime struct {
	// serve runs the server until ctx ends.
	serve func(ctx context.Context, e *env, cfg *config.Config) error
	// offline opens an existing data directory in this process and gives the
	// administration handlers over it.
	offline func(ctx context.Context, e *env, cfg *config.Config) (h http.Handler, closer func() error, err error)
	// inUse says whether offline failed because another process holds the
	// directory.
	inUse func(error) bool
	// backup writes the store of a data directory on which no server runs, and
	// checkBackup reads what was written.
	backup      func(ctx context.Context, e *env, cfg *config.Config, out io.Writer) error
	checkBackup func(in io.Reader, progress func(table string, done, total int64)) (*app.BackupReport, error)
	restore     func(ctx context.Context, e *env, cfg *config.Config, in io.Reader, progress func(table string, done, total int64)) (*app.BackupReport, error)
	confirm     func(ctx context.Context, e *env, cfg *config.Config, o app.ConfirmOptions) (*app.ConfirmReport, error)
	// move carries a store into another, undoMove takes that back, and schema
	// looks at a store's schema.
	move     func(ctx context.Context, e *env, cfg *config.Config, how app.MoveOptions) (*app.MoveReport, error)
	undoMove func(ctx context.Context, e *env, cfg *config.Config, how app.MoveOptions, force bool) (*app.UndoReport, error)
	schema   func(ctx context.Context, e *env, cfg *config.Config) (*app.SchemaReport, error)
	// checkContracts compiles the contracts that a configuration mounts.
	checkContracts func(cfg *config.Config) error
}

func appRuntime() runtime {
	return runtime{
		serve: serve, offline: offline, inUse: app.InUse, checkContracts: app.CheckContracts,
		checkBackup: app.CheckBackup,
		backup: func(ctx context.Context, e *env, cfg *config.Config, out io.Writer) error {
			return app.BackupOffline(ctx, cfg, quietly(e, cfg), out)
		},
		restore: func(ctx context.Context, e *env, cfg *config.Config, in io.Reader, progress func(string, int64, int64)) (*app.BackupReport, error) {
			return app.Restore(ctx, cfg, quietly(e, cfg), in, progress)
		},
		move: func(ctx context.Context, e *env, cfg *config.Config, how app.MoveOptions) (*app.MoveReport, error) {
			return app.MoveStore(ctx, cfg, quietly(e, cfg), how)
		},
		undoMove: func(ctx context.Context, e *env, cfg *config.Config, how app.MoveOptions, force bool) (*app.UndoReport, error) {
			return app.UndoMove(ctx, cfg, quietly(e, cfg), how, force)
		},
		schema: func(ctx context.Context, e *env, cfg *config.Config) (*app.SchemaReport, error) {
			return app.ReadSchema(ctx, cfg, quietly(e, cfg))
		},
		confirm: func(ctx context.Context, e *env, cfg *config.Config, o app.ConfirmOptions) (*app.ConfirmReport, error) {
			return app.ConfirmRestore(ctx, cfg, quietly(e, cfg), o)
		},
	}
}

// quietly is for commands, whose own words are on stdout.
func quietly(e *env, cfg *config.Config) app.Options {
	cfg.Log.Level, cfg.Log.Format = "warn", "text"
	return app.Options{Version: Version, Stdout: e.out, Stderr: e.err}
}

func serve(ctx context.Context, e *env, cfg *config.Config) error {
	collectLess(e)
	opts := app.Options{Version: Version, Stdout: e.out, Stderr: e.err}
	if cfg.Dev {
		return app.RunDev(ctx, cfg, app.DevOptions{JSON: e.json}, opts)
	}
	a, err := app.New(ctx, cfg, opts)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // Run has closed what it serves; the store says in the log what it cannot
	stop := reloadOnHangup(a)
	defer stop()
	first, err := a.FirstStart(ctx)
	if err != nil {
		return err
	}
	if err := e.welcome(a, cfg, first); err != nil {
		return err
	}
	return a.Run(ctx)
}

// collectLess lets the heap grow to three times what is alive in it. What is
// alive in a server is a few megabytes; at the runtime's default of twice it
// would be collected tens of times a second under load, for a sixth of all
// processor time. The price is about 3 MB while refreshing. GOGC overrides it.
func collectLess(e *env) {
	if e.getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// reloadOnHangup reads the TLS files again on SIGHUP, as certificate tools
// expect it.
func reloadOnHangup(a *app.App) (stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hup:
				_ = a.Reload() // a file that cannot be read is said in the log, the old certificate stays
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		close(done)
	}
}

// welcome says where everything is and, at first start, what to do next.
func (e *env) welcome(a *app.App, cfg *config.Config, first bool) error {
	if e.json {
		_, err := fmt.Fprintf(e.out, "{\"url\":%q,\"private_url\":%q,\"data\":%q,\"first_start\":%t}\n", a.URL(), a.PrivateURL(), a.DataDir(), first)
		return err
	}
	f := &facts{}
	f.add("Sallyport", Version)
	f.add("Serving", a.URL())
	f.add("Health", healthURL(a.PrivateURL()))
	f.add("Data", a.DataDir())
	if cfg.Store != "" {
		f.add("Store", cfg.Store.String())
	}
	if cfg.Upstream != "" {
		f.add("Upstream", cfg.Upstream)
	}
	f.write(e)
	if !first {
		return nil
	}
	data := ""
	if cfg.Origin("data") != "default" {
		data = " --data " + shellWord(cfg.Data)
	}
	e.printf("\nThis is a new data directory. In another terminal:\n"+
		"  sallyport user add alice%[1]s          a user, asks for a password\n"+
		"  sallyport apikey create daemon%[1]s    an API key for a program\n"+
		"  sallyport status%[1]s                  what runs\n", data)
	if cfg.MasterKeyFile == "" && cfg.MasterKey == "" {
		e.print("Back up master.key in the data directory, apart from the rest: without it the store cannot be used.\n")
	}
	if cfg.Upstream == "" {
		e.print("No API is protected yet: serve --upstream http://HOST:PORT puts Sallyport in front of one.\n")
	}
	return nil
}

func healthURL(private string) string {
	if private == "" {
		return ""
	}
	return private + "/readyz"
}

func offline(ctx context.Context, e *env, cfg *config.Config) (http.Handler, func() error, error) {
	a, err := app.OpenOffline(ctx, cfg, quietly(e, cfg))
	if err != nil {
		return nil, nil, err
	}
	return a.AdminHandler(), a.Close, nil
}
