package attack_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/test/sut"
)

const (
	password     = "a long enough demo phrase 17"
	sharedSecret = "a secret of the vendor's verifiers, 45 bytes."
	begin        = int64(1_790_000_000_456)
)

// world is a server under attack.
type world struct {
	t     testing.TB
	dir   string // the data directory
	file  string // the configuration
	up    string // URL of the upstream
	addr  string // host:port of the public listener
	clock *atomic.Int64
	admin *admin.Client
	app   *app.App
	stop  func()
	watch *watch

	forwarded atomic.Int64 // requests that reached the upstream
	upstream  http.HandlerFunc

	db    *sql.DB
	creds []*credential
	// dead are tokens that were good once, made if withDead says so; see
	// dead_test.go.
	withDead bool
	dead     []deadToken
	stage    []*credential
	// keys are the server's own, read from a copy of its data: what a thief of
	// everything could sign, for rows about what stands behind a good signature.
	keys    *keyring.Keyring
	signers map[core.KeySet]*rawKey
	foreign []*rawKey // keys that are somebody else's
	jwks    []map[string]string
	key     core.Netosecret
	apiKey  admin.APIKey
	browser *browser
	clients map[string]*admin.OAuthClient
	minted  int64 // what this world has made itself, for texts that must be new
}

// mountsYAML mounts what an attacker can cross: four contracts, one of them
// again for another account and again with a secret that others hold.
const mountsYAML = `
mounts:
  - contract: pathstack
  - contract: itempath
  - contract: netography
  - {contract: itempath, name: other, prefix: /other, account: other}
  - {contract: itempath, name: held, prefix: /held, keys: {shared_secret_file: %s, shared_for: [access, application]}}
  - {contract: directus, prefix: /dx}
gateway: {words: itempath}
log: {level: error, access: false}
forward_auth: {proxies: [127.0.0.1, 127.0.0.2]}
h2c: %t
`

func newWorld(t testing.TB) *world { return newWorldWith(t, false) }

// newWorldWith may serve HTTP/2 without TLS besides.
func newWorldWith(t testing.TB, h2c bool) *world {
	t.Helper()
	w := &world{t: t, clock: new(atomic.Int64), dir: filepath.Join(t.TempDir(), "data"), clients: map[string]*admin.OAuthClient{}}
	w.clock.Store(begin)
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.forwarded.Add(1)
		if w.upstream != nil {
			w.upstream(rw, r)
			return
		}
		_, _ = rw.Write([]byte(`{}`))
	}))
	t.Cleanup(up.Close)
	w.up = up.URL
	w.watch = newWatch(t)
	secret := filepath.Join(t.TempDir(), "secret")
	w.file = filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(secret, []byte(sharedSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.file, fmt.Appendf(nil, mountsYAML, secret, h2c), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := sut.FreePorts(1) // for a server that is started again
	if err != nil {
		t.Fatal(err)
	}
	w.start(free[0])
	t.Cleanup(func() { w.stop() })
	w.db, err = sql.Open("sqlite", "file:"+filepath.Join(w.dir, sqlite.FileName)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	w.db.SetMaxOpenConns(1) // its data_version is that of one connection
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

// start runs the server on its data directory.
func (w *world) start(listen string) {
	w.t.Helper()
	cfg, err := config.Load(config.Options{File: w.file, Environ: []string{}, Flags: config.Flags{
		"data": {w.dir}, "listen": {listen}, "private_listen": {"127.0.0.1:0"}, "upstream": {w.up},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.app, err = app.New(w.t.Context(), cfg, app.Options{Version: "test", Stderr: w.watch, Now: w.clock.Load})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, running := make(chan error, 1), w.app
	go func() { done <- running.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error("the server ended with", err)
		}
		if err := running.Close(); err != nil {
			w.t.Error(err)
		}
		w.stop = func() {}
	}
	w.addr = strings.TrimPrefix(w.app.URL(), "http://")
	w.admin = admin.NewSocketClient(filepath.Join(w.dir, app.AdminSocket))
}

// restart ends the server and starts it again at the same address.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start(w.addr)
}

func (w *world) act(path string, in, out any) {
	w.t.Helper()
	if err := w.admin.Post(w.t.Context(), path, in, out); err != nil {
		w.t.Fatal(path, err)
	}
}

// user makes a user and returns the id. Its roles open every door there is.
func (w *world) user(account, name, typ string) string {
	w.t.Helper()
	var u admin.User
	w.act("/users", map[string]any{
		"account": account, "username": name, "email": name + "@" + account + "x.example", "type": typ, "password": password,
		"roles": []string{"reader", core.RoleRevocations},
	}, &u)
	return u.ID
}

// publicKeys reads the JWKS.
func (w *world) publicKeys() {
	w.t.Helper()
	c := newWire(w)
	defer c.close()
	res := c.do([]byte("GET /.well-known/jwks.json HTTP/1.1\r\nHost: " + w.addr + "\r\n\r\n"))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(res.body, &set); err != nil || len(set.Keys) == 0 {
		w.t.Fatalf("no JWKS: %v %s", err, res.body)
	}
	w.jwks = set.Keys
}

// now is the clock as requests see it, in seconds.
func (w *world) now() int64 { return w.clock.Load() / 1000 }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }

// next is a number that this world has not used.
func (w *world) next() int64 {
	w.minted++
	return w.minted
}
