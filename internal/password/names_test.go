package password

import (
	"errors"
	"strings"
	"testing"
)

func TestCanonicalLoginName(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"ann", "ann"},
		{"Ann.Lee_2-x", "ann.lee_2-x"},
		{"ＡＮＮ", "ann"},                  // full width
		{"Ame\u0301lie", "am\u00e9lie"}, // decomposed
		{"AMÉLIE", "am\u00e9lie"},
		{"ΟΔΥΣΣΕΎΣ", "οδυσσεύσ"}, // both sigmas are one
		{"οδυσσεύς", "οδυσσεύσ"},
		{"Straße", "strasse"},
		{"Ann@Example.COM", "ann@example.com"},
		{"Ann@BÜCHER.example", "ann@xn--bcher-kva.example"},
		{"ann@bu\u0308cher.example", "ann@xn--bcher-kva.example"},
		{"ann＠example.com", "ann@example.com"}, // a full-width @ is an @
		{"ann+tag@example.com", "ann+tag@example.com"},
		{"root@localhost", "root@localhost"},
		{"אבג", "אבג"},
	} {
		got, err := CanonicalLoginName(c.raw)
		if err != nil || got != c.want {
			t.Errorf("%q: %q %v, want %q", c.raw, got, err, c.want)
		}
	}
}

func TestLoginNamesRefused(t *testing.T) {
	for _, c := range []struct{ raw, why string }{
		{"", "empty"},
		{"ann lee", "space"},
		{" ann", "space"},
		{"ann\u3000lee", "space"},
		{"ann\n", "space or line break"},
		{"ann\x00", "control character (U+0000)"},
		{"an\u200bn", "invisible character (U+200B)"},
		{"an\u200dn", "invisible character (U+200D)"},
		{"\u202enna", "invisible character (U+202E)"},
		{"ann\ufe0f", "invisible character (U+FE0F)"},
		{"ann\u3164", "invisible character (U+3164)"},
		{"ann\xff", "UTF-8"},
		{"אבגann", "opposite directions"},
		{"@ann", "e-mail address"},
		{"ann@", "e-mail address"},
		{"a@b@example.com", "e-mail address"},
		{"ann@exa mple.com", "space"},
		{"ann@exa_mple.com", "domain"},
		{"ann@example..com", "domain"},
		{strings.Repeat("a", 255), "254 bytes"},
	} {
		got, err := CanonicalLoginName(c.raw)
		if !errors.Is(err, ErrLoginName) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %q %v, want %q", c.raw, got, err, c.why)
		}
	}
}

func FuzzCanonicalLoginName(f *testing.F) {
	for _, s := range []string{"ann", "Ann@Example.COM", "Straße", "ΟΔΥΣΣΕΎΣ", "ａｎｎ＠ｅｘ.com", "אבג", "Ame\u0301lie", "ŉx", "İ", "\u1e9e", "xn--a@xn--bcher-kva.example", "\u0345a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		name, err := CanonicalLoginName(raw)
		if err != nil {
			if !errors.Is(err, ErrLoginName) || name != "" {
				t.Fatalf("%q: %q %v", raw, name, err)
			}
			return
		}
		if again, err := CanonicalLoginName(name); err != nil || again != name {
			t.Fatalf("%q gives %q gives %q, %v", raw, name, again, err)
		}
		if name == "" || len(name) > MaxLoginName || legible(name) != nil {
			t.Fatalf("%q gives %q", raw, name)
		}
		for _, variant := range []string{strings.ToUpper(name), strings.ToLower(raw)} {
			if v, err := CanonicalLoginName(variant); err == nil && v != name && strings.EqualFold(variant, name) {
				t.Fatalf("%q gives %q, its variant %q gives %q", raw, name, variant, v)
			}
		}
	})
}
