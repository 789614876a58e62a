package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/config"
)

// load runs Load on a file with the given text (none when empty), inside a
// folder of its own, so that messages name the file as c.yaml.
func load(t *testing.T, yaml string, env []string, args ...string) (*config.Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	opts := config.Options{Environ: append([]string{"PATH=/bin"}, env...)}
	if yaml != "" {
		if err := os.WriteFile("c.yaml", []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		opts.File = "c.yaml"
	}
	flags, rest, err := config.ParseFlags(args)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		t.Fatalf("arguments left over: %q", rest)
	}
	opts.Flags = flags
	return config.Load(opts)
}

func mustLoad(t *testing.T, yaml string, env []string, args ...string) *config.Config {
	t.Helper()
	c, err := load(t, yaml, env, args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsNeedNothing(t *testing.T) {
	c := mustLoad(t, "", nil)
	if c.Data != "./sallyport-data" || !slices.Equal(c.Listen, []string{"127.0.0.1:8080"}) ||
		!slices.Equal(c.PrivateListen, []string{"127.0.0.1:8081"}) {
		t.Errorf("data %q, listen %q, private %q", c.Data, c.Listen, c.PrivateListen)
	}
	if c.Sessions.Grace != 2*time.Minute || c.Sessions.MaxPerSubject != 200 || c.MaxStaleness != 5*time.Second {
		t.Errorf("sessions %+v, staleness %v", c.Sessions, c.MaxStaleness)
	}
	var mounts []string
	for _, m := range c.Mounts {
		mounts = append(mounts, m.Name+"@"+m.Prefix+"@"+m.Account)
	}
	if want := []string{"pathstack@@default", "itempath@@default", "netography@@default"}; !slices.Equal(mounts, want) {
		t.Errorf("mounts %q, want %q", mounts, want)
	}
	if got := c.IssuerFor("127.0.0.1:8080"); got != "http://127.0.0.1:8080" {
		t.Errorf("issuer %q", got)
	}
	if got := c.IssuerFor("[::]:80"); got != "http://localhost:80" {
		t.Errorf("issuer of every address: %q", got)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
}

// TestDefaultsDecode makes sure that a default is one that a user could write.
func TestDefaultsDecode(t *testing.T) {
	for _, k := range config.Keys() {
		if k.Default == "" || k.Flag() == "" {
			continue
		}
		if _, err := load(t, "", nil, "--"+k.Flag()+"="+k.Default); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: documentation %q", k.Name, k.Doc)
		}
	}
}

func TestPrecedence(t *testing.T) {
	const yaml = "log:\n  level: warn\n"
	env := []string{"SALLYPORT_LOG_LEVEL=error"}
	tests := []struct {
		name         string
		yaml         string
		env, args    []string
		want, origin string
	}{
		{"default", "", nil, nil, "info", "default"},
		{"file", yaml, nil, nil, "warn", "c.yaml:2:10"},
		{"environment over file", yaml, env, nil, "error", "SALLYPORT_LOG_LEVEL"},
		{"flag over environment", yaml, env, []string{"--log-level", "debug"}, "debug", "--log-level"},
		{"null in the file is no value", "log: {level: }\n", nil, nil, "info", "default"},
		{"empty section", "log:\n", nil, nil, "info", "default"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := mustLoad(t, tc.yaml, tc.env, tc.args...)
			if c.Log.Level != tc.want || c.Origin("log.level") != tc.origin {
				t.Errorf("level %q from %q, want %q from %q", c.Log.Level, c.Origin("log.level"), tc.want, tc.origin)
			}
		})
	}
}

// sample gives every key a value that is not its default.
var sample = map[string]string{
	"data": "/srv/data", "store": "postgres://sallyport@db.internal/sallyport", "postgres.connections": "20", "postgres.pooler": "transaction",
	"postgres.statement_timeout": "20s", "postgres.lock_timeout": "1s", "listen": "0.0.0.0:9000,unix:/run/s.sock", "private_listen": "127.0.0.1:9001",
	"private_off_loopback": "true", "private_hosts": "probe.internal", "issuer": "https://a.example",
	"tls.cert": "/c.pem", "tls.key": "/k.pem", "h2c": "true", "trusted_proxies": "10.0.0.0/8,unix",
	"trusted_header": "forwarded", "upstream": "http://127.0.0.1:3000", "upstream_timeout.connect": "1s",
	"upstream_timeout.response_header": "2m", "upstream_timeout.idle": "10s",
	"gateway.rules": "[{prefix: /a, access: public}]", "gateway.words": "itempath", "gateway.cors": "own", "gateway.pass_cookies": "true",
	"gateway.identity_headers.user": "X-U", "gateway.identity_headers.user_id": "X-I", "gateway.identity_headers.account": "X-A",
	"gateway.identity_headers.type": "X-T", "gateway.identity_headers.roles": "X-R", "gateway.identity_headers.session": "X-S",
	"forward_auth.proxies": "192.0.2.1", "mounts": "[{contract: itempath, prefix: /x}]", "contracts.dir": "/contracts",
	"contracts.files": "/a.yaml,/b.yaml", "cors.origins": "https://app.example", "cors.methods": "GET", "cors.headers": "X-One",
	"cors.expose": "X-Two", "cors.credentials": "true", "cors.max_age": "1m", "password.min_length": "12", "password.slots": "3",
	"password.queue": "9", "sessions.grace": "30s", "sessions.max_per_subject": "7", "limits.body": "2048",
	"limits.request_timeout": "3s", "limits.header_timeout": "4s", "limits.idle_timeout": "5s", "limits.connections": "99", "limits.connections_per_peer": "98",
	"limits.stranger_failures": "50", "limits.stranger_retry": "1m", "limits.known_network": "48h", "limits.application_tokens": "3",
	"audit.keep": "0s", "audit.ship": "syslog+udp://logs.example:514,file:///var/log/audit.jsonl",
	"max_staleness": "2s", "master_key_file": "/mk", "facts_journal": "/fj", "ballast": "1000000", "log.format": "text", "log.level": "debug", "log.access": "false",
	"oauth.enabled": "false", "keys.rotate_every": "720h", "keys.publish_ahead": "48h", "oauth.login_lifetime": "6h", "oauth.login_idle": "1h", "oauth.status_list": "false", "oauth.stylesheet": "/x/login.css", "metrics": "false", "pprof": "true", "shutdown_timeout": "3s", "dev": "true", "dev_off_loopback": "true",
}

// TestEveryKeyEveryWay sets all keys by variables, by flags and by the printed
// file, and wants the same configuration each time.
func TestEveryKeyEveryWay(t *testing.T) {
	var env, args []string
	for _, k := range config.Keys() {
		if k.Kind == config.KindSecret || k.Name == "store_file" { // it sets store: see TestStore
			continue
		}
		text, ok := sample[k.Name]
		if !ok {
			t.Fatalf("%s has no sample value", k.Name)
		}
		if text == k.Default {
			t.Errorf("%s: the sample is the default", k.Name)
		}
		env = append(env, k.Env()+"="+text)
		args = append(args, "--"+k.Flag(), text)
		if k.Kind == config.KindBool {
			args = append(args[:len(args)-2], "--"+k.Flag()+"="+text)
		}
	}
	byEnv, byFlag := mustLoad(t, "", env), mustLoad(t, "", nil, args...)
	var file strings.Builder
	if err := byEnv.Print(&file, false); err != nil {
		t.Fatal(err)
	}
	byFile := mustLoad(t, file.String(), nil)
	plain := mustLoad(t, "", nil)
	for _, k := range config.Keys() {
		if k.Kind == config.KindSecret || k.Name == "store_file" { // it sets store: see TestStore
			continue
		}
		want := valueOf(t, byEnv, k.Name)
		if want == valueOf(t, plain, k.Name) {
			t.Errorf("%s: %s did not change it", k.Name, k.Env())
		}
		if got := valueOf(t, byFlag, k.Name); got != want {
			t.Errorf("%s: flag gives %s, variable %s", k.Name, got, want)
		}
		if got := valueOf(t, byFile, k.Name); got != want {
			t.Errorf("%s: file gives %s, variable %s", k.Name, got, want)
		}
		if o := byEnv.Origin(k.Name); o != k.Env() {
			t.Errorf("%s: origin %q", k.Name, o)
		}
		if o := byFlag.Origin(k.Name); o != "--"+k.Flag() {
			t.Errorf("%s: origin %q", k.Name, o)
		}
	}
}

// valueOf finds the printed line of a key.
func valueOf(t *testing.T, c *config.Config, key string) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b, true); err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(b.String(), `"key": "`+key+`"`)
	if !ok {
		t.Fatalf("%s is not printed", key)
	}
	v, _, _ := strings.Cut(after, `"origin"`)
	return v
}

func TestRulesAndMounts(t *testing.T) {
	c := mustLoad(t, `
upstream: http://127.0.0.1:3000
gateway:
  rules:
    - prefix: /api/admin
      methods: [POST, DELETE]
      roles: [admin]
      kinds: access
      words: itempath
    - {prefix: /, access: public}
mounts:
  - itempath
  - contract: ./my/thing.yaml
    host: api.example.com
    prefix: /v2
    account: any
    status_list: false
    keys:
      shared_secret_file: /run/secret
      shared_for: [access, application]
      weak_until: 2031-12-31
`, nil)
	wantRules := []config.Rule{
		{
			Prefix: "/api/admin", Methods: []string{"POST", "DELETE"}, Access: "token", Roles: []string{"admin"},
			Kinds: []string{"access"}, Words: "itempath", Source: "c.yaml:5:7",
		},
		{Prefix: "/", Access: "public", Source: "c.yaml:10:7"},
	}
	if !reflect.DeepEqual(c.Gateway.Rules, wantRules) {
		t.Errorf("rules\n%+v\nwant\n%+v", c.Gateway.Rules, wantRules)
	}
	wantMounts := []config.Mount{
		{Contract: "itempath", Name: "itempath", Account: "default", Source: "c.yaml:12:5"},
		{
			Contract: "./my/thing.yaml", Name: "thing", Host: "api.example.com", Prefix: "/v2", Account: "any", Source: "c.yaml:13:5", NoStatusList: true,
			Keys: config.MountKeys{
				SharedSecretFile: "/run/secret", SharedFor: []string{"access", "application"},
				WeakUntil: time.Date(2031, 12, 31, 0, 0, 0, 0, time.UTC),
			},
		},
	}
	if !reflect.DeepEqual(c.Mounts, wantMounts) {
		t.Errorf("mounts\n%+v\nwant\n%+v", c.Mounts, wantMounts)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	const secret = "c2VjcmV0LW1hc3Rlci1rZXk"
	c := mustLoad(t, "", []string{"SALLYPORT_MASTER_KEY=" + secret})
	if c.MasterKey.Reveal() != secret {
		t.Fatalf("the secret was not read")
	}
	for _, asJSON := range []bool{false, true} {
		var b strings.Builder
		if err := c.Print(&b, asJSON); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), secret) || !strings.Contains(b.String(), "[redacted]") {
			t.Errorf("printed (json %v):\n%s", asJSON, b.String())
		}
	}
	if s := strings.Join([]string{errText(c), sprint(c)}, ""); strings.Contains(s, secret) {
		t.Errorf("fmt prints the secret: %s", s)
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ content, want, err string }{
		{"abc\n", "abc", ""}, {"abc\r\n", "abc", ""}, {" a \n\n", " a \n", ""}, {"\n", "", "secret file s: it is empty"},
	} {
		path := filepath.Join(dir, "s")
		if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := config.ReadSecret(path)
		if text := strings.ReplaceAll(errString(err), dir+"/", ""); text != tc.err || got.Reveal() != tc.want {
			t.Errorf("%q: %q, %q", tc.content, got.Reveal(), text)
		}
	}
	if _, err := config.ReadSecret(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file is no secret")
	}
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseFlagsLeavesTheRest(t *testing.T) {
	flags, rest, err := config.ParseFlags([]string{"serve", "--dev", "--listen", "a:1", "--json", "--listen=b:2", "-v", "--", "--dev"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (config.Flags{"dev": {"true"}, "listen": {"a:1", "b:2"}}); !reflect.DeepEqual(flags, want) {
		t.Errorf("flags %v, want %v", flags, want)
	}
	if want := []string{"serve", "--json", "-v", "--", "--dev"}; !slices.Equal(rest, want) {
		t.Errorf("rest %q, want %q", rest, want)
	}
}

func TestWarnings(t *testing.T) {
	c := mustLoad(t, "gateway: {rules: [{prefix: /a}]}\n", []string{
		"SALLYPORT_SOMETHING_ELSE_ENTIRELY=1", "SALLYPORT_SERVICE_HOST=10.0.0.1", "SALLYPORT_PORT=tcp://10.0.0.1:80",
		"SALLYPORT_PORT_80_TCP_ADDR=10.0.0.1",
	})
	want := []string{
		"SALLYPORT_SOMETHING_ELSE_ENTIRELY: unknown variable, ignored",
		"c.yaml:1:18: gateway.rules apply to nothing: neither upstream nor forward_auth.proxies is set",
	}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("warnings %q, want %q", c.Warnings, want)
	}
}

func TestConfigFromVariable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("data: /d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{Environ: []string{"SALLYPORT_CONFIG=" + path}})
	if err != nil || c.Data != "/d" || c.File != path {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = config.Load(config.Options{File: "/nowhere/x.yaml", Environ: []string{}})
	var ps config.Problems
	if !errors.As(err, &ps) || err.Error() != "/nowhere/x.yaml: the configuration file cannot be read: no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
}
