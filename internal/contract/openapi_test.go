package contract

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compileSchema(t *testing.T, url string, doc any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource(url, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readJSON(t *testing.T, data []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpenAPIIsValid(t *testing.T) {
	data, err := os.ReadFile("testdata/openapi/schema-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	schema := compileSchema(t, "https://spec.openapis.org/oas/3.1/schema/2021-04-15", readJSON(t, data))
	names := []string{"pathstack", "itempath", "netography", "simplejwt", "directus"}
	for _, f := range testContracts(t) {
		if !strings.Contains(f, "aspnet") { // its /refresh is PathStack's
			names = append(names, f)
		}
	}
	for i := range names {
		_, ms := mountOf(t, newFake(), names[i])
		doc, err := OpenAPI(Info{Servers: []string{"https://api.example"}}, ms...)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(readJSON(t, doc)); err != nil {
			t.Errorf("%s: %v\n%s", names[i], err, doc)
		}
	}
}

// TestAnswersMatchOwnDocument replays every transcript and checks each answer
// against the document that describes it.
func TestAnswersMatchOwnDocument(t *testing.T) {
	for _, tr := range transcripts(t) {
		_, ms := mountOf(t, newFake(), tr.contract)
		raw, err := OpenAPI(Info{}, ms...)
		if err != nil {
			t.Fatal(err)
		}
		doc, _ := readJSON(t, raw).(map[string]any)
		c := jsonschema.NewCompiler()
		if err := c.AddResource("mem:doc", doc); err != nil {
			t.Fatal(err)
		}
		for _, x := range tr.exchanges {
			if x.status == 404 || x.status == 405 || x.method == "HEAD" || x.body == "" {
				continue
			}
			ptr := findSchema(doc, x)
			if ptr == "" {
				t.Errorf("%s, %s: status %d of %s %s is not in the document", tr.contract, x.title, x.status, x.method, x.path)
				continue
			}
			if !strings.Contains(x.mediaType, "json") {
				continue
			}
			s, err := c.Compile("mem:doc#" + ptr)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(readJSON(t, []byte(x.body))); err != nil {
				t.Errorf("%s, %s: %v\n%s", tr.contract, x.title, err, x.body)
			}
		}
	}
}

// findSchema gives the JSON pointer of the schema for an exchange's answer.
func findSchema(doc map[string]any, x exchange) string {
	esc := strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D", ";", "%3B")
	paths, _ := doc["paths"].(map[string]any)
	for pat, item := range paths {
		segs, _ := splitPattern(pat)
		want, _ := splitPattern(strings.ReplaceAll(x.path, "//", "/"))
		if !clash(segs, want) {
			continue
		}
		op, _ := item.(map[string]any)[strings.ToLower(x.method)].(map[string]any)
		res, _ := op["responses"].(map[string]any)
		status := itoa(x.status)
		answer, _ := res[status].(map[string]any)
		content, _ := answer["content"].(map[string]any)
		if content[x.mediaType] != nil {
			return "/paths/" + esc.Replace(pat) + "/" + strings.ToLower(x.method) + "/responses/" + status + "/content/" + esc.Replace(x.mediaType) + "/schema"
		}
	}
	return ""
}

func itoa(n int) string {
	b, _ := json.Marshal(n) // an int always encodes
	return string(b)
}

// vendorDir finds the vendors' documents, which are not part of the repository.
func vendorDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SALLYPORT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "contracts")); err != nil {
		t.Skip("the vendors' OpenAPI documents are not here; set SALLYPORT_SHARED to the folder that holds contracts/")
	}
	return filepath.Join(dir, "contracts")
}

func TestAnswersMatchVendorDocuments(t *testing.T) {
	dir := vendorDir(t)
	docs := map[string][]string{
		"netography": {"netography/auth-token.openapi.json", "netography/bearer-token.openapi.json", "netography/bearer-refresh.openapi.json"},
		"pathstack":  {"pathstack/refresh.openapi.yaml"},
	}
	checked := 0
	for _, tr := range transcripts(t) {
		for _, file := range docs[tr.contract] {
			doc := readVendor(t, filepath.Join(dir, file))
			c := jsonschema.NewCompiler()
			if err := c.AddResource("mem:vendor", doc); err != nil {
				t.Fatal(err)
			}
			for _, x := range tr.exchanges {
				ptr, known := vendorSchema(doc, x)
				if !known {
					continue
				}
				if ptr == "" {
					continue // a status the document leaves open
				}
				s, err := c.Compile("mem:vendor#" + ptr)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Validate(readJSON(t, []byte(x.body))); err != nil {
					t.Errorf("%s, %s: %v\n%s", tr.contract, x.title, err, x.body)
				}
				checked++
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d answers were checked against the vendors' documents", checked)
	}
}

func vendorSchema(doc map[string]any, x exchange) (string, bool) {
	esc := strings.NewReplacer("/", "~1")
	paths, _ := doc["paths"].(map[string]any)
	path := strings.ReplaceAll(x.path, "//", "/")
	item, _ := paths[path].(map[string]any)
	op, _ := item[strings.ToLower(x.method)].(map[string]any)
	if op == nil {
		return "", false
	}
	res, _ := op["responses"].(map[string]any)
	for _, status := range []string{itoa(x.status), "default"} {
		if r, ok := res[status].(map[string]any); ok && r["content"] != nil {
			return "/paths/" + esc.Replace(path) + "/" + strings.ToLower(x.method) + "/responses/" + status + "/content/application~1json/schema", true
		}
	}
	return "", true
}

// readVendor reads a document; YAML becomes JSON by way of our own reader.
func readVendor(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".yaml") {
		rep := &report{file: file}
		root := readYAML(data, rep)
		if rep.err() != nil {
			t.Fatal(rep.err())
		}
		if data, err = json.Marshal(plainValue(root)); err != nil {
			t.Fatal(err)
		}
	}
	doc, _ := readJSON(t, data).(map[string]any)
	return doc
}

func plainValue(n *node) any {
	switch n.kind {
	case mapNode:
		m := map[string]any{}
		for _, e := range n.entries {
			m[e.key] = plainValue(e.val)
		}
		return m
	case listNode:
		l := []any{}
		for _, it := range n.items {
			l = append(l, plainValue(it))
		}
		return l
	}
	return n.value
}

func TestExamplesAndShow(t *testing.T) {
	_, ms := mountOf(t, newFake(), "pathstack", "itempath", "netography")
	got := Examples(ms[1], "http://localhost:8080/", Credentials{Username: "mgordon", Password: "it's", Protected: "/api/stations"})
	want := []Example{
		{"Log in", "itempath=$(curl -sS 'http://localhost:8080/api/users/login' \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"username\":\"mgordon\",\"password\":\"it'\\''s\"}')\nprintf '%s\\n' \"$itempath\""},
		{"Get a new access token (POST)", "curl -sS -X POST 'http://localhost:8080/api/users/refresh' \\\n  -H 'Authorization: Bearer '\"$(printf %s \"$itempath\" | sed -E 's/.*\"refreshToken\":\"([^\"]*)\".*/\\1/')\""},
		{"Get a new access token (GET)", "curl -sS 'http://localhost:8080/api/users/refresh' \\\n  -H 'Authorization: Bearer '\"$(printf %s \"$itempath\" | sed -E 's/.*\"refreshToken\":\"([^\"]*)\".*/\\1/')\""},
		{"Mint a token that never expires, for users of type application", "curl -sS -X POST 'http://localhost:8080/api/users/application-token' \\\n  -H 'Authorization: Bearer '\"$(printf %s \"$itempath\" | sed -E 's/.*\"refreshToken\":\"([^\"]*)\".*/\\1/')\""},
		{"Call the API", "curl -sS 'http://localhost:8080/api/stations' \\\n  -H 'Authorization: Bearer '\"$(printf %s \"$itempath\" | sed -E 's/.*\"accessToken\":\"([^\"]*)\".*/\\1/')\""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("examples:\n%q\nwant\n%q", got, want)
	}
	for _, m := range ms {
		show := m.Contract().Show()
		for _, part := range []string{m.Contract().Title(), "never rotat", "token_expired"} {
			if m.ID == "netography" && part == "never rotat" {
				part = "rotates (grace 2m)"
			}
			if !strings.Contains(show, part) {
				t.Errorf("%s: Show lacks %q:\n%s", m.ID, part, show)
			}
		}
	}
}
