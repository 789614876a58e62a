package attack_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
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
	"github.com/sallyport/sallyport/internal/token"
)

const (
	password     = "a long enough demo phrase 17"
	sharedSecret = "a secret of the vendor's verifiers, 45 bytes."
	begin        = int64(1_790_000_000_456)
)

// world is a server under attack.
type world struct {
	t     *testing.T
	dir   string
	addr  string // host:port of the public listener
	clock *atomic.Int64
	admin *admin.Client
	app   *app.App

	forwarded atomic.Int64 // requests that reached the upstream
	dialled   atomic.Int64 // connections to the address that hostile headers name
	sink      string       // that address
	upstream  http.HandlerFunc

	db *sql.DB
	// passed counts what a row sent that was free to pass, by what it reached.
	passed map[string]int64
	creds  []*credential
	// keys are the server's own, read from a copy of its data: what a thief of
	// everything could sign, for rows about claims behind a good signature.
	keys *keyring.Keyring
	jwks []map[string]string
	key  core.Netosecret
}

// mountsYAML mounts what an attacker can cross: three contracts, one of them
// again for another account and again with a secret that others hold.
const mountsYAML = `
mounts:
  - contract: pathstack
  - contract: itempath
  - contract: netography
  - {contract: itempath, name: other, prefix: /other, account: other}
  - {contract: itempath, name: held, prefix: /held, keys: {shared_secret_file: %s, shared_for: [access, application]}}
gateway: {words: itempath}
log: {level: error, access: false}
forward_auth: {proxies: [127.0.0.1]}
`

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: new(atomic.Int64), dir: filepath.Join(t.TempDir(), "data")}
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
	w.listenSink()
	secret := filepath.Join(t.TempDir(), "secret")
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(secret, []byte(sharedSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, mountsYAML, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{File: file, Environ: []string{}, Flags: config.Flags{
		"data": {w.dir}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "upstream": {up.URL},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.app, err = app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: t.Output(), Now: w.clock.Load})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("the server ended with", err)
		}
		if err := w.app.Close(); err != nil {
			t.Error(err)
		}
	})
	w.addr = strings.TrimPrefix(w.app.URL(), "http://")
	w.admin = admin.NewSocketClient(filepath.Join(w.dir, app.AdminSocket))
	w.db, err = sql.Open("sqlite", "file:"+filepath.Join(w.dir, sqlite.FileName)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

// listenSink opens the address that jku and x5u of hostile headers name.
func (w *world) listenSink() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.sink = ln.Addr().String()
	w.t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.dialled.Add(1)
			_ = c.Close()
		}
	}()
}

func (w *world) act(path string, in, out any) {
	w.t.Helper()
	if err := w.admin.Post(w.t.Context(), path, in, out); err != nil {
		w.t.Fatal(path, err)
	}
}

// user makes a user and returns the id.
func (w *world) user(account, name, typ string) string {
	w.t.Helper()
	var u admin.User
	w.act("/users", map[string]any{"account": account, "username": name, "type": typ, "password": password, "roles": []string{"reader"}}, &u)
	return u.ID
}

// copyKeys opens the keyring of a copy of the data directory.
func (w *world) copyKeys() {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "copy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal", "master.key"} {
		data, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	store, err := sqlite.Open(w.t.Context(), sqlite.Config{Dir: dir, Now: w.clock.Load})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = store.Close() })
	master, err := keyring.LoadMaster(keyring.Source{File: filepath.Join(dir, "master.key")})
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys, err = keyring.Open(w.t.Context(), keyring.Config{Rows: store, Meta: store, Master: master, Now: w.clock.Load})
	if err != nil {
		w.t.Fatal(err)
	}
}

// sign makes a token of any payload with the key that signed c.
func (w *world) sign(c *credential, payload string) (string, error) {
	if c.kind == token.Request {
		return macWith([]byte(w.key.SharedSecret), `{"typ":"JWT","alg":"HS256"}`, payload), nil
	}
	tok, _, err := w.keys.Sign(core.KeySet{Mount: c.mount, Kind: c.kind}, token.Header{Typ: "JWT"}, []byte(payload))
	return tok, err
}

// counters are the tables that refusals may write to: budgets of attempts, and
// the minute's summary of refusals in the audit log.
var counters = map[string]bool{"attempts": true, "audit": true}

// rows is a digest of each table, and the kinds of audit records.
func (w *world) rows() map[string]string {
	w.t.Helper()
	names := w.column(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	out := map[string]string{}
	for _, name := range names {
		if counters[name] {
			continue
		}
		sum := sha256.New()
		for _, row := range w.column(fmt.Sprintf("SELECT quote(json_array(%s)) FROM %s ORDER BY 1", w.quoted(name), name)) {
			_, _ = fmt.Fprintln(sum, row) // a hash takes everything
		}
		out[name] = hex.EncodeToString(sum.Sum(nil))
	}
	for _, kind := range w.column(`SELECT DISTINCT kind FROM audit ORDER BY 1`) {
		out["audit "+kind] = fmt.Sprint(w.column(`SELECT count(*) FROM audit WHERE kind = ?`, kind))
	}
	delete(out, "audit refusals")
	return out
}

// quoted lists the columns of a table as SQL literals, so that blobs compare;
// those of last use are left out, because good requests have them written late.
func (w *world) quoted(table string) string {
	cols := w.column(`SELECT 'quote("' || name || '")' FROM pragma_table_info(?) WHERE name NOT LIKE 'last_%'`, table)
	return strings.Join(cols, ", ")
}

func (w *world) column(query string, args ...any) []string {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), query, args...)
	if err != nil {
		w.t.Fatal(query, err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// publicKeys reads the JWKS.
func (w *world) publicKeys() {
	w.t.Helper()
	res := newWire(w).do([]byte("GET /.well-known/jwks.json HTTP/1.1\r\nHost: " + w.addr + "\r\n\r\n"))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(res.body, &set); err != nil || len(set.Keys) == 0 {
		w.t.Fatalf("no JWKS: %v %s", err, res.body)
	}
	w.jwks = set.Keys
}

// now is the clock as requests see it, in seconds.
func (w *world) now() int64 { return w.clock.Load() / 1000 }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }
