package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contracts"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/contract"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/token"
)

// mounted is a mount in all its parts.
type mounted struct {
	cfg      config.Mount
	core     *core.Mount
	contract *contract.Mounted
	sum      string // of the contract's file: nodes compare what they serve
}

// loadMounts compiles the contracts and registers the mounts with the service.
// A server also sees to it that each kind of token has a key; a command that
// works offline may have been given another configuration than the server, so
// it makes no keys and records no mounts.
func (e *engine) loadMounts(ctx context.Context, cfg *config.Config, serving bool) error {
	lib, err := loadLibrary(cfg)
	if err != nil {
		return err
	}
	var rows []core.MountRow
	for _, mc := range cfg.Mounts {
		if mc.Name == core.FeedMount {
			return fmt.Errorf("%s: %q is a name of our own; give this mount another name", mc.Source, mc.Name)
		}
		if cfg.OAuth.Enabled && (mc.Name == core.OAuthMount || mc.Name == core.BrowserMount) {
			return fmt.Errorf("%s: %q is the name of a mount of our own; give this one another name, or set oauth.enabled to false", mc.Source, mc.Name)
		}
		m, err := e.mount(lib, cfg, mc)
		if err != nil {
			return err
		}
		e.mounts = append(e.mounts, m)
		rows = append(rows, core.MountRow{ID: m.core.ID, Contract: m.core.Contract, Host: mc.Host, Prefix: mc.Prefix, Account: m.core.Account})
	}
	if serving {
		if err := e.ensureKeys(ctx); err != nil {
			return err
		}
		if err := e.ensureFeedKey(ctx); err != nil {
			return err
		}
	}
	for _, m := range e.mounts {
		if err := e.service.RegisterMount(m.core); err != nil {
			return err
		}
		if err := e.checkAccount(ctx, m); err != nil {
			return err
		}
	}
	if err := e.enableOAuth(ctx, cfg, serving); err != nil {
		return err
	}
	if !serving {
		return nil
	}
	if err := e.service.RememberLifetimes(ctx); err != nil {
		return err
	}
	_, err = e.store.SyncMounts(ctx, e.now(), rows)
	return err
}

// enableOAuth puts OAuth beside the contracts, unless it is switched off. Only
// a server makes keys.
func (e *engine) enableOAuth(ctx context.Context, cfg *config.Config, serving bool) error {
	if !cfg.OAuth.Enabled {
		return nil
	}
	oc := authserver.Options{
		GraceMS: cfg.Sessions.Grace.Milliseconds(), BrowserMS: cfg.OAuth.LoginLifetime.Milliseconds(), BrowserIdleMS: cfg.OAuth.LoginIdle.Milliseconds(),
		NoStatusList: !cfg.OAuth.StatusList,
	}
	if serving {
		oc.MakeKey = func(ctx context.Context, set core.KeySet, alg token.Algorithm) error {
			return e.keys.Ensure(ctx, []keyring.Need{{Set: set, Algorithm: alg}})
		}
	}
	if err := e.auth.Enable(ctx, oc); err != nil {
		return fmt.Errorf("preparing OAuth: %w", err)
	}
	return nil
}

func (e *engine) mount(lib *library, cfg *config.Config, mc config.Mount) (*mounted, error) {
	def, err := lib.find(mc.Contract)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mc.Source, err)
	}
	compiled, err := contract.Compile(def, contract.Options{})
	if err != nil {
		return nil, err
	}
	put, err := compiled.Mount(contract.MountOptions{
		ID: mc.Name, Host: mc.Host, Prefix: mc.Prefix, Account: mc.Account, Grants: e.service, Now: e.now, Logger: e.log,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mc.Source, err)
	}
	if cfg.Origin("sessions.grace") != "default" {
		put.Core.Policy.Rotation.GraceMS = cfg.Sessions.Grace.Milliseconds()
		for _, v := range put.Core.Policy.Variants {
			if v.Rotation != nil {
				v.Rotation.GraceMS = cfg.Sessions.Grace.Milliseconds()
			}
		}
	}
	put.Core.Policy.NoStatusList = mc.NoStatusList
	return &mounted{cfg: mc, core: put.Core, contract: put, sum: shortSum(def.Sum)}, nil
}

// checkAccount refuses a mount of an account that is not there: every login
// would be refused, and nobody would know why.
func (e *engine) checkAccount(ctx context.Context, m *mounted) error {
	if m.core.Account == core.AnyAccount {
		return nil
	}
	if _, err := e.service.Account(ctx, m.core.Account); err != nil {
		if core.CodeOf(err) == core.NotFound {
			e.log.Warn("a mount serves an account that does not exist yet; `sallyport account add` makes it", "mount", m.core.ID, "account", m.core.Account)
			return nil
		}
		return err
	}
	return nil
}

// ensureKeys brings shared secrets in and makes the keys that are missing.
func (e *engine) ensureKeys(ctx context.Context) error {
	var needs []keyring.Need
	for _, m := range e.mounts {
		if err := e.importShared(ctx, m); err != nil {
			return fmt.Errorf("%s: mount %s: %w", m.cfg.Source, m.core.ID, err)
		}
		for _, kind := range []token.Kind{token.Access, token.Refresh, token.ID, token.Application} {
			if spec := m.core.Policy.Spec(kind); spec != nil {
				needs = append(needs, keyring.Need{Set: core.KeySet{Mount: m.core.ID, Kind: kind}, Algorithm: spec.Algorithm})
			}
		}
	}
	return e.keys.Ensure(ctx, needs)
}

func (e *engine) importShared(ctx context.Context, m *mounted) error {
	k := m.cfg.Keys
	if k.SharedSecretFile == "" {
		return nil
	}
	secret, err := config.ReadSecret(k.SharedSecretFile)
	if err != nil {
		return err
	}
	kinds := k.SharedFor
	if len(kinds) == 0 {
		kinds = []string{"access"}
	}
	opts := keyring.ImportOptions{}
	if !k.WeakUntil.IsZero() {
		opts.WeakUntil = k.WeakUntil.UnixMilli()
	}
	for _, kind := range kinds {
		spec := m.core.Policy.Spec(token.Kind(kind))
		if spec == nil || spec.Algorithm != token.HS256 {
			return fmt.Errorf("the contract %s does not sign %s tokens with HS256, so a shared secret cannot sign them", m.core.Contract, kind)
		}
		set := core.KeySet{Mount: m.core.ID, Kind: token.Kind(kind)}
		if _, err := e.keys.ImportShared(ctx, set, []byte(secret.Reveal()), opts); err != nil {
			return err
		}
	}
	return nil
}

// library is the contracts a mount may name.
type library struct {
	loaded map[string]*contract.Definition
}

// loadLibrary reads the operator's own contract files. Those that come with us
// are read when a mount asks for them.
func loadLibrary(cfg *config.Config) (*library, error) {
	files := slices.Clone(cfg.Contracts.Files)
	if cfg.Contracts.Dir != "" {
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, err := filepath.Glob(filepath.Join(cfg.Contracts.Dir, pattern))
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		}
	}
	lib := &library{loaded: map[string]*contract.Definition{}}
	for _, f := range files {
		def, err := readContract(f)
		if err != nil {
			return nil, err
		}
		if other := lib.loaded[def.Name]; other != nil {
			return nil, fmt.Errorf("%s and %s are both named %q; give one another name in its `contract:` line", other.File, f, def.Name)
		}
		lib.loaded[def.Name] = def
	}
	return lib, nil
}

func readContract(file string) (*contract.Definition, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the contract file: %w", err)
	}
	return contract.Parse(file, data)
}

// find resolves what a mount calls its contract: a file, one of the operator's,
// or one that comes with us.
func (l *library) find(name string) (*contract.Definition, error) {
	if strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return readContract(name)
	}
	if def := l.loaded[name]; def != nil {
		return def, nil
	}
	file, data, err := contracts.Read(name)
	if err != nil {
		known := slices.Concat(contracts.Names(), contracts.Examples())
		for n := range l.loaded {
			known = append(known, n)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("there is no contract %q; there are %s, and a file is named by its path", name, strings.Join(known, ", "))
	}
	return contract.Parse(file, data)
}

// CheckContracts compiles the contracts that a configuration mounts and looks
// for routes that two of them claim, without opening anything else.
func CheckContracts(cfg *config.Config) error {
	lib, err := loadLibrary(cfg)
	if err != nil {
		return err
	}
	var puts []*contract.Mounted
	for _, mc := range cfg.Mounts {
		def, err := lib.find(mc.Contract)
		if err != nil {
			return fmt.Errorf("%s: %w", mc.Source, err)
		}
		c, err := contract.Compile(def, contract.Options{})
		if err != nil {
			return err
		}
		m, err := c.Mount(contract.MountOptions{ID: mc.Name, Host: mc.Host, Prefix: mc.Prefix, Account: mc.Account, Grants: noGrants{}})
		if err != nil {
			return fmt.Errorf("%s: %w", mc.Source, err)
		}
		puts = append(puts, m)
	}
	_, err = contract.NewRouter(puts...)
	return err
}

// noGrants stands where a contract is checked and never served.
type noGrants struct{ core.Grants }
