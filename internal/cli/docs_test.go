package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

const (
	docsFile  = "../../docs/cli.md"
	docsBegin = "<!-- From here on written by: UPDATE_DOCS=1 go test ./internal/cli -run TestDocs -->\n"
)

// TestDocs holds the reference in docs/cli.md to the grammar.
func TestDocs(t *testing.T) {
	parser, err := newParser(newGrammar(), &env{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	want := reference(parser.Model)
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	intro, got, ok := strings.Cut(string(text), docsBegin)
	if !ok {
		t.Fatalf("%s has no line %q", docsFile, docsBegin)
	}
	if got == want {
		return
	}
	if os.Getenv("UPDATE_DOCS") == "" {
		t.Fatalf("%s is not what the grammar says; run: UPDATE_DOCS=1 go test ./internal/cli -run TestDocs", docsFile)
	}
	if err := os.WriteFile(docsFile, []byte(intro+docsBegin+want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func reference(app *kong.Application) string {
	var b strings.Builder
	for _, g := range groups {
		for _, top := range app.Children {
			if top.Group == nil || top.Group.Key != g.Key {
				continue
			}
			fmt.Fprintf(&b, "\n## sallyport %s\n\n%s\n", top.Name, top.Help)
			for _, leaf := range leaves(top) {
				commandReference(&b, leaf, leaf != top)
			}
		}
	}
	return b.String()
}

func leaves(n *kong.Node) []*kong.Node {
	if len(n.Children) == 0 {
		return []*kong.Node{n}
	}
	var out []*kong.Node
	for _, c := range n.Children {
		out = append(out, leaves(c)...)
	}
	return out
}

func commandReference(b *strings.Builder, n *kong.Node, heading bool) {
	if heading {
		fmt.Fprintf(b, "\n### %s%s\n\n%s\n", n.FullPath(), positionals(n), n.Help)
	}
	if n.Detail != "" {
		fmt.Fprintf(b, "\n%s\n", n.Detail)
	}
	var rows []string
	for _, p := range n.Positional {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", strings.ToUpper(p.Name), cell(p.Help)))
	}
	settings := false
	for _, f := range n.Flags {
		switch {
		case f.Group != nil && f.Group.Key == settingGroup:
			settings = true
		case !f.Hidden:
			row := flagRow(f)
			rows = append(rows, fmt.Sprintf("| `%s` | %s |", cell(row[0]), cell(row[1])))
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| | |\n|---|---|\n%s\n", strings.Join(rows, "\n"))
	}
	if settings {
		b.WriteString("\nIts flags are the settings of [configuration.md](configuration.md).\n")
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
