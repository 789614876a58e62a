package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestSecurity06_StrictJSON(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       string // "" = accepted
	}{
		{"null", "null", ""},
		{"white space around", " \t\r\n{ \"a\" : [ 1 , 2 ] } \n", ""},
		{"empty object", "{}", ""},
		{"empty array", "[]", ""},
		{"all number forms", "[0,-0,1,-1,1.5,1e9,1E+9,1.25e-9]", ""},
		{"all escapes", `"\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00"`, ""},
		{"noncharacter", `"\uFFFF"`, ""},
		{"same name in two objects", `{"a":{"a":1},"b":{"a":1}}`, ""},
		{"names that differ in case", `{"a":1,"A":2}`, ""},

		{"nothing", "", "no value at byte 0"},
		{"space alone", "  ", "no value at byte 2"},
		{"name twice", `{"a":1,"a":2}`, "member name twice at byte 11"},
		{"name twice, one escaped", `{"a":1,"\u0061":2}`, "member name twice at byte 16"},
		{"name twice, deep", `{"x":[{"b":{"a":1,"c":2,"a":3}}]}`, "member name twice at byte 28"},
		{"trailing comma in object", `{"a":1,}`, "no member name at byte 7"},
		{"trailing comma in array", `[1,]`, "no value at byte 3"},
		{"comment", `{/**/}`, "no member name at byte 1"},
		{"two values", `{} {}`, "text after the value at byte 3"},
		{"text after", `{}x`, "text after the value at byte 2"},
		{"NUL after", "{}\x00", "text after the value at byte 2"},
		{"NUL before", "\x00{}", "no value at byte 0"},
		{"byte order mark", "\ufeff{}", "no value at byte 0"},
		{"vertical tab", "\v{}", "no value at byte 0"},
		{"no-break space", "\u00a0{}", "no value at byte 0"},
		{"single quotes", `{'a':1}`, "no member name at byte 1"},
		{"bare name", `{a:1}`, "no member name at byte 1"},
		{"no colon", `{"a" 1}`, "no colon after a member name at byte 5"},
		{"object without end", `{"a":1`, "no comma or brace after a member at byte 6"},
		{"array without end", `[1`, "no comma or bracket after an element at byte 2"},
		{"string without end", `"a`, "string without end at byte 2"},
		{"string ends in escape", `"a\`, "string without end at byte 2"},
		{"raw newline in string", "\"a\nb\"", "control character in a string at byte 2"},
		{"raw NUL in string", "\"\x00\"", "control character in a string at byte 1"},
		{"unknown escape", `"\x41"`, "unknown escape at byte 1"},
		{"upper case escape", `"\N"`, "unknown escape at byte 1"},
		{"short escape", `"\u12"`, "escape without four hexadecimal digits at byte 1"},
		{"escape with sign", `"\u+123"`, "escape without four hexadecimal digits at byte 1"},
		{"lone high surrogate", `"\ud83d"`, "half a surrogate pair at byte 1"},
		{"lone low surrogate", `"\ude00"`, "half a surrogate pair at byte 1"},
		{"surrogates reversed", `"\ude00\ud83d"`, "half a surrogate pair at byte 1"},
		{"high surrogate and a letter", `"\ud83d\u0041"`, "half a surrogate pair at byte 1"},
		{"high surrogate twice", `"\ud83d\ud83d"`, "half a surrogate pair at byte 1"},
		{"invalid UTF-8", "\"\xff\"", "not UTF-8"},
		{"UTF-8 of a surrogate", "\"\xed\xa0\x80\"", "not UTF-8"},
		{"overlong UTF-8", "\"\xc0\xaf\"", "not UTF-8"},
		{"leading zero", "01", "text after the value at byte 1"},
		{"plus", "+1", "no value at byte 0"},
		{"bare fraction", ".5", "no value at byte 0"},
		{"fraction without digits", "1.", "no digit in a number at byte 2"},
		{"exponent without digits", "1e", "no digit in a number at byte 2"},
		{"minus alone", "-", "no digit in a number at byte 1"},
		{"hexadecimal", "0x10", "text after the value at byte 1"},
		{"NaN", "NaN", "no value at byte 0"},
		{"Infinity", "-Infinity", "no digit in a number at byte 1"},
		{"True", "True", "no value at byte 0"},
		{"half a literal", "tru", "no value at byte 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Check(tc.text)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("Check(%q): %v", tc.text, err)
				}
				return
			}
			if want := "invalid JSON: " + tc.want; err == nil || err.Error() != want || !errors.Is(err, ErrInvalid) {
				t.Fatalf("Check(%q) = %v, want %s", tc.text, err, want)
			}
		})
	}
}

func TestDepth(t *testing.T) {
	for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		nest := func(n int) string {
			return strings.Repeat(pair[0], n) + "[]" + strings.Repeat(pair[1], n)
		}
		if err := Check(nest(MaxDepth - 1)); err != nil {
			t.Errorf("%q to depth %d: %v", pair[0], MaxDepth, err)
		}
		if err := Check(nest(MaxDepth)); err == nil || !strings.Contains(err.Error(), "nested too deep") {
			t.Errorf("%q to depth %d: %v, want nested too deep", pair[0], MaxDepth+1, err)
		}
	}
	if err := Check(strings.Repeat("[", 100_000)); err == nil || !strings.Contains(err.Error(), "nested too deep") {
		t.Errorf("100,000 brackets: %v, want nested too deep", err)
	}
	if err := Check("[" + strings.Repeat("[],", 1000) + "[]]"); err != nil {
		t.Errorf("1,001 arrays beside each other: %v", err)
	}
}

// TestManyMembers crosses the size from which names are looked up in a map.
func TestManyMembers(t *testing.T) {
	object := func(n int, last string) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range n {
			fmt.Fprintf(&b, `"n%d":{"n0":1},`, i)
		}
		fmt.Fprintf(&b, `"%s":0}`, last)
		return b.String()
	}
	for _, n := range []int{1, linearNames - 1, linearNames, linearNames + 1, MaxMembers - 1} {
		members, err := ParseObject(object(n, "last"), nil)
		if err != nil || len(members) != n+1 {
			t.Fatalf("%d members: got %d, %v", n+1, len(members), err)
		}
		for _, twice := range []int{0, n / 2, n - 1} {
			if err := Check(object(n, fmt.Sprintf("n%d", twice))); err == nil {
				t.Errorf("%d members: name n%d accepted twice", n+1, twice)
			}
		}
	}
	for _, text := range []string{object(MaxMembers, "last"), `{"a":` + object(MaxMembers, "last") + `}`, object(100_000, "last")} {
		if err := Check(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("too many members: %v", err)
		}
	}
}

// TestAtMost stops where there are too many.
func TestAtMost(t *testing.T) {
	for n, want := range map[int]bool{0: false, 2: false, 3: true, 4: true} {
		if got, ok := Value(`[1,"a",{}]`).AtMost(n, nil); ok != want || ok && len(got) != 3 {
			t.Errorf("at most %d: %v, %v", n, got, ok)
		}
	}
	if _, ok := Value(`[]`).AtMost(0, nil); !ok {
		t.Error("the empty array has too many elements")
	}
}

// TestManyMembersCost: the hundredth thousand of members is not looked at.
func TestManyMembersCost(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"n%d":1`, i)
	}
	wide := `{` + b.String()[1:] + `}`
	for _, text := range []string{wide, `{"x":` + wide + `}`} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 20 {
			if _, err := ParseObject(text, nil); err == nil {
				t.Fatal("accepted")
			}
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 20; n > 24<<10 {
			t.Errorf("%d bytes allocated for %d", n, len(text))
		}
	}
}

func TestParseObject(t *testing.T) {
	members, err := ParseObject(` {"a" : "x\u0041" , "b\n":[1, 2 ] ,"c":{"d":null}, "e":-12} `, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Member{{"a", `"x\u0041"`}, {"b\n", `[1, 2 ]`}, {"c", `{"d":null}`}, {"e", "-12"}}
	if fmt.Sprint(members) != fmt.Sprint(want) {
		t.Fatalf("got %q, want %q", members, want)
	}
	for _, text := range []string{"[]", `"a"`, "1", "null", "", "{", `{"a":1} 2`} {
		if members, err := ParseObject(text, nil); err == nil || members != nil {
			t.Errorf("ParseObject(%q) = %v, %v, want an error alone", text, members, err)
		}
	}
	if v := Find(members, "A"); v != "" || v.Kind() != Invalid {
		t.Errorf("Find is blind to case: %q", v)
	}
}

func TestValues(t *testing.T) {
	if got, ok := Value(`"\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00x"`).Text(); !ok || got != "\"\\/\b\f\n\r\té😀x" {
		t.Errorf("Text = %q, %v", got, ok)
	}
	for _, v := range []Value{"", "1", "true", "null", "[]", "{}"} {
		if _, ok := v.Text(); ok {
			t.Errorf("%q is text", v)
		}
	}
	ints := map[Value]int64{
		"0": 0, "7": 7, "-7": -7, "9007199254740992": 1 << 53, "9007199254740993": 1<<53 + 1,
		"999999999999999999": 999999999999999999, "-999999999999999999": -999999999999999999,
	}
	for v, want := range ints {
		if got, ok := v.Int(); !ok || got != want {
			t.Errorf("%s.Int() = %d, %v", v, got, ok)
		}
	}
	for _, v := range []Value{
		"", "-0", "1.0", "1e3", "1E0", "1000000000000000000", "9223372036854775808", `"1"`, "true", "null", "[1]",
	} {
		if got, ok := v.Int(); ok {
			t.Errorf("%s.Int() = %d", v, got)
		}
	}
	for v, want := range map[Value][2]bool{"true": {true, true}, "false": {false, true}, `"true"`: {}, "1": {}, "": {}} {
		if value, ok := v.Bool(); [2]bool{value, ok} != want {
			t.Errorf("%q.Bool() = %v, %v", v, value, ok)
		}
	}
	kinds := map[Value]Kind{
		"": Invalid, "null": Null, "true": Bool, "false": Bool, "-1": Number, `""`: String, "[]": Array, "{}": Object,
	}
	for v, want := range kinds {
		if v.Kind() != want {
			t.Errorf("%q.Kind() = %d, want %d", v, v.Kind(), want)
		}
	}
	if got, ok := Value(`[ 1 ,"a", [2],{"b":3} ]`).Elements(nil); !ok || fmt.Sprint(got) != `[1 "a" [2] {"b":3}]` {
		t.Errorf("Elements = %v, %v", got, ok)
	}
	if got, ok := Value("[ ]").Elements(nil); !ok || len(got) != 0 {
		t.Errorf("Elements of an empty array = %v, %v", got, ok)
	}
	if _, ok := Value("{}").Elements(nil); ok {
		t.Error("an object has elements")
	}
	if got, ok := Value(`{"b":3}`).Members(nil); !ok || len(got) != 1 || got[0] != (Member{"b", "3"}) {
		t.Errorf("Members = %v, %v", got, ok)
	}
	if _, ok := Value("[]").Members(nil); ok {
		t.Error("an array has members")
	}
}

func TestNoAllocation(t *testing.T) {
	text := `{"iss":"https://a.example","sub":"u1","aud":["b"],"iat":1,"exp":2,"n":[[1,2,{}],3]}`
	store := make([]Member, 0, 16)
	if n := testing.AllocsPerRun(100, func() {
		members, err := ParseObject(text, store)
		if err != nil || len(members) != 6 {
			t.Fatal(members, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for an object of claims, want none", n)
	}
}

// suiteExceptions are texts of the JSON test suite that every parser must accept and this one does not.
var suiteExceptions = map[string]string{
	"y_object_duplicated_key.json":           "member names are unique here",
	"y_object_duplicated_key_and_value.json": "member names are unique here",
}

func TestJSONTestSuite(t *testing.T) {
	dir := filepath.Join(sharedDir(t), "vectors", "jsontestsuite", "test_parsing")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("no JSON test suite in %s", dir)
	}
	used := maps.Clone(suiteExceptions)
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := Check(string(text)) == nil
		_, exception := used[name]
		delete(used, name)
		switch {
		case strings.HasPrefix(name, "y_") && got == exception:
			t.Errorf("%s: accepted %v", name, got)
		case strings.HasPrefix(name, "n_") && got:
			t.Errorf("%s: accepted", name)
		}
	}
	if len(used) > 0 {
		t.Errorf("exceptions without a file: %v", used)
	}
	t.Logf("%d texts", len(files))
}

// sharedDir finds the folder of public vectors, which lies outside the repository.
func sharedDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("SALLYPORT_SHARED"); dir != "" {
		return dir
	}
	dir := filepath.Join("..", "..", "..", "..", "shared")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("public vectors are not here: set SALLYPORT_SHARED to their folder")
	}
	return dir
}

// FuzzCheck: what is accepted here is accepted by encoding/json, and both read the same names and integers.
func FuzzCheck(f *testing.F) {
	seeds := []string{
		"null", "{}", "[]", `{"a":1,"b":[true,false,null,"x"],"c":{"d":-1.5e+3}}`, `"\ud83d\ude00"`, `{"a":1,"a":2}`,
		`{"a":{"\u0061":"\ud800"}}`, "\xff", `[[[[[[[[]]]]]]]]`, `{"\u0061\"":9007199254740993}`,
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if Check(text) != nil {
			if _, err := ParseObject(text, nil); err == nil {
				t.Fatalf("ParseObject accepts what Check refuses: %q", text)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("accepted invalid JSON %q", text)
		}
		members, err := ParseObject(text, nil)
		if err != nil {
			return // a value of another kind
		}
		var oracle map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &oracle); err != nil || len(oracle) != len(members) {
			t.Fatalf("%q: %d members, encoding/json has %d, %v", text, len(members), len(oracle), err)
		}
		for _, m := range members {
			raw, ok := oracle[m.Name]
			if !ok || string(raw) != string(m.Value) {
				t.Fatalf("%q: member %q is %q, encoding/json has %q", text, m.Name, m.Value, raw)
			}
			var n int64
			if got, ok := m.Value.Int(); ok && (json.Unmarshal(raw, &n) != nil || n != got) {
				t.Fatalf("%s read as %d", raw, got)
			}
			var s string
			if got, ok := m.Value.Text(); ok && (json.Unmarshal(raw, &s) != nil || s != got) {
				t.Fatalf("%s read as %q", raw, got)
			}
		}
	})
}

// FuzzAppendString: what is written is read back, here and by encoding/json.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\/", "\x00\x1f\x7f", "é😀\u2028", "\\u0041"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		out := AppendString([]byte("x"), s)[1:]
		if err := Check(string(out)); err != nil {
			t.Fatalf("%q written as %s: %v", s, out, err)
		}
		var back string
		if err := json.Unmarshal(out, &back); err != nil || back != s {
			t.Fatalf("%q written as %s, encoding/json reads %q, %v", s, out, back, err)
		}
		if got, ok := Value(out).Text(); !ok || got != s {
			t.Fatalf("%q written as %s, read as %q", s, out, got)
		}
	})
}
