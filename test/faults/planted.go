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
	file        string // in the sources
	old, new    string // what stands there once, and what is put in its place
}

var plants = []plant{
	{
		name: "fork", about: "an ancestor within the grace time moves the session anew instead of getting its current token",
		file: "internal/core/judge.go",
		old:  "\tcase withinGrace(s, p):\n\t\treturn RefreshReplayed\n\tdefault:",
		new:  "\tcase withinGrace(s, p):\n\t\treturn RefreshMoved\n\tdefault:",
	},
	{
		name: "never-late", about: "an ancestor is answered however late it comes",
		file: "internal/core/judge.go",
		old:  "return p.Now-s.Moves[back] < s.GraceMS",
		new:  "return true",
	},
	{
		name: "deaf", about: "nodes do not hold tokens against the revocations they know",
		file: "internal/core/revocations.go",
		old:  "func (r *revocations) deadSession(id SessionID, sid, subject, account string) bool {\n",
		new:  "func (r *revocations) deadSession(id SessionID, sid, subject, account string) bool {\n\tif sid != \"\" {\n\t\treturn false\n\t}\n",
	},
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
	source := filepath.Join(root, filepath.FromSlash(p.file))
	text, err := os.ReadFile(source)
	if err != nil {
		return "", fmt.Errorf("planting %s: %w", p.name, err)
	}
	if n := strings.Count(string(text), p.old); n != 1 {
		return "", fmt.Errorf("planting %s: %s holds %d times what is to be replaced, want once: the source has changed, write the plant anew", p.name, p.file, n)
	}
	changed := filepath.Join(dir, "planted.go.txt")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), p.old, p.new, 1)), 0o600); err != nil {
		return "", fmt.Errorf("planting %s: %w", p.name, err)
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		return "", fmt.Errorf("planting %s: %w", p.name, err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return "", fmt.Errorf("planting %s: %w", p.name, err)
	}
	return sut.Build(ctx, dir, "cmd/sallyport", "-overlay", overlay)
}
