package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/contract"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

type contractCmd struct {
	List  contractListCmd  `cmd:"" help:"List the contracts that come with Sallyport."`
	Show  contractShowCmd  `cmd:"" help:"Explain a contract: routes, tokens, words; or print its file."`
	Check contractCheckCmd `cmd:"" help:"Say what is wrong in contract files, with line and column."`

	OpenAPI  contractOpenAPICmd  `cmd:"" name:"openapi" help:"Print the OpenAPI 3.1 document of contracts."`
	Examples contractExamplesCmd `cmd:"" help:"Print curl calls of everything a contract serves."`
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
	e.print(plainLines(ct.Show()))
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

type contractOpenAPICmd struct {
	Contracts []string `arg:"" help:"Names of contracts, or files."`
	URL       string   `name:"url" placeholder:"URL" help:"Base URL to put in as the server."`
}

func (c *contractOpenAPICmd) Run(e *env) error {
	info := contract.Info{Version: Version}
	if c.URL != "" {
		info.Servers = []string{c.URL}
	}
	var mounts []*contract.Mounted
	for _, name := range c.Contracts {
		ref := contractRef{Contract: name}
		_, m, err := ref.load()
		if err != nil {
			return err
		}
		mounts = append(mounts, m)
	}
	doc, err := contract.OpenAPI(info, mounts...)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", "  "); err != nil {
		return err
	}
	e.print(b.String() + "\n")
	return nil
}

type contractExamplesCmd struct {
	contractRef
	URL      string `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Base URL of the server. (http://127.0.0.1:8080)"`
	Username string `default:"alice" placeholder:"NAME" help:"User name to put in. (alice)"`
	Path     string `default:"/api/stations" placeholder:"PATH" help:"A protected path to call. (/api/stations)"`
}

// examplePassword stands where the reader puts the real one.
const examplePassword = "YOUR-PASSWORD"

func (c *contractExamplesCmd) Run(e *env) error {
	_, m, err := c.load()
	if err != nil {
		return err
	}
	calls := contract.Examples(m, c.URL, contract.Credentials{
		Username: c.Username, Password: examplePassword,
		RequestToken: "$(sallyport netosecret request-token)", Protected: c.Path,
	})
	if e.json {
		out := []map[string]string{}
		for _, x := range calls {
			out = append(out, map[string]string{"title": x.Title, "curl": x.Curl})
		}
		return e.printJSON(out)
	}
	for i, x := range calls {
		if i > 0 {
			e.print("\n")
		}
		e.printf("# %s\n%s\n", plain(x.Title), plainLines(x.Curl))
	}
	return nil
}
