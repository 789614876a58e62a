package contract

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

const manual = "../../docs/contract-format.md"

// lists are the tables of the manual that are made of the tables here.
func lists() map[string]string {
	out := map[string]string{}
	row := func(name string, cells ...string) {
		out[name] += "| " + strings.ReplaceAll(strings.Join(cells, " ¦ "), "|", `\|`) + " |\n"
	}
	for name, head := range map[string]string{
		"grants": "grant | does | inputs", "inputs": "input | is", "violations": "what is wrong | our words", "values": "value | type | where | is",
		"filters": "filter | applies to | gives", "errors": "kind | falls back on | usual status",
	} {
		out[name] = "| " + head + " |\n|" + strings.Repeat("---|", strings.Count(head, "|")+1) + "\n"
	}
	for _, g := range grantKinds {
		inputs := append([]string{}, g.needs...)
		for i := range inputs {
			inputs[i] = "`$" + inputs[i] + "`"
		}
		if len(g.oneOf) > 0 {
			inputs = append(inputs, "one of `$"+strings.Join(g.oneOf, "`, `$")+"`")
		}
		for _, m := range g.may {
			inputs = append(inputs, "`$"+m+"` if read")
		}
		row("grants", "`"+g.name+"`", g.about, strings.Join(inputs, ", "))
	}
	for _, k := range knownInputs {
		row("inputs", "`$"+k.name+"`", k.about)
	}
	for _, p := range problems {
		row("violations", "`"+p.kind+"`", p.message)
	}
	for _, v := range allValues {
		name := "$" + v.name
		if strings.HasSuffix(name, ".") {
			name += "NAME"
		}
		row("values", "`"+name+"`", typeNames[v.t], strings.Join(scopeNames(v.in), ", "), v.about)
	}
	for _, f := range allFilters {
		name, from := f.name, "anything"
		if f.arg != "" {
			name += "(…)"
		}
		if f.from != nil {
			from = namesOf(f.from)
		}
		about := f.about
		if f.arg != "" {
			about += "; in brackets: " + f.arg
		}
		row("filters", "`"+name+"`", from, about)
	}
	row("filters", "`optional`", "anything", "leaves the member out when the value is null or empty")
	for _, c := range codeNames() {
		parent := string(core.Code(c).Parent())
		if parent == "" {
			parent = "(needed)"
		}
		row("errors", "`"+c+"`", parent, fmt.Sprint(defaultStatus(core.Code(c))))
	}
	for name := range out {
		out[name] = strings.ReplaceAll(out[name], " ¦ ", " | ")
	}
	return out
}

func scopeNames(in scope) []string {
	var out []string
	for _, s := range []struct {
		bit  scope
		name string
	}{
		{inClaims, "claims"},
		{inRefresh, "refresh claims"},
		{inGranted, "answers with tokens"},
		{inPrincipal, "answers of verify and whoami"},
		{inLogout, "answers of logout and none"},
		{inError, "errors"},
		{inEach, "`$each` over violations"},
		{inEntry, "`$each` over a list"},
	} {
		if in&s.bit != 0 {
			out = append(out, s.name)
		}
	}
	return out
}

var section = regexp.MustCompile(`(?s)<!-- (\w+) -->\n.*?<!-- end -->`)

func TestManualIsComplete(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	tables := lists()
	seen := 0
	// A comment would end a table of Markdown, so the marks stand around it.
	want := section.ReplaceAllStringFunc(string(data), func(s string) string {
		name := section.FindStringSubmatch(s)[1]
		seen++
		return "<!-- " + name + " -->\n" + tables[name] + "<!-- end -->"
	})
	if seen != len(tables) {
		t.Fatalf("the manual has %d of %d lists", seen, len(tables))
	}
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(data) {
		t.Error("the lists of docs/contract-format.md are not those of the code; run: go test ./internal/contract -run TestManual -update")
	}
	for _, keys := range [][]string{fileKeys, routeKeys, answerKeys, cookieKeys, inputKeys, acceptKeys, tokenKeys, variantKeys, errorKeys, operators, inputTypes} {
		for _, k := range keys {
			if !regexp.MustCompile(regexp.QuoteMeta(k) + `\b`).MatchString(want) {
				t.Errorf("the manual does not explain %q", k)
			}
		}
	}
}

// TestManualExample: the worked example is a contract that passes, and answers
// its transcript.
func TestManualExample(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	src, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the manual has no example")
	}
	file := t.TempDir() + "/acme.yaml"
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	rt, _ := mountOf(t, newFake(), file)
	h := serveRouter(rt)
	w := do(t, h, "POST /v2/sign-in", `{"login":"mgordon","secret":"pwd Test-1!"}`, "Content-Type: application/json")
	want := `{"session":{"token":"acc.ess.tok","refresh":"ref.resh.tok","validForMs":900000},"user":{"id":"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64","name":"mgordon","site":"Zürich"}}`
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = do(t, h, "POST /v2/sign-in", `{"login":"mgordon","secret":"no"}`, "Content-Type: application/json")
	if w.Code != 401 || w.Body.String() != `{"error":{"status":401,"text":"Wrong login or secret"}}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = do(t, h, "POST /v2/refresh", "", "X-Refresh-Token: ref.resh.tok")
	if w.Code != 200 || w.Body.String() != `{"session":{"token":"acc.ess.tok","refresh":"ref.resh.tok","validForMs":900000}}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
