package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type tokenCmd struct {
	Inspect tokenInspectCmd `cmd:"" help:"Explain a token."`
}

type tokenInspectCmd struct {
	Token string `arg:"" optional:"" help:"The token, or a file with it; without one, stdin."`
}

func (c *tokenInspectCmd) Help() string {
	return "A token on the command line stays in the shell's history; stdin and files do not: sallyport token inspect < token.txt. The exit code is 1 when the token would be refused."
}

func (c *tokenInspectCmd) Run(e *env) error {
	raw, err := c.read(e)
	if err != nil {
		return err
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var in admin.Inspection
	if err := cl.Post(e.ctx, "/tokens/inspect", map[string]string{"token": raw}, &in); err != nil {
		return err
	}
	if e.json {
		if err := e.printJSON(in); err != nil {
			return err
		}
	} else {
		e.explain(&in)
	}
	if !in.Valid {
		return &refused{msg: in.Verdict, printed: true}
	}
	return nil
}

func (c *tokenInspectCmd) read(e *env) (string, error) {
	raw := c.Token
	if raw == "" || raw == "-" {
		text, err := e.readInput("", "the token")
		if err != nil {
			return "", err
		}
		raw = text
	} else if fi, err := os.Stat(raw); err == nil && fi.Mode().IsRegular() {
		if raw, err = e.readInput(raw, "the token"); err != nil {
			return "", err
		}
	}
	raw = strings.TrimSpace(raw)
	if len(raw) > 7 && strings.EqualFold(raw[:7], "bearer ") { // pasted with its scheme
		raw = strings.TrimSpace(raw[7:])
	}
	return raw, nil
}

func (e *env) explain(in *admin.Inspection) {
	e.printf("%s\n", plain(in.Verdict))
	f := &facts{}
	f.add("Kind", in.Kind)
	f.add("Mount", in.Mount)
	f.add("Key", in.KeyID)
	if s := in.Subject; s != nil {
		f.add("Speaks for", fmt.Sprintf("%s (%s %s, account %s, %s)", s.Name, s.Type, s.ID, s.Account, s.State))
		f.add("Roles", orNone(strings.Join(s.Roles, " ")))
	}
	if s := in.Session; s != nil {
		life := "ends " + e.ago(s.ExpiresAt)
		if s.RevokedAt != 0 {
			life = "ended " + e.ago(s.RevokedAt) + " (" + orNone(s.Reason) + ")"
		}
		f.add("Session", fmt.Sprintf("%s of %s, opened %s, %s", s.ID, s.LoginName, e.ago(s.CreatedAt), life))
	}
	if len(f.rows) > 0 {
		e.print("\n")
		f.write(e)
	}
	e.print("\nChecks\n")
	for _, c := range in.Checks {
		mark := "ok  "
		if !c.OK {
			mark = "FAIL"
		}
		e.printf("  %s  %-10s  %s\n", mark, plain(c.Name), plain(c.Detail))
	}
	e.document("Header", in.Header)
	e.document("Claims", in.Claims)
	for _, line := range e.claimTimes(in.Claims) {
		e.print(line)
	}
}

// document prints JSON that somebody else wrote.
func (e *env) document(title string, raw json.RawMessage) {
	var b bytes.Buffer
	if len(raw) == 0 || string(raw) == "null" || json.Indent(&b, raw, "  ", "  ") != nil {
		return
	}
	e.printf("\n%s\n  %s\n", title, plainLines(b.String()))
}

// claimTimes puts iat, nbf and exp into words: a clock that is off is the
// usual reason why a token is refused that "looks right".
func (e *env) claimTimes(raw json.RawMessage) []string {
	var claims map[string]any
	if json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	var out []string
	for _, c := range [][2]string{{"iat", "issued"}, {"nbf", "not before"}, {"exp", "expires"}} {
		sec, ok := claims[c[0]].(float64)
		if !ok || sec <= 0 || sec > 1<<40 {
			continue
		}
		t := admin.Time(int64(sec) * 1000)
		out = append(out, fmt.Sprintf("  %s: %s %s (%s)\n", c[0], c[1], time.Unix(int64(sec), 0).UTC().Format("2006-01-02 15:04:05 UTC"), e.ago(t)))
	}
	return out
}
