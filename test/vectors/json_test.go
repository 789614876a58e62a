package vectors

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

func contains(text []byte, want string) bool { return bytes.Contains(text, []byte(want)) }

// strict are texts that every parser must accept and ours does not.
var strict = map[string]string{
	"y_object_duplicated_key.json":           "member names are unique here",
	"y_object_duplicated_key_and_value.json": "member names are unique here",
}

// lax are texts that a parser may read either way, and ours accepts: numbers
// that it keeps as they are written and never makes floats of.
var lax = map[string]string{
	"i_number_double_huge_neg_exp.json":   "digits",
	"i_number_huge_exp.json":              "digits",
	"i_number_neg_int_huge_exp.json":      "digits",
	"i_number_pos_double_huge_exp.json":   "digits",
	"i_number_real_neg_overflow.json":     "digits",
	"i_number_real_pos_overflow.json":     "digits",
	"i_number_real_underflow.json":        "digits",
	"i_number_too_big_neg_int.json":       "digits",
	"i_number_too_big_pos_int.json":       "digits",
	"i_number_very_big_negative_int.json": "digits",
}

// TestJSONTestSuite: every text that must be read is read, every one that must
// not is refused, and of the rest it is written down which is which.
func TestJSONTestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(need(t, suiteDir), "test_parsing", "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d texts, %v", len(files), err)
	}
	counts := map[string]int{}
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := strictjson.Check(string(text)) == nil
		want := strings.HasPrefix(name, "y_") && strict[name] == "" || lax[name] != ""
		if got != want {
			t.Errorf("%s: accepted %v, want %v", name, got, want)
		}
		if got && !json.Valid(text) {
			t.Errorf("%s: encoding/json refuses what we accept", name)
		}
		counts[name[:2]]++
	}
	t.Logf("%d to accept, %d to refuse, %d open", counts["y_"], counts["n_"], counts["i_"])
}

// TestJSONTransform: texts that parsers turn into different values. Ours either
// refuses them or hands out the text as it stands.
func TestJSONTransform(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(need(t, suiteDir), "test_transform", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("shared/vectors has no test_transform")
	}
	refused := map[string]bool{
		"object_same_key_different_values.json": true, "object_same_key_same_value.json": true, "object_same_key_unclear_values.json": true,
		"string_1_escaped_invalid_codepoint.json": true, "string_1_invalid_codepoint.json": true, "string_2_escaped_invalid_codepoints.json": true,
		"string_2_invalid_codepoints.json": true, "string_3_escaped_invalid_codepoints.json": true, "string_3_invalid_codepoints.json": true,
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if got := strictjson.Check(string(text)) == nil; got == refused[name] {
			t.Errorf("%s: accepted %v", name, got)
		}
	}
}
