package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/contract"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

type contractCmd struct {
	List  contractListCmd  `cmd:"" help:"List the contracts that come with Sallyport."`
	Show  contractShowCmd  `cmd:"" help:"Show routes and token lifetimes of a contract, or its file."`
	Check contractCheckCmd `cmd:"" help:"Say what is wrong in contract files, with line and column."`
}

type contractListCmd struct{}

// contractLine is one contract of the list.
type contractLine struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Example     bool   `json:"example"`
}

func (c *contractListCmd) Run(e *env) error {
	lines := []contractLine{}
	t := &table{head: []string{"CONTRACT", "TITLE", "NOTE"}}
	for _, s := range contract.List() {
		lines = append(lines, contractLine{s.Name, s.Title, s.Description, s.Example})
		note := "served unless the configuration says otherwise"
		if s.Example {
			note = "an example: mount it to serve it"
		}
		t.add(s.Name, s.Title, note)
	}
	if e.json {
		return e.printJSON(lines)
	}
	t.write(e, "")
	return nil
}

// contractRef names a contract.
type contractRef struct {
	Contract string `arg:"" help:"Name of a contract, or a file."`
}

// noGrants lets a contract be mounted to be looked at; nobody calls it.
type noGrants struct{ core.Grants }

func (r *contractRef) load() (*contract.Contract, *contract.Mounted, error) {
	c, err := contract.Load(r.Contract, contract.Options{})
	if err != nil {
		return nil, nil, err
	}
	m, err := c.Mount(contract.MountOptions{ID: c.Name(), Grants: noGrants{}})
	return c, m, err
}

type contractShowCmd struct {
	contractRef
	File bool `help:"Print the contract file itself, to begin your own with."`
}

// contractPage is what `contract show --json` prints.
type contractPage struct {
	Name   string          `json:"name"`
	Title  string          `json:"title"`
	File   string          `json:"file"`
	Routes []contractRoute `json:"routes"`
	Tokens []contractToken `json:"tokens"`
}

type contractRoute struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Grant  string `json:"grant"`
}

type contractToken struct {
	Kind            string `json:"kind"`
	Algorithm       string `json:"algorithm"`
	LifetimeSeconds int64  `json:"lifetime_seconds"` // 0 = never expires
	Rotates         bool   `json:"rotates"`
}

func (c *contractShowCmd) Run(e *env) error {
	if c.File {
		_, text, err := contract.Source(c.Contract)
		if err != nil {
			return err
		}
		if e.json {
			return usagef("a contract file is YAML; leave --json or --file out")
		}
		e.print(string(text))
		return nil
	}
	ct, m, err := c.load()
	if err != nil {
		return err
	}
	page := contractPage{Name: ct.Name(), Title: ct.Title(), File: ct.File(), Tokens: contractTokens(ct.Policy())}
	for _, r := range m.Routes() {
		page.Routes = append(page.Routes, contractRoute{r.Method, r.Pattern, r.Grant})
	}
	if e.json {
		return e.printJSON(page)
	}
	e.printf("%s: %s (%s)\n\n", page.Name, plain(page.Title), plain(page.File))
	routes := &table{head: []string{"METHOD", "PATH", "GRANT"}}
	for _, r := range page.Routes {
		routes.add(r.Method, r.Path, r.Grant)
	}
	routes.write(e, "It has no routes.")
	e.print("\n")
	tokens := &table{head: []string{"TOKEN", "ALGORITHM", "LIFETIME", "NOTE"}}
	for _, k := range page.Tokens {
		life, note := "never expires", ""
		if k.LifetimeSeconds > 0 {
			life = span(time.Duration(k.LifetimeSeconds) * time.Second)
		}
		if k.Rotates {
			note = "replaced at each refresh"
		}
		tokens.add(k.Kind, k.Algorithm, life, note)
	}
	tokens.write(e, "It issues no tokens.")
	return nil
}

func contractTokens(p core.Policy) []contractToken {
	out := []contractToken{}
	for _, kind := range []token.Kind{token.Access, token.Refresh, token.ID, token.Application} {
		s := p.Spec(kind)
		if s == nil {
			continue
		}
		life := s.LifetimeMS
		if kind == token.Refresh && p.Rotation.IdleMS > 0 {
			life = p.Rotation.IdleMS
		}
		out = append(out, contractToken{string(kind), string(s.Algorithm), life / 1000, kind == token.Refresh && p.Rotation.Rotates})
	}
	return out
}

type contractCheckCmd struct {
	Files []string `arg:"" help:"Contract files, or names of contracts."`
}

// fileMistake is a mistake as --json shows it.
type fileMistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

func (c *contractCheckCmd) Run(e *env) error {
	mistakes, right := []fileMistake{}, []string{}
	for _, file := range c.Files {
		_, err := contract.Load(file, contract.Options{})
		var ms contract.Mistakes
		switch {
		case err == nil:
			right = append(right, file)
		case errors.As(err, &ms):
			for _, m := range ms {
				mistakes = append(mistakes, fileMistake{m.File, m.Line, m.Col, m.Text})
			}
		default:
			mistakes = append(mistakes, fileMistake{File: file, Message: err.Error()})
		}
	}
	if e.json {
		if err := e.printJSON(map[string]any{"ok": len(mistakes) == 0, "mistakes": mistakes}); err != nil {
			return err
		}
	} else {
		for _, m := range mistakes {
			e.print(m.line())
		}
		for _, file := range right {
			e.printf("%s: right\n", plain(file))
		}
	}
	if len(mistakes) > 0 {
		return &refused{msg: count(int64(len(mistakes)), "mistake"), printed: true}
	}
	return nil
}

func (m *fileMistake) line() string {
	if m.Line == 0 {
		return plainLines(m.Message) + "\n"
	}
	return fmt.Sprintf("%s:%d:%d: %s\n", plain(m.File), m.Line, m.Column, plain(m.Message))
}

// checkContracts compiles the contract files that a configuration names, as
// serve would.
func checkContracts(cfg *config.Config) error {
	files := append([]string{}, cfg.Contracts.Files...)
	if cfg.Contracts.Dir != "" {
		more, err := filepath.Glob(filepath.Join(cfg.Contracts.Dir, "*.yaml"))
		if err != nil {
			return fmt.Errorf("contracts.dir: %w", err)
		}
		files = append(files, more...)
	}
	var errs []error
	for _, f := range files {
		if _, err := contract.Load(f, contract.Options{}); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
