package attack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// TestCorpus replays what was once answered wrongly. A file says why it is
// there, at which endpoint, and what may be allocated; after an empty line
// comes the request, a template: {{cred "itempath/access"}} is a good
// credential, {{forged "itempath/access" "sub" "\"x\""}} one with other claims
// and a good signature, {{claim "itempath/access" "jti"}} the JSON of one of its
// claims, {{repeat "." 60000}} a text over and over, and a Content-Length of
// AUTO is filled in.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("the corpus is empty", err)
	}
	w := newWorld(t)
	w.arm()
	es := endpoints(w)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			head, raw := w.read(file)
			e := find(es, head["endpoint"])
			c := newWire(w)
			defer c.close()
			before := w.rows()
			res, used := measured(c, raw)
			for range 3 {
				_, again := measured(c, raw)
				used = min(used, again)
			}
			w.judge(head["why"], e, string(raw), res)
			if head["status"] != "" && head["status"] != fmt.Sprint(res.status) {
				t.Errorf("%s: answered %s, want %s", head["why"], res, head["status"])
			}
			if !raceDetector && used > mostAllocated {
				t.Errorf("%s: %d KiB allocated, the most is %d", head["why"], used>>10, mostAllocated>>10)
			}
			w.unchanged(before, file)
		})
	}
	w.watch.check()
}

// read gives the head of a corpus file and the request in it.
func (w *world) read(file string) (head map[string]string, raw []byte) {
	w.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	top, text, ok := strings.Cut(string(data), "\n\n")
	if !ok {
		w.t.Fatalf("%s has no empty line after its head", file)
	}
	head = map[string]string{}
	for line := range strings.Lines(top) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		head[name] = value
	}
	if head["why"] == "" || head["endpoint"] == "" {
		w.t.Fatalf("%s does not say why, and where", file)
	}
	tmpl, err := template.New(file).Funcs(template.FuncMap{
		"cred": func(name string) string { return w.cred(name).text },
		"forged": func(name string, claims ...string) string { // with the key that signed the good one
			b := newBase(w, nil, w.cred(name), 0)
			for i := 0; i < len(claims); i += 2 {
				b.payload = b.claim(claims[i], claims[i+1])
			}
			return w.sign(b.c, b.header, b.payload)
		},
		"claim":  func(name, claim string) string { return valueOf(newBase(w, nil, w.cred(name), 0).payload, claim) },
		"sub":    func(name string) string { return w.cred(name).sub },
		"basic":  func(name string) string { c := w.clients[name]; return strings.TrimSpace(basicAuth(c.ID, c.Secret)) },
		"repeat": strings.Repeat,
		"enc":    enc,
		"wide": func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, `,"c%d":1`, i)
			}
			return "{" + b.String()[1:] + "}"
		},
	}).Parse(strings.TrimSuffix(text, "\n"))
	if err != nil {
		w.t.Fatal(err)
	}
	var out strings.Builder
	if err := tmpl.Execute(&out, nil); err != nil {
		w.t.Fatal(err)
	}
	lines, body, _ := strings.Cut(out.String(), "\n\n")
	lines = strings.ReplaceAll(lines, "Content-Length: AUTO", fmt.Sprint("Content-Length: ", len(body)))
	return head, []byte(strings.ReplaceAll(lines, "\n", "\r\n") + "\r\n\r\n" + body)
}
