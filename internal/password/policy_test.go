package password

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSecurity47_Policy(t *testing.T) {
	strict, short := Policy{}, Policy{MinLength: 8}
	for _, c := range []struct {
		policy   Policy
		password string
		context  []string
		why      string // "" means accepted
	}{
		{strict, "correct horse battery", nil, ""},
		{strict, "mauve otter kneads", nil, ""},
		{strict, "mauve otter kneads the dough while nine lamps hum over the canal", nil, ""},
		{strict, "zażółć gęślą jaźń", nil, ""},
		{strict, "七転び八起きの精神で毎日を生きる", nil, ""},
		{strict, "football season tickets", nil, ""},
		{strict, "kV9#mQ2$xL7!pR4", nil, ""},
		{strict, "only14characte", nil, "has 14 characters and needs at least 15"},
		{short, "kq7vmx2r", nil, ""},
		{short, "kq7vmx2", nil, "has 7 characters and needs at least 8"},
		{Policy{MinLength: 3}, "kq7vmx2", nil, "needs at least 8"},
		{Policy{MinLength: 100}, strings.Repeat("kq7vmx2r", 7), nil, "needs at least 64"},
		{short, "Password", nil, "most used"},
		{short, "P@ssw0rd", nil, "most used"},
		{short, "ｐａｓｓｗｏｒｄ", nil, "most used"},
		{short, "sunshine7", nil, "most used"},
		{short, "Trustno1!", nil, "much used"},
		{strict, "liverpool-chelsea", nil, "two much used passwords"},
		{strict, "L1verp00l$uperman", nil, "two much used passwords"},
		{strict, "superman batman otter", nil, ""},
		{short, "12345678", nil, "most used"},
		{strict, "password123456789", nil, "much used"},
		{strict, "passwordpassword2026", nil, "much used"},
		{strict, "abcdefghijklmnop", nil, "sequences"},
		{strict, "aaaaaaaaaaaaaaaaaaa", nil, "repeated"},
		{strict, "abcxyabcxyabcxyabcxy", nil, "repeated"},
		{strict, "qwertyuiopasdfghjkl", nil, "sequences"},
		{strict, "98765432109876543210", nil, "repeated"},
		{strict, "ann.leeson@example.com", []string{"ann.leeson@example.com"}, "your own name"},
		{strict, "Leeson-Example-1", []string{"ann.leeson@example.com"}, "your own name"},
		{strict, "sallyportwarehouse", []string{"warehouse", "Sallyport"}, "your own name"},
		{strict, "warehouse otter kneads", []string{"warehouse"}, ""},
		{strict, "", nil, ErrEmpty.Error()},
		{strict, "tab\tis not a character", nil, ErrNotText.Error()},
		{strict, strings.Repeat("ab cd", 300), nil, ErrTooLong.Error()},
	} {
		err := c.policy.Check(c.password, c.context...)
		if c.why == "" {
			if err != nil {
				t.Errorf("%q refused: %v", c.password, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %v, want %q", c.password, err, c.why)
			continue
		}
		if len(c.password) > 4 && strings.Contains(err.Error(), c.password) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// TestSecurity47_WholePasswordCounts: NIST SP 800-63B-4 3.1.1.2: 64 characters and more are
// taken, and every one of them counts.
func TestSecurity47_WholePasswordCounts(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "otter %d kneads ", i*i)
	}
	long := text.String()[:1000]
	for _, n := range []int{15, 64, 65, 73, 128, 256, 900} {
		if err := (Policy{}).Check(long[:n]); err != nil {
			t.Errorf("%d characters: %v", n, err)
		}
	}
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	phc, err := h.Hash(t.Context(), Lane{}, long)
	if err != nil {
		t.Fatal(err)
	}
	for pw, want := range map[string]bool{long: true, long[:len(long)-1]: false, long[:72]: false, long + "x": false} {
		if ok, _, err := h.Verify(t.Context(), Lane{}, phc, pw); err != nil || ok != want {
			t.Errorf("the first %d characters of %d: %v, %v", len(pw), len(long), ok, err)
		}
	}
}

// TestRefusalsSayWhatToDo, not only what is wrong.
func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, pw := range []string{"short", "password", "abcdefghijklmnop", "liverpool-chelsea", "aaaaaaaaaaaaaaaaaaaa", "ann.leeson@example"} {
		err := Policy{}.Check(pw, "ann.leeson@example.com")
		if err == nil || !strings.Contains(err.Error(), "words that have nothing to do with") && !strings.Contains(err.Error(), "add a word or two") {
			t.Errorf("%q: %v", pw, err)
		}
	}
}

func TestPolicyErrorsAreWeak(t *testing.T) {
	if err := (Policy{}).Check("short"); !errors.Is(err, ErrWeak) {
		t.Error(err)
	}
}

func TestSecurity48_CommonPasswords(t *testing.T) {
	words := strings.Fields(commonText)
	if len(words) < 300 {
		t.Fatalf("only %d", len(words))
	}
	for _, w := range words {
		if err := (Policy{MinLength: 8}).Check(w); !errors.Is(err, ErrWeak) {
			t.Errorf("%q: %v", w, err)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add("correct horse battery", "ann@example.com")
	f.Add("aaaa\u0301", "")
	f.Fuzz(func(t *testing.T, password, context string) {
		err := Policy{}.Check(password, context)
		if err == nil && len([]rune(password)) < 5 {
			t.Fatalf("%q accepted", password)
		}
	})
}
