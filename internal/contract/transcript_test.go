package contract

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/internal/core"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/transcripts")

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// TestTranscripts replays testdata/transcripts/NAME.txtar, whose sections are
// requests, each followed by its answer. The comment names the contracts.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("transcripts: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ar := txtar.Parse(data)
			name := strings.TrimSpace(strings.TrimPrefix(string(ar.Comment), "contract:"))
			if strings.HasSuffix(name, ".yaml") {
				name = "testdata/contracts/" + name
			}
			var out txtar.Archive
			out.Comment = ar.Comment
			for i := 0; i < len(ar.Files); i++ {
				req := ar.Files[i]
				if req.Name == "answer" {
					continue
				}
				got := replay(t, name, req)
				want := ""
				if i+1 < len(ar.Files) && ar.Files[i+1].Name == "answer" {
					want = string(ar.Files[i+1].Data)
				}
				if got != want && !*update {
					t.Errorf("%s\ngot:\n%s\nwant:\n%s", req.Name, got, want)
				}
				out.Files = append(out.Files, req, txtar.File{Name: "answer", Data: []byte(got)})
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(&out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// replay sends one request to a fresh mount. A section named "fails CODE …"
// makes the core refuse with that code.
func replay(t *testing.T, contractName string, req txtar.File) string {
	t.Helper()
	f := newFake()
	if words := strings.Fields(req.Name); len(words) > 1 && words[0] == "fails" {
		f.err = &core.Error{Code: core.Code(words[1]), Reason: "secret reason", RetryAfter: map[bool]int64{true: 2500}[words[1] == "too_many"]}
	}
	rt, _ := mountOf(t, f, contractName)
	head, body, _ := strings.Cut(string(req.Data), "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	r := httptest.NewRequest(method, target, strings.NewReader(strings.TrimSuffix(body, "\n")))
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ": ")
		r.Header.Add(k, v)
	}
	w := httptest.NewRecorder()
	serveRouter(rt).ServeHTTP(w, r)
	if owned := w.Header().Get("Cache-Control") == "no-store"; !owned && w.Code != 404 && w.Code != 204 {
		t.Errorf("%s: no Cache-Control: no-store", req.Name)
	}
	return describe(w)
}

func describe(w *httptest.ResponseRecorder) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\n", w.Code)
	names := make([]string, 0, len(w.Header()))
	for name := range w.Header() {
		if !slices.Contains([]string{"Content-Length", "X-Content-Type-Options", "Pragma", "Cache-Control"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range w.Header()[http.CanonicalHeaderKey(name)] {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	if w.Body.Len() > 0 {
		body := w.Body.String()
		if !strings.Contains(body, fakeSubject("").ID) {
			body = anyUUID.ReplaceAllString(body, "UUID")
		}
		b.WriteString("\n" + body + "\n")
	}
	return cookieUUID(b.String())
}

func cookieUUID(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Set-Cookie: XSRF-TOKEN=") {
			lines[i] = anyUUID.ReplaceAllString(l, "UUID")
		}
	}
	return strings.Join(lines, "\n")
}

// exchange is one request of a transcript with its answer.
type exchange struct {
	title, method, path, mediaType, body string
	status                               int
}

type transcript struct {
	contract  string
	exchanges []exchange
}

// transcripts reads what TestTranscripts proves to be the answers.
func transcripts(t *testing.T) []transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("transcripts: %v %v", files, err)
	}
	var out []transcript
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tr := transcript{contract: strings.TrimSpace(strings.TrimPrefix(string(ar.Comment), "contract:"))}
		if strings.HasSuffix(tr.contract, ".yaml") {
			tr.contract = "testdata/contracts/" + tr.contract
		}
		for i := 0; i+1 < len(ar.Files); i += 2 {
			x := exchange{title: ar.Files[i].Name}
			line, _, _ := strings.Cut(string(ar.Files[i].Data), "\n")
			x.method, x.path, _ = strings.Cut(line, " ")
			x.path, _, _ = strings.Cut(x.path, "?")
			head, body, _ := strings.Cut(string(ar.Files[i+1].Data), "\n\n")
			x.body = strings.TrimSpace(body)
			for _, l := range strings.Split(head, "\n") {
				if v, ok := strings.CutPrefix(l, "Content-Type: "); ok {
					x.mediaType = v
				}
			}
			if _, err := fmt.Sscanf(head, "%d", &x.status); err != nil {
				t.Fatal(err)
			}
			tr.exchanges = append(tr.exchanges, x)
		}
		out = append(out, tr)
	}
	return out
}
