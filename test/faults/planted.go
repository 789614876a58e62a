package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/test/sut"
)

// plant is a bug that is built into a server on purpose, to see that the
// harness catches it. The sources stay as they are: the compiler is given
// another text for one file.
type plant struct {
	name, about string
	edits       []edit
}

// edit is a text that stands once in a file of the sources, and what is put in
// its place.
type edit struct{ file, old, new string }

var plants = []plant{
	{"fork", "an ancestor within the grace time moves the session anew instead of getting its current token", []edit{{
		"internal/core/judge.go",
		"\tcase withinGrace(s, p):\n\t\treturn RefreshReplayed\n\tdefault:",
		"\tcase withinGrace(s, p):\n\t\treturn RefreshMoved\n\tdefault:",
	}}},
	{"never-late", "an ancestor is answered however late it comes", []edit{{
		"internal/core/judge.go",
		"return p.Now-s.Moves[back] < s.GraceMS",
		"return true",
	}}},
	{"deaf", "access tokens are not held against revocations", []edit{{
		"internal/core/revocations.go",
		"func (r *revocations) deadSession(id SessionID, sid, subject, account string) bool {\n",
		"func (r *revocations) deadSession(id SessionID, sid, subject, account string) bool {\n\tif sid != \"\" {\n\t\treturn false\n\t}\n",
	}, {
		"internal/core/verify.go",
		"\tcase sess.RevokedAt != 0:\n\t\treturn nil, id.Revoked(\"session revoked\")\n",
		"",
	}}},
	{"hasty", "commits do not wait for the standby (for promote and failover)", []edit{{
		"internal/store/postgres/connect.go",
		"SELECT set_config('statement_timeout'",
		"SELECT set_config('synchronous_commit', 'local', false), set_config('statement_timeout'",
	}}},
}

// plantNames lists them for a flag's help.
func plantNames() string {
	var b strings.Builder
	for _, p := range plants {
		fmt.Fprintf(&b, "\n%s: %s", p.name, p.about)
	}
	return b.String()
}

// buildPlanted builds the server with a bug.
func buildPlanted(ctx context.Context, dir, name string) (string, error) {
	for _, p := range plants {
		if p.name == name {
			return p.build(ctx, dir)
		}
	}
	return "", fmt.Errorf("there is no plant %q; there are:%s", name, plantNames())
}

func (p *plant) build(ctx context.Context, dir string) (string, error) {
	root, err := sut.Root(ctx)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for i, e := range p.edits {
		source := filepath.Join(root, filepath.FromSlash(e.file))
		text, err := os.ReadFile(source)
		if err != nil {
			return "", fmt.Errorf("planting %s: %w", p.name, err)
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return "", fmt.Errorf("planting %s: %s holds %d times what is to be replaced, want once: the source has changed, write the plant anew", p.name, e.file, n)
		}
		replace[source] = filepath.Join(dir, fmt.Sprintf("planted%d.go.txt", i))
		if err := os.WriteFile(replace[source], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			return "", fmt.Errorf("planting %s: %w", p.name, err)
		}
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("planting %s: %w", p.name, err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return "", fmt.Errorf("planting %s: %w", p.name, err)
	}
	return sut.Build(ctx, dir, "cmd/sallyport", "-overlay", overlay)
}
