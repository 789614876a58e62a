// Package sallyport_test holds the rules that concern the whole repository.
package sallyport_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport/"

// rule says what a package may import of this module, and why no more. Names
// end in /... for a subtree.
type rule struct {
	pkg    string
	may    []string
	why    string
	banned []string // packages from elsewhere that it must not import
}

var rules = []rule{
	{pkg: "cmd/sallyport", may: []string{"internal/cli"}, why: "main is a doorbell: tests start the CLI and the app as values"},
	{pkg: "internal/cli", may: []string{"internal/app", "internal/contract", "internal/config", "internal/core", "internal/admin", "internal/token", "internal/password"}, why: "the CLI speaks to the handlers of admin; it never opens a store"},
	{pkg: "internal/app", may: []string{"internal/...", "contracts", "verify", "client"}, why: "the wiring is the one place that knows all parts"},
	{pkg: "internal/contract", may: []string{"internal/core", "internal/httpd", "internal/token", "contracts"}, why: "edges never know each other, nor an adapter"},
	{pkg: "internal/oauth", may: []string{"internal/core", "internal/core/authserver", "internal/httpd", "internal/token"}, why: "edges never know each other, nor an adapter"},
	{pkg: "internal/gateway", may: []string{"internal/core", "internal/httpd", "internal/token"}, why: "the words of a contract come through an interface that app fills"},
	{pkg: "internal/admin", may: []string{"internal/core", "internal/core/authserver", "internal/httpd", "internal/token"}, why: "edges never know each other, nor an adapter"},
	{pkg: "internal/console", may: []string{"internal/core", "internal/httpd"}, why: "edges never know each other, nor an adapter"},
	{pkg: "internal/store/...", may: []string{"internal/core", "internal/jose", "internal/token", "internal/store/..."}, why: "adapters know the domain and no edge"},
	{pkg: "internal/keyring", may: []string{"internal/blocklist", "internal/core", "internal/jose", "internal/token"}, why: "adapters know the domain and no edge"},
	{pkg: "internal/journal", may: []string{"internal/core"}, why: "an adapter: it knows the domain's words and a file"},
	{
		pkg: "internal/core", may: []string{"internal/password", "internal/limit", "internal/token"},
		why:    "the rules know no wire, no SQL and no file, or they could not be tested without them",
		banned: []string{"net/http", "database/sql", "os", "github.com/prometheus/..."},
	},
	{
		pkg: "internal/core/authserver", may: []string{"internal/core", "internal/token"},
		why:    "rules like those of core, which stands below and never calls back but through core.PerClient",
		banned: []string{"net/http", "database/sql", "os", "github.com/prometheus/..."},
	},
	{pkg: "internal/auditship", may: []string{"internal/core"}, why: "an adapter: it knows the domain and no edge"},
	{pkg: "internal/token", may: []string{"internal/jose/..."}, why: "verify, which is public, stands on it"},
	{pkg: "internal/jose/...", may: []string{"internal/jose/..."}, why: "a leaf: the standard library's cryptography and nothing else"},
	{pkg: "internal/blocklist/...", may: []string{"internal/blocklist"}, why: "a leaf: data, and the command that makes it"},
	{pkg: "internal/password", may: []string{"internal/blocklist"}, why: "a leaf beside the list of words that guessers try"},
	{pkg: "internal/limit", why: "a leaf"},
	{pkg: "internal/httpd", why: "a leaf: it knows no token, user or contract"},
	{pkg: "internal/config", why: "a leaf: configuration stops at app"},
	{pkg: "contracts", why: "a leaf: data"},
	{
		pkg: "verify/...", may: []string{"internal/token", "verify"},
		why:    "public: programs of others stand on it, so it brings them nothing but the verifier of tokens and the standard library",
		banned: []string{"github.com/...", "golang.org/...", "modernc.org/...", "go.uber.org/...", "pgregory.net/..."},
	},
	{
		pkg: "client/...", may: []string{"client"},
		why:    "public: programs of others stand on it, so it brings them the standard library alone",
		banned: []string{"github.com/...", "golang.org/...", "modernc.org/...", "go.uber.org/...", "pgregory.net/..."},
	},
	{pkg: "test/...", may: []string{"internal/...", "verify", "client", "contracts", "test/sut", "test/clients", "test/figures", "test/faults/..."}, why: "harnesses drive the whole"},
}

// TestEngineIsForRules: core.Engine signs what it is told to sign, so nobody but
// the wiring gets one, to hand it to the rules beneath core.
func TestEngineIsForRules(t *testing.T) {
	const wiring = "internal/app/engine.go"
	given := false
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(source), ".Engine()") && !strings.Contains(string(source), "core.Engine{") {
			return err
		}
		if path = filepath.ToSlash(path); path != wiring {
			t.Errorf("%s takes a core.Engine; rules get theirs from %s", path, wiring)
		}
		given = given || path == wiring
		return nil
	})
	if err != nil || !given {
		t.Errorf("%s: no core.Engine is given: %v", wiring, err)
	}
}

func matches(pattern, pkg string) bool {
	if sub, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == sub || strings.HasPrefix(pkg, sub+"/")
	}
	return pattern == pkg
}

// TestImports holds every package to who may import whom.
func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, pkg) })
		if i < 0 {
			t.Errorf("%s: package %s has no rule in imports_test.go; say what it may import and why", path, pkg)
			return nil
		}
		seen++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			checkImport(t, path, rules[i], strings.Trim(spec.Path.Value, `"`))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no Go file was looked at")
	}
}

func checkImport(t *testing.T, path string, r rule, imported string) {
	t.Helper()
	if own, ok := strings.CutPrefix(imported, module); ok {
		if !slices.ContainsFunc(r.may, func(p string) bool { return matches(p, own) }) {
			t.Errorf("%s imports %s, which %s may not: %s", path, own, r.pkg, r.why)
		}
		return
	}
	if slices.ContainsFunc(r.banned, func(p string) bool { return matches(p, imported) }) {
		t.Errorf("%s imports %s, which %s may not: %s", path, imported, r.pkg, r.why)
	}
}
