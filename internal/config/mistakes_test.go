package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

func errText(c *config.Config) string { return fmt.Sprintf("%v %+v %#v", c.MasterKey, c, c.MasterKey) }

func sprint(c *config.Config) string {
	return fmt.Sprintf("%x %q %s", c.MasterKey, c.MasterKey, c.MasterKey)
}

// TestMistakes is the table of what people write and what they are told.
func TestMistakes(t *testing.T) {
	tests := []struct {
		name      string
		yaml      string
		env, args []string
		want      string
	}{
		{
			name: "unknown key", yaml: "data: /d\nlistn: 127.0.0.1:1\n",
			want: "c.yaml:2:1: listn: unknown key; did you mean listen?",
		},
		{
			name: "unknown nested key", yaml: "tls:\n  crt: /c\n",
			want: "c.yaml:2:3: tls.crt: unknown key; did you mean tls.cert?",
		},
		{
			name: "right key, wrong level", yaml: "origins: [https://a.example]\n",
			want: "c.yaml:1:1: origins: unknown key; did you mean cors.origins?",
		},
		{
			name: "nothing near", yaml: "database_connection_pool: 3\n",
			want: "c.yaml:1:1: database_connection_pool: unknown key; sallyport config print lists them all",
		},
		{
			name: "scalar for a section", yaml: "tls: true\n",
			want: "c.yaml:1:6: tls: want a group of keys (cert, key), got true",
		},
		{
			name: "set twice", yaml: "data: /a\ndata: /b\n",
			want: `c.yaml:2:1: mapping key "data" already defined at [1:1]`,
		},
		{
			name: "syntax", yaml: "data: [a\n",
			want: "c.yaml:1:7: sequence end token ']' not found",
		},
		{
			name: "no mapping", yaml: "- a\n",
			want: "c.yaml:1:1: want keys such as listen: 127.0.0.1:8080, got a list",
		},
		{
			name: "two documents", yaml: "data: /a\n---\ndata: /b\n",
			want: "c.yaml:3:1: a second document begins here; the configuration is one document",
		},
		{
			name: "anchor", yaml: "data: &x /a\n",
			want: "c.yaml:1:7: anchors, aliases and merge keys are not read here; write the value out",
		},
		{
			name: "no unit", yaml: "sessions: {grace: 120}\n",
			want: "c.yaml:1:19: sessions.grace: 120 has no unit; write 120s, 120m or 120h",
		},
		{
			name: "days", env: []string{"SALLYPORT_LIMITS_KNOWN_NETWORK=30d"},
			want: "SALLYPORT_LIMITS_KNOWN_NETWORK: limits.known_network: days are written in hours: 720h",
		},
		{
			name: "out of range", args: []string{"--sessions-grace=11m"},
			want: "--sessions-grace: sessions.grace: 11m is outside 0s to 10m",
		},
		{
			name: "quoted number", yaml: "password: {slots: \"3\"}\n",
			want: `c.yaml:1:19: password.slots: want a whole number, got "3"`,
		},
		{
			name: "yes for true", yaml: "pprof: yes\n",
			want: `c.yaml:1:8: pprof: want true or false, got "yes"`,
		},
		{
			name: "word", yaml: "log: {format: jsn}\n",
			want: `c.yaml:1:15: log.format: "jsn" is none of auto, json or text; did you mean json?`,
		},
		{
			name: "port alone", args: []string{"--listen", "8080"},
			want: `--listen: listen: "8080" has no host; write 127.0.0.1:8080, or 0.0.0.0:8080 for every address of the machine`,
		},
		{
			name: "colon and port", yaml: "listen: \":8080\"\n",
			want: `c.yaml:1:9: listen: ":8080" has no host; write 127.0.0.1:8080, or 0.0.0.0:8080 for every address of the machine`,
		},
		{
			name: "no port", yaml: "listen: localhost\n",
			want: `c.yaml:1:9: listen: "localhost" has no port; write localhost:8080`,
		},
		{
			name: "URL to listen", yaml: "listen: http://x:1\n",
			want: `c.yaml:1:9: listen: "http://x:1" is a URL; want host:port or unix:/path`,
		},
		{
			name: "empty listen", yaml: "listen: []\n",
			want: "c.yaml:1:9: listen: must not be empty: without a listener nobody can log in",
		},
		{
			name: "same port", yaml: "private_listen: 127.0.0.1:8080\n",
			want: "c.yaml:1:17: private_listen: 127.0.0.1:8080 is taken by listen; give one of them another port",
		},
		{
			name: "same port of all addresses", args: []string{"--listen=0.0.0.0:8081"},
			want: "default: private_listen: 127.0.0.1:8081 is taken by listen; give one of them another port",
		},
		{
			name: "private off loopback", yaml: "private_listen: 0.0.0.0:9\n",
			want: "c.yaml:1:17: private_listen: 0.0.0.0:9 can be reached from other machines, and this listener asks for no login; use 127.0.0.1 or set private_off_loopback: true",
		},
		{
			name: "demo off loopback", args: []string{"--dev", "--listen=0.0.0.0:80"},
			want: "--listen: listen: 0.0.0.0:80 can be reached from other machines, and a demo prints its passwords; use 127.0.0.1 or set dev_off_loopback",
		},
		{
			name: "issuer with slash", yaml: "issuer: https://a.example/\n",
			want: `c.yaml:1:9: issuer: "https://a.example/": leave the slash at the end away; tokens are compared byte by byte`,
		},
		{
			name: "half of TLS", yaml: "tls: {cert: /c}\n",
			want: "c.yaml:1:13: tls.cert: is set without tls.key; TLS needs both",
		},
		{
			name: "password in upstream", yaml: "upstream: http://u:p@h\n",
			want: "c.yaml:1:11: upstream: a URL with a user name or password in it is refused; it would end up in logs",
		},
		{
			name: "upstream with a path", args: []string{"--upstream", "http://127.0.0.1:3000/api"},
			want: `--upstream: upstream: "http://127.0.0.1:3000/api": leave the path /api away; a request is forwarded with the path that it came with`,
		},
		{
			name: "upstream by HTTP/2 without a host", args: []string{"--upstream", "h2c://"},
			want: `--upstream: upstream: "h2c://": want a URL such as https://api.example.com`,
		},
		{
			name: "upstream without scheme", args: []string{"--upstream", "localhost:3000"},
			want: `--upstream: upstream: "localhost:3000": want a URL such as https://api.example.com`,
		},
		{
			name: "network", yaml: "trusted_proxies: [10.0.0.0/8, nginx]\n",
			want: `c.yaml:1:18: trusted_proxies: "nginx": want an address (192.0.2.7), a network (10.0.0.0/8) or the word unix`,
		},
		{
			name: "rule without prefix", yaml: "gateway:\n  rules:\n    - access: public\n",
			want: "c.yaml:3:7: gateway.rules[0]: a rule needs a prefix; / covers everything",
		},
		{
			name: "rule member", yaml: "gateway: {rules: [{prefix: /a, acces: deny}]}\n",
			want: "c.yaml:1:32: gateway.rules[0].acces: unknown key; did you mean access?",
		},
		{
			name: "public with roles", yaml: "gateway: {rules: [{prefix: /a, access: public, roles: [x]}]}\n",
			want: "c.yaml:1:19: gateway.rules[0]: roles, scopes and kinds mean nothing with access: public; they need access: token",
		},
		{
			name: "wildcard prefix", env: []string{"SALLYPORT_GATEWAY_RULES=[{prefix: /a/*}]"},
			want: `SALLYPORT_GATEWAY_RULES: gateway.rules[0].prefix: "/a/*": want a plain path, as in /api/v1, without dot segments, doubled slashes, encodings or wildcards`,
		},
		{
			name: "same rule twice", yaml: "gateway:\n  rules:\n    - {prefix: /a}\n    - {prefix: /a, access: deny}\n",
			want: "c.yaml:4:7: gateway.rules[1]: the rule at c.yaml:3:7 has the same prefix and method (all methods); join the two",
		},
		{
			name: "mount without contract", yaml: "mounts: [{prefix: /a}]\n",
			want: "c.yaml:1:10: mounts[0]: a mount needs a contract: one of pathstack, itempath, netography, or the path of a contract file",
		},
		{
			name: "mount names", yaml: "mounts:\n  - itempath\n  - {contract: itempath, prefix: /b}\n",
			want: `c.yaml:3:5: mounts[1]: the mount at c.yaml:2:5 is called "itempath", too; give one of them another name`,
		},
		{
			name: "mount named by its file", yaml: "mounts: [My File.yaml]\n",
			want: `c.yaml:1:10: mounts[0]: "My File" cannot be the name of a mount; set name to small letters, digits, - and _`,
		},
		{
			name: "secret in a mount", yaml: "mounts: [{contract: itempath, keys: {shared_secret: abc}}]\n",
			want: "c.yaml:1:38: mounts[0].keys.shared_secret: a secret does not belong into the configuration; put it into a file and name that with shared_secret_file",
		},
		{
			name: "weak date", yaml: "mounts: [{contract: a, keys: {shared_secret_file: /s, weak_until: soon}}]\n",
			want: `c.yaml:1:67: mounts[0].keys.weak_until: want a day such as 2031-12-31, got "soon"`,
		},
		{
			name: "mounts as text", args: []string{"--mounts=itempath"},
			want: `--mounts: mounts: want a list, each entry beginning with a dash; got "itempath"`,
		},
		{
			name: "secret in the file", yaml: "master_key: abc\n",
			want: "c.yaml:1:1: master_key: a secret does not belong into the configuration; put it into a file and name that with master_key_file, or set SALLYPORT_MASTER_KEY",
		},
		{
			name: "secret in a flag", args: []string{"--master-key=abc"},
			want: "--master-key: a secret on the command line can be read by every user of the machine; put it into a file and give --master-key-file, or set SALLYPORT_MASTER_KEY",
		},
		{
			name: "key twice over", yaml: "master_key_file: /k\n", env: []string{"SALLYPORT_MASTER_KEY=x"},
			want: "SALLYPORT_MASTER_KEY: master_key: is set, and so is master_key_file (c.yaml:1:18); keep one of them",
		},
		{
			name: "star with credentials", yaml: "cors: {origins: \"*\", credentials: true}\n",
			want: "c.yaml:1:35: cors.credentials: cannot be true while cors.origins holds *; list the origins by name",
		},
		{
			name: "identity headers fold", yaml: "gateway: {identity_headers: {user_id: x_sallyport.user}}\n",
			want: "c.yaml:1:39: gateway.identity_headers.user_id: x_sallyport.user is the header of gateway.identity_headers.user, too",
		},
		{
			name: "variable misspelt", env: []string{"SALLYPORT_LISTNE=a:1"},
			want: "SALLYPORT_LISTNE: unknown variable; did you mean SALLYPORT_LISTEN?",
		},
		{name: "flag without value", args: []string{"--data"}, want: "--data: a value is missing"},
		{name: "flag twice", args: []string{"--data=a", "--data=b"}, want: "--data: is given twice"},
		{
			name: "all at once", yaml: "listn: a\npprof: 3\n", env: []string{"SALLYPORT_H2C=maybe"}, args: []string{"--password-slots=x"},
			want: "c.yaml:1:1: listn: unknown key; did you mean listen?\n" +
				"c.yaml:2:8: pprof: want true or false, got the number 3\n" +
				"SALLYPORT_H2C: h2c: want true or false, got \"maybe\"\n" +
				"--password-slots: password.slots: want a whole number, got \"x\"",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(t, tc.yaml, tc.env, tc.args...)
			if got := errString(err); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// TestDocs compares the page with the table it is made from.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(path, []byte(config.Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != config.Markdown() {
		t.Errorf("%s is out of date; run: go test ./internal/config -run TestDocs -update", path)
	}
}

func TestPrintNamesOrigins(t *testing.T) {
	c := mustLoad(t, "tls:\n  cert: /c\n  key: /k\n", []string{"SALLYPORT_LOG_LEVEL=warn"}, "--data", "/my data")
	var b strings.Builder
	if err := c.Print(&b, false); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"data: \"/my data\"  # --data\n", "listen: [\"127.0.0.1:8080\"]  # default\n", "tls:\n  cert: /c  # c.yaml:2:9\n",
		"  level: warn  # SALLYPORT_LOG_LEVEL\n", "# master_key: not set  # default\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
}

// FuzzLoad: no text makes Load panic; what it accepts prints as YAML that it
// accepts again with the same values.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"", "data: /d\n", "listen: [127.0.0.1:0, \"unix:/run/s\"]\n", "gateway: {rules: [{prefix: /, access: deny}]}\n",
		"mounts:\n  - itempath\n  - {contract: x.yaml, keys: {shared_secret_file: /s}}\n", "log:\n  level: debug\n  format: text\n",
		"data: \"a\\u0000\\n# b\"\n", "data: |\n  x\n  y\n", "[[[[", "a: &a [*a]\n", "? x\n: y\n", "data: no\n", "data: !!str 3\n", "mounts:\n- 0A", "mounts: [{name: , contract: a}]",
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, fmt.Sprintf("%d.yaml", os.Getpid()))
		c, err := loadText(path, text)
		if err != nil {
			return
		}
		var printed, again strings.Builder
		if err := c.Print(&printed, false); err != nil {
			t.Fatal(err)
		}
		c2, err := loadText(path, printed.String())
		if err != nil {
			t.Fatalf("the printed configuration is refused: %v\n%s", err, printed.String())
		}
		if err := c2.Print(&again, false); err != nil {
			t.Fatal(err)
		}
		if a, b := withoutComments(printed.String()), withoutComments(again.String()); a != b {
			t.Fatalf("printed and read again:\n%s\nbut was\n%s", b, a)
		}
	})
}

func loadText(path, text string) (*config.Config, error) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(config.Options{File: path, Environ: []string{}})
}

func withoutComments(s string) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if i := strings.LastIndex(line, "  # "); i >= 0 {
			line = line[:i]
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
