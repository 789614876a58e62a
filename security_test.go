package sallyport_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requirements is how many there are in the table of docs/security.md.
const requirements = 61

var (
	securityTest = regexp.MustCompile(`(?m)^func (TestSecurity(\d\d)_\w+)\(`)
	tableRow     = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]*) \|$`)
)

// TestRequirements: the table of docs/security.md names for each requirement
// one test at least that carries its number, and none that is not there.
// UPDATE_DOCS=1 writes the third column anew, with tests that came since.
func TestRequirements(t *testing.T) {
	found := map[int][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range securityTest.FindAllStringSubmatch(string(source), -1) {
			n, _ := strconv.Atoi(m[2])
			found[n] = append(found[n], fmt.Sprintf("%s `%s`", filepath.ToSlash(filepath.Dir(path)), m[1]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const file = "docs/security.md"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next, stale := 1, false
	after := tableRow.ReplaceAllStringFunc(string(doc), func(row string) string {
		m := tableRow.FindStringSubmatch(row)
		n, _ := strconv.Atoi(m[1])
		if n != next {
			t.Errorf("row %d of the table is about requirement %d", next, n)
		}
		next++
		slices.Sort(found[n])
		tests := strings.Join(found[n], ", ")
		if tests == "" {
			t.Errorf("requirement %d (%s) has no test named TestSecurity%02d_…", n, m[2], n)
		}
		for _, told := range strings.Split(m[3], ", ") {
			stale = stale || !slices.Contains(found[n], told)
		}
		delete(found, n)
		return fmt.Sprintf("| %d | %s | %s |", n, m[2], tests)
	})
	if next != requirements+1 {
		t.Errorf("the table has %d rows, want %d", next-1, requirements)
	}
	for n, tests := range found {
		t.Errorf("there is no requirement %d: %v", n, tests)
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		if stale {
			t.Errorf("the table of %s names tests that are not there; run: UPDATE_DOCS=1 go test -run TestRequirements .", file)
		}
		return
	}
	if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// comparesSecrets are the files where a secret that somebody sent is compared
// with ours.
var comparesSecrets = []string{
	"internal/core/authserver/clientauth.go", "internal/core/exchange.go", "internal/core/authserver/code.go", "internal/oauth/browser_cookies.go",
	"internal/jose/verify.go", "internal/token/shared.go", "internal/password/kdf.go",
}

// plainComparisons look like comparisons of secrets and are none.
var plainComparisons = map[string]string{
	"internal/core/auditchain.go":       "hashes of a chain that anybody may read",
	"internal/core/incarnation.go":      "hashes of a chain that anybody may read",
	"internal/password/text.go":         "a new password with the spelling that it is kept in",
	"internal/contract/choose.go":       "kinds of places",
	"internal/contract/gateway.go":      "kinds of places",
	"internal/contract/parse_inputs.go": "kinds of places",
}

// TestSecurity59_ConstantTime: what is secret is compared in constant time.
// Outside the files that are listed with a reason nothing that is called a
// secret, MAC, hash, signature or the like meets == or bytes.Equal.
func TestSecurity59_ConstantTime(t *testing.T) {
	for _, path := range comparesSecrets {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if !regexp.MustCompile(`subtle\.ConstantTimeCompare\(|hmac\.Equal\(`).Match(source) {
			t.Errorf("%s compares a secret, and not in constant time", path)
		}
	}
	for _, dir := range []string{"core", "core/authserver", "oauth", "jose", "token", "password", "keyring", "admin", "gateway", "httpd", "contract", "../verify", "../client"} {
		paths, err := filepath.Glob(filepath.Join("internal", dir, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, path := range paths {
			if path = filepath.ToSlash(path); strings.HasSuffix(path, "_test.go") || plainComparisons[path] != "" {
				continue
			}
			for _, bad := range plainlyCompared(t, path) {
				t.Errorf("%s; use crypto/subtle or hmac.Equal, or list the file in plainComparisons with the reason", bad)
			}
		}
	}
}

var secretName = regexp.MustCompile(`(?i)(secret|mac|csrf|password|verifier|challenge|signature|sum|digest|hash|hashes|cookie)$`)

// plainlyCompared are the comparisons in a file that look like ones of secrets.
func plainlyCompared(t *testing.T, path string) (out []string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.BinaryExpr:
			secret := secretName.MatchString(lastName(x.X)) || secretName.MatchString(lastName(x.Y))
			if (x.Op == token.EQL || x.Op == token.NEQ) && secret && !isConstant(x.X) && !isConstant(x.Y) {
				out = append(out, fmt.Sprintf("%s: %s", files.Position(x.Pos()), types.ExprString(x)))
			}
		case *ast.CallExpr:
			secret := slices.ContainsFunc(x.Args, func(a ast.Expr) bool { return secretName.MatchString(lastName(a)) })
			if types.ExprString(x.Fun) == "bytes.Equal" && secret {
				out = append(out, fmt.Sprintf("%s: %s", files.Position(x.Pos()), types.ExprString(x)))
			}
		}
		return true
	})
	return out
}

// lastName is the last name in an expression: Hash of a.b.Hash[:].
func lastName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.IndexExpr:
		return lastName(x.X)
	case *ast.SliceExpr:
		return lastName(x.X)
	case *ast.CallExpr:
		return lastName(x.Fun)
	case *ast.ParenExpr:
		return lastName(x.X)
	}
	return ""
}

// isConstant reports an operand that is no secret: a literal or nil.
func isConstant(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit:
		return true
	case *ast.ParenExpr:
		return isConstant(x.X)
	case *ast.Ident:
		return x.Name == "nil"
	}
	return false
}
