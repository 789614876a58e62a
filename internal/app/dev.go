package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/contract"
	"github.com/sallyport/sallyport/internal/core"
)

// DevOptions are how serve --dev talks.
type DevOptions struct {
	JSON bool // one line of JSON once ready, instead of calls to paste
}

// devCredentials is what a demo store holds, with its secrets: they open
// nothing but a demo. A kept store has them in a file beside its data.
type devCredentials struct {
	Users   []devUser   `json:"users"`
	APIKeys []devAPIKey `json:"api_keys"`
}

type devUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Type     string `json:"type"`
}

type devAPIKey struct {
	Account    string `json:"account"`
	Netosecret string `json:"netosecret"`
}

const devFile = "demo.json"

// RunDev serves a demo: an API behind the gateway, a user of each type and an
// API key, all with random credentials. Its data goes when it ends, unless the
// configuration names a data directory.
func RunDev(ctx context.Context, cfg *config.Config, d DevOptions, o Options) (err error) {
	cfg.Dev = true
	if err := checkDevListen(cfg); err != nil {
		return err
	}
	if cfg.Origin("data") == "default" {
		dir, err := os.MkdirTemp("", "sallyport-dev-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cfg.Data = dir
	}
	a, err := New(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	creds, err := a.demoCredentials(ctx)
	if err != nil {
		return err
	}
	if d.JSON {
		err = a.printDevJSON(creds)
	} else {
		err = a.printDev(creds)
	}
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// checkDevListen keeps a server with printed passwords on this machine.
func checkDevListen(cfg *config.Config) error {
	if cfg.DevOffLoopback {
		return nil
	}
	for _, l := range cfg.Listen {
		host, _, err := net.SplitHostPort(l)
		if err != nil {
			continue // unix:/path
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("`serve --dev` prints passwords, so it listens on this machine alone; %s is elsewhere. Give --dev-off-loopback too if you mean it", l)
		}
	}
	return nil
}

func (a *App) demoCredentials(ctx context.Context) (*devCredentials, error) {
	path := filepath.Join(a.engine.dir, devFile)
	var c devCredentials
	data, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return &c, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := a.makeDemo(ctx, &c); err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // hashing took 19 MiB a password, and nothing comes soon that needs it
	if data, err = json.Marshal(&c); err != nil {
		return nil, err
	}
	return &c, os.WriteFile(path, data, 0o600)
}

func (a *App) makeDemo(ctx context.Context, c *devCredentials) error {
	actor := core.Actor{Name: "system"}
	for _, u := range []core.NewUser{
		{Username: "demo", Type: core.TypeUser, Email: "demo@example.com", EmailVerified: true, Roles: []string{"reader"}},
		{Username: "demo-app", Type: core.TypeApplication, Roles: []string{"reader"}},
	} {
		u.Password = core.NewID("")
		if _, err := a.engine.service.CreateUser(ctx, actor, u); err != nil {
			return err
		}
		c.Users = append(c.Users, devUser{u.Username, u.Password, string(u.Type)})
	}
	k, err := a.engine.service.CreateAPIKey(ctx, actor, core.NewAPIKey{AppName: "demo-daemon", Roles: []string{"reader"}, URL: a.URL()})
	if err != nil {
		return err
	}
	c.APIKeys = append(c.APIKeys, devAPIKey{k.Account, k.Netosecret})
	return nil
}

func (a *App) printDevJSON(c *devCredentials) error {
	line, err := json.Marshal(struct {
		URL        string `json:"url"`
		PrivateURL string `json:"private_url"`
		*devCredentials
	}{a.URL(), a.PrivateURL(), c})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.opts.Stdout, "%s\n", line)
	return err
}

// printDev prints calls that work as they stand.
func (a *App) printDev(c *devCredentials) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Sallyport is up at %s, before a demo API.\n", a.URL())
	fmt.Fprintf(&b, "Health and metrics: %s. Data: %s\n\n", a.PrivateURL(), a.engine.dir)
	for _, u := range c.Users {
		fmt.Fprintf(&b, "  %-12s %-10s password %s\n", u.Type, u.Username, u.Password)
	}
	for _, k := range c.APIKeys {
		fmt.Fprintf(&b, "  API key      NETOSECRET=%s\n", k.Netosecret)
	}
	b.WriteString("\nPaste into another terminal (needs curl):\n")
	for _, m := range a.engine.mounts {
		fmt.Fprintf(&b, "\n## %s\n", m.contract.Contract().Title())
		for _, ex := range contract.Examples(m.contract, a.URL(), a.demoCall(m, c)) {
			call := ex.Curl
			if strings.HasPrefix(call, "curl ") {
				call += "; echo" // answers have no newline at their end, and many calls are pasted at once
			}
			fmt.Fprintf(&b, "\n# %s\n%s\n", ex.Title, call)
		}
	}
	b.WriteString("\nStop with Ctrl-C.\n")
	_, err := io.WriteString(a.opts.Stdout, b.String())
	return err
}

// demoCall fills the calls of a mount: by the application user where the
// contract mints application tokens, which only such a user may.
func (a *App) demoCall(m *mounted, c *devCredentials) contract.Credentials {
	u := c.Users[0]
	if m.core.Policy.Application != nil {
		u = c.Users[1]
	}
	out := contract.Credentials{Username: u.Username, Password: u.Password}
	if len(c.APIKeys) > 0 {
		out.RequestToken = fmt.Sprintf("$(NETOSECRET=%s %s netosecret request-token)", c.APIKeys[0].Netosecret, self())
	}
	if a.demo != nil {
		out.Protected = "/api/stations"
	}
	return out
}

// self is how to call this very program.
func self() string {
	if exe, err := os.Executable(); err == nil {
		return exe
	}
	return "sallyport"
}
