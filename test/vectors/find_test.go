package vectors

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// shared is the folder of vectors beside the repository, "" when there is none.
var shared = sync.OnceValue(func() string {
	dir := os.Getenv("SALLYPORT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir, err := filepath.Abs(filepath.Join(dir, "vectors"))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
})

// module is the folder of a module that go.mod names, fetched if need be; ""
// and the reason when it is not to be had.
func module(path string) (dir, why string) {
	out, err := exec.Command("go", "mod", "download", "-json", path).Output()
	var m struct{ Dir, Error string }
	if jerr := json.Unmarshal(out, &m); jerr != nil || err != nil || m.Dir == "" {
		return "", "go mod download " + path + ": " + m.Error
	}
	return m.Dir, ""
}

var wycheproofDir = sync.OnceValues(func() (string, string) {
	dir, why := module("github.com/c2sp/wycheproof")
	if dir != "" {
		return filepath.Join(dir, "testvectors_v1"), ""
	}
	if shared() != "" {
		return filepath.Join(shared(), "wycheproof"), ""
	}
	return "", why
})

var suiteDir = sync.OnceValues(func() (string, string) {
	if shared() != "" {
		return filepath.Join(shared(), "jsontestsuite"), ""
	}
	return module("github.com/nst/JSONTestSuite")
})

// need skips the test when vectors are not to be had.
func need(t *testing.T, find func() (string, string)) string {
	t.Helper()
	dir, why := find()
	if dir == "" {
		t.Skip("these vectors are neither in shared/vectors nor to be fetched: ", why)
	}
	return dir
}

func read(t *testing.T, into any, path ...string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// TestInPackage runs the tests that need what package jose does not export, on
// the same vectors: bare signatures of every kind, and the cookbook's.
func TestInPackage(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "vectors")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"wycheproof": need(t, wycheproofDir), "jsontestsuite": need(t, suiteDir)} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if shared() != "" {
		if err := os.Symlink(filepath.Join(shared(), "cookbook"), filepath.Join(dir, "cookbook")); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "Wycheproof|Cookbook|JSONTestSuite", "./internal/jose/...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "SALLYPORT_SHARED="+root)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"--- PASS: TestWycheproof", "--- PASS: TestWycheproofPrimitives", "--- PASS: TestJSONTestSuite"} {
		if !contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
