package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/test/sut"
)

// buildTag builds the server as a tag of the repository has it.
func buildTag(ctx context.Context, dir, tag string) (string, error) {
	root, err := sut.Root(ctx)
	if err != nil {
		return "", err
	}
	look := exec.CommandContext(ctx, "git", "rev-parse", "--verify", "--quiet", tag+"^{commit}")
	look.Dir = root
	if err := look.Run(); err != nil {
		return "", fmt.Errorf("%w: this checkout has no tag %s (a copy without history, or a shallow clone?), so there is nothing to upgrade from", errMissing, tag)
	}
	sources, out := filepath.Join(dir, tag), filepath.Join(dir, "sallyport-"+tag)
	if err := os.Mkdir(sources, 0o755); err != nil {
		return "", fmt.Errorf("making a folder for %s: %w", tag, err)
	}
	unpack := exec.CommandContext(ctx, "sh", "-c", `git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", root, tag, sources)
	if text, err := unpack.CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpacking %s: %w\n%s", tag, err, text)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "./cmd/sallyport")
	build.Dir, build.Env = sources, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", tag, err, text)
	}
	return out, nil
}

// synthetic is a next migration as one could come: it adds a table, a column
// that the binaries before it do not know, and an index.
const synthetic = `-- +goose Up
CREATE TABLE synthetic (one integer PRIMARY KEY, text text NOT NULL DEFAULT '');
INSERT INTO synthetic (one) VALUES (1);
ALTER TABLE sessions ADD COLUMN synthetic text NOT NULL DEFAULT 'by the next version';
CREATE INDEX synthetic_sessions ON sessions (synthetic);
ALTER TABLE users ADD COLUMN synthetic integer;
`

// buildNext builds the server as it stands, with one migration more.
func buildNext(ctx context.Context, dir, store string) (string, error) {
	root, err := sut.Root(ctx)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, "internal", "store", store, "migrations")
	names, err := filepath.Glob(filepath.Join(folder, "*.sql"))
	if err != nil || len(names) == 0 {
		return "", fmt.Errorf("there are no migrations in %s", folder)
	}
	latest := 0
	for _, name := range names {
		number, _, _ := strings.Cut(filepath.Base(name), "_")
		n, err := strconv.Atoi(number)
		if err != nil {
			return "", fmt.Errorf("the migration %s has no number", name)
		}
		latest = max(latest, n)
	}
	below := filepath.Join(dir, "next")
	if err := os.Mkdir(below, 0o755); err != nil {
		return "", fmt.Errorf("making a folder for the next version: %w", err)
	}
	migration := filepath.Join(below, "migration.sql")
	if err := os.WriteFile(migration, []byte(synthetic), 0o600); err != nil {
		return "", fmt.Errorf("writing the synthetic migration: %w", err)
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(folder, fmt.Sprintf("%05d_synthetic.sql", latest+1)): migration,
	}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(below, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return "", fmt.Errorf("writing the synthetic migration: %w", err)
	}
	return sut.Build(ctx, below, "cmd/sallyport", "-overlay", overlay)
}
