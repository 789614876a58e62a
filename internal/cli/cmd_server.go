package cli

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/internal/admin"
)

// Version is the version of the program.
const Version = "0.2.0-dev"

type serveCmd struct{ kong.Plugins }

func (c *serveCmd) Help() string {
	return `Every setting of the configuration is a flag here; these are the usual ones, ` + "`sallyport config print`" + ` shows all. Flags go over SALLYPORT_… variables, and those over the file.

With --dev and --json one line of JSON says when the demo is ready and what its users and keys are.`
}

func (c *serveCmd) Run(e *env) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	if e.json && !cfg.Dev && cfg.Origin("log.format") == "default" {
		cfg.Log.Format = "json"
	}
	return e.rt.serve(e.ctx, e, cfg)
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say whether the configuration is right, without starting."`
	Print configPrintCmd `cmd:"" help:"Print every setting, its value and where that comes from."`
}

type configCheckCmd struct{ kong.Plugins }

func (c *configCheckCmd) Run(e *env) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	if err := e.rt.checkContracts(cfg); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(map[string]any{"ok": true, "file": cfg.File, "warnings": append([]string{}, cfg.Warnings...)})
	}
	for _, w := range cfg.Warnings {
		e.note("warning: %s", plain(w))
	}
	from := "defaults, variables and flags"
	if cfg.File != "" {
		from = cfg.File
	}
	e.printf("The configuration is right (%s).\n", plain(from))
	return nil
}

type configPrintCmd struct{ kong.Plugins }

func (c *configPrintCmd) Run(e *env) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	return cfg.Print(e.out, e.json)
}

type statusCmd struct{}

func (c *statusCmd) Run(e *env) error {
	st, err := e.status()
	if err != nil || e.json {
		return printed(e, st, err)
	}
	f := &facts{}
	running := "not running; read from the data directory"
	if st.Running {
		running = fmt.Sprintf("running since %s, process %d, version %s", e.when(st.StartedAt), st.PID, st.Version)
	}
	f.add("Server", running)
	f.add("Data", st.Data)
	if st.Dev {
		f.add("", "a demo store of serve --dev")
	}
	f.add("Issuer", st.Issuer)
	f.add("URLs", strings.Join(st.URLs, " "))
	f.add("Private", strings.Join(st.Private, " "))
	f.add("Upstream", st.Upstream)
	f.add("Clock", clockWords(&st.Clock))
	f.add("Store", fmt.Sprintf("%s, %.1f MB, %d steps, %d waiting", st.Store.Kind, float64(st.Store.SizeBytes)/1e6, st.Store.Steps, st.Store.Queue))
	f.write(e)
	t := &table{head: []string{"MOUNT", "CONTRACT", "HOST", "PREFIX", "ACCOUNT"}}
	for _, m := range st.Mounts {
		t.add(m.ID, m.Contract, orAny(m.Host), orSlash(m.Prefix), m.Account)
	}
	e.print("\n")
	t.write(e, "No contract is mounted.")
	k := &table{head: []string{"KEY", "MOUNT", "KIND", "ALGORITHM", "CLASS", "STATE", "SINCE"}}
	for _, key := range st.Keys {
		k.add(key.ID, key.Mount, key.Kind, key.Algorithm, key.Class, key.State, e.ago(max(key.ActivatedAt, key.CreatedAt)))
	}
	e.print("\n")
	k.write(e, "There are no signing keys yet.")
	return nil
}

func (e *env) status() (*admin.Status, error) {
	cl, err := e.connect()
	if err != nil {
		return nil, err
	}
	var st admin.Status
	return &st, cl.Get(e.ctx, "/status", nil, &st)
}

// printed prints v as JSON unless err says that there is none.
func printed(e *env, v any, err error) error {
	if err != nil {
		return err
	}
	return e.printJSON(v)
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

func orSlash(s string) string {
	if s == "" {
		return "/"
	}
	return s
}

type clockCmd struct {
	Status  clockStatusCmd  `cmd:"" help:"Say whether the clock is trusted."`
	Confirm clockConfirmCmd `cmd:"" help:"Say that the clock is right after a jump: purging goes on."`
}

func clockWords(c *admin.Clock) string {
	if c.Trusted {
		return "trusted"
	}
	return "in doubt: " + c.Detail
}

type clockStatusCmd struct{}

func (c *clockStatusCmd) Run(e *env) error {
	st, err := e.status()
	if err != nil {
		return err
	}
	return e.done(map[string]any{"now": st.Now, "clock": st.Clock}, "The clock says %s and is %s.", st.Now, plain(clockWords(&st.Clock)))
}

type clockConfirmCmd struct{}

func (c *clockConfirmCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var st admin.Status
	if err := cl.Post(e.ctx, "/clock/confirm", nil, &st); err != nil {
		return err
	}
	return e.done(map[string]any{"now": st.Now, "clock": st.Clock}, "The clock, %s, is %s.", st.Now, plain(clockWords(&st.Clock)))
}

type gateCmd struct {
	Explain gateExplainCmd `cmd:"" help:"Say who would answer a request, and under which rule."`
}

type gateExplainCmd struct {
	Method string `arg:"" help:"Method, such as GET."`
	Path   string `arg:"" help:"Path, such as /api/stations."`
	Host   string `placeholder:"HOST" help:"Host of the request."`
}

func (c *gateExplainCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var a admin.RouteAnswer
	err = cl.Get(e.ctx, "/gateway/routes", values("method", strings.ToUpper(c.Method), "path", c.Path, "host", c.Host), &a)
	if err != nil || e.json {
		return printed(e, a, err)
	}
	e.printf("%s\n\n", plain(a.Detail))
	f := &facts{}
	f.add("Answered by", a.Handler)
	f.add("Mount", a.Mount)
	f.add("Rule", a.Rule)
	f.add("Access", a.Access)
	f.add("Roles", strings.Join(a.Roles, " "))
	f.write(e)
	return nil
}

type versionCmd struct{}

func (c *versionCmd) Run(e *env) error {
	commit, goVersion := build()
	if e.json {
		return e.printJSON(map[string]string{"version": Version, "commit": commit, "go": goVersion})
	}
	if commit != "" {
		commit = "commit " + commit + ", "
	}
	e.printf("sallyport %s (%s%s)\n", Version, commit, goVersion)
	return nil
}

// build is what the compiler noted of the commit, if anything.
func build() (commit, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", "unknown"
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if commit != "" {
		commit += dirty
	}
	return commit, info.GoVersion
}
