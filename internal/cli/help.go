package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

const helpWidth = 88

// printHelp is kong's hook for --help.
func printHelp(_ kong.HelpOptions, kctx *kong.Context) error {
	writeHelp(kctx.Stdout, kctx.Model, kctx.Selected())
	return nil
}

// helpOn prints the page of what was selected.
func (e *env) helpOn(kctx *kong.Context, w io.Writer) { writeHelp(w, kctx.Model, kctx.Selected()) }

// writeHelp prints the page of one command, of a group of them, or of all.
func writeHelp(w io.Writer, app *kong.Application, node *kong.Node) {
	h := &helpPage{}
	switch {
	case node == nil || node.Type == kong.ApplicationNode:
		h.application(app)
	case len(node.Children) > 0:
		h.group(node)
	default:
		h.command(node)
	}
	_, _ = io.WriteString(w, h.String()) // a reader that has gone wants no help
}

type helpPage struct{ strings.Builder }

func (h *helpPage) linef(format string, args ...any) { fmt.Fprintf(h, format+"\n", args...) }

func (h *helpPage) application(app *kong.Application) {
	h.linef("Sallyport: token authentication in front of an HTTP API, in the words its clients know.\n")
	h.linef("Usage: sallyport COMMAND [flags]")
	for _, g := range groups {
		var rows [][2]string
		for _, c := range app.Children {
			if c.Group != nil && c.Group.Key == g.Key {
				rows = append(rows, [2]string{c.Name, c.Help})
			}
		}
		if len(rows) > 0 {
			h.linef("\n%s", g.Title)
			h.columns(rows)
		}
	}
	h.globals(app.Node)
	h.linef("\nMore: sallyport COMMAND --help")
}

func (h *helpPage) group(node *kong.Node) {
	h.linef("%s\n\nUsage: %s COMMAND [flags]", node.Help, node.FullPath())
	h.detail(node)
	h.linef("\nCommands")
	var rows [][2]string
	for _, c := range node.Children {
		rows = append(rows, [2]string{c.Name + positionals(c), c.Help})
	}
	h.columns(rows)
	h.linef("\nMore: %s COMMAND --help", node.FullPath())
}

func positionals(n *kong.Node) string {
	s := ""
	for _, p := range n.Positional {
		name := strings.ToUpper(p.Name)
		if !p.Required {
			name = "[" + name + "]"
		}
		s += " " + name
	}
	return s
}

func (h *helpPage) command(node *kong.Node) {
	h.linef("%s\n\nUsage: %s%s [flags]", node.Help, node.FullPath(), positionals(node))
	h.detail(node)
	if len(node.Positional) > 0 {
		h.linef("\nArguments")
		var rows [][2]string
		for _, p := range node.Positional {
			rows = append(rows, [2]string{strings.ToUpper(p.Name), p.Help})
		}
		h.columns(rows)
	}
	var flags, settings [][2]string
	for _, f := range node.Flags {
		switch {
		case f.Hidden:
		case f.Group != nil && f.Group.Key == settingGroup:
			settings = append(settings, flagRow(f))
		default:
			flags = append(flags, flagRow(f))
		}
	}
	for _, part := range []struct {
		title string
		rows  [][2]string
	}{{"Flags", flags}, {"Settings", settings}} {
		if len(part.rows) > 0 {
			h.linef("\n%s", part.title)
			h.columns(part.rows)
		}
	}
	root := node
	for root.Parent != nil {
		root = root.Parent
	}
	h.globals(root)
}

func (h *helpPage) detail(node *kong.Node) {
	for _, para := range strings.Split(node.Detail, "\n\n") {
		if para != "" {
			h.linef("\n%s", wrap(para, helpWidth, ""))
		}
	}
}

func (h *helpPage) globals(root *kong.Node) {
	var rows [][2]string
	for _, f := range root.Flags {
		if f.Name != "help" {
			rows = append(rows, flagRow(f))
		}
	}
	h.linef("\nEverywhere")
	h.columns(rows)
}

func flagRow(f *kong.Flag) [2]string {
	name := "--" + f.Name
	if f.Tag != nil && f.Tag.Negatable != "" && (f.Group == nil || f.Group.Key != settingGroup) {
		name = "--[no-]" + f.Name
	}
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	if !f.IsBool() {
		placeholder := f.PlaceHolder
		if placeholder == "" {
			placeholder = strings.ReplaceAll(f.Enum, ",", "|")
		}
		name += " " + placeholder
	}
	return [2]string{name, f.Help}
}

// columns prints names and what they mean, wrapped.
func (h *helpPage) columns(rows [][2]string) {
	const most = 30
	width := 0
	for _, r := range rows {
		if len(r[0]) <= most {
			width = max(width, len(r[0]))
		}
	}
	indent := strings.Repeat(" ", width+4)
	for _, r := range rows {
		name := fmt.Sprintf("  %-*s  ", width, r[0])
		if len(r[0]) > width {
			name = "  " + r[0] + "\n" + indent
		}
		h.linef("%s%s", name, wrap(r[1], helpWidth-len(indent), indent))
	}
}

// wrap breaks text at spaces; lines after the first begin with indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	col := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case col+1+n > width:
			b.WriteString("\n" + indent)
			col = 0
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	return b.String()
}
