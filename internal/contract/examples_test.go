package contract

import (
	"path/filepath"
	"testing"
)

// testContracts are the files under testdata/contracts: login routes of real
// products, to prove that the vocabulary is wide enough.
func testContracts(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/contracts/*.yaml")
	if err != nil || len(files) < 12 {
		t.Fatalf("test contracts: %v %v", files, err)
	}
	return files
}

func TestEveryContractLoads(t *testing.T) {
	for _, s := range List() {
		if _, err := Load(s.Name, Options{}); err != nil {
			t.Errorf("%s:\n%v", s.Name, err)
		}
	}
	for _, f := range testContracts(t) {
		if _, err := Load(f, Options{}); err != nil {
			t.Errorf("%s:\n%v", f, err)
		}
	}
}

// TestExamplesHaveTitlesOfTheirOwn: two calls under one title leave people
// guessing which is which.
func TestExamplesHaveTitlesOfTheirOwn(t *testing.T) {
	names := testContracts(t)
	for _, s := range List() {
		names = append(names, s.Name)
	}
	for _, name := range names {
		_, ms := mountOf(t, newFake(), name)
		seen := map[string]bool{}
		for _, ex := range Examples(ms[0], "http://localhost", Credentials{}) {
			if seen[ex.Title] {
				t.Errorf("%s: %q twice", name, ex.Title)
			}
			seen[ex.Title] = true
		}
	}
}
