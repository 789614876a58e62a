package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuide compiles the program of docs/client.md; its other snippets are of
// ExampleNewClientCredentials and ExampleAdapt.
func TestGuide(t *testing.T) {
	raw, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(raw), -1)
	if len(blocks) != 3 || !strings.HasPrefix(blocks[0][1], "package main") {
		t.Fatalf("%d blocks of Go; the first should be a program", len(blocks))
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	// An overlay puts the program into this module without writing to it.
	dir := t.TempDir()
	src, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(src, []byte(blocks[0][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, []byte(`{"Replace":{"`+root+`/client/guide/main.go":"`+src+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "guide"), "-overlay", overlay, "./client/guide")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	adapt, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, block := range blocks[1:] {
		want := squeeze(strings.NewReplacer("Adapt(ctx,", "Adapt(context.Background(),", `"https://auth.example.com"`, "server.URL").Replace(block[1]))
		if !strings.Contains(squeeze(string(adapt)), want) {
			t.Errorf("no example has the snippet\n%s", block[1])
		}
	}
}
