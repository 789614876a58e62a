package contract

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzSchemeToken: what is accepted is one header, the scheme, one space and
// the token, which has no character that another program would split at.
func FuzzSchemeToken(f *testing.F) {
	for _, s := range [][2]string{
		{"Bearer", "Bearer abc.def.ghi"},
		{"Bearer", "bearer abc"},
		{"Bearer", "Bearer  abc"},
		{"Bearer", "Bearer\tabc"},
		{"Bearer", "Bearer abc,def"},
		{"Bearer", "Bearer"},
		{"", "abc"},
		{"", "Bearer abc"},
		{"Token", "Token a=b"},
		{"Bearer", "Bearer a\r\nX: y"},
		{"Bearer", "Basic abc"},
		{"Bearer", "Bearer \u00a0abc"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, scheme, header string) {
		tok, err := schemeToken([]string{header}, scheme)
		if err != nil {
			if tok != "" {
				t.Fatalf("%q: refused with %q", header, tok)
			}
			return
		}
		before, found := strings.CutSuffix(header, tok)
		if !found || tok == "" || len(tok) > maxToken || strings.ContainsAny(tok, " \t\r\n,;\"\x00") {
			t.Fatalf("%q gives %q", header, tok)
		}
		if want := scheme + " "; scheme != "" && !strings.EqualFold(before, want) || scheme == "" && before != "" {
			t.Fatalf("%q with scheme %q gives %q", header, scheme, tok)
		}
		if _, err := schemeToken([]string{header, header}, scheme); err == nil {
			t.Fatalf("%q twice is one token", header)
		}
	})
}

// FuzzBasicPair: what is accepted holds the user before the first colon, and
// both are UTF-8.
func FuzzBasicPair(f *testing.F) {
	for _, s := range []string{"Basic YTpi", "basic YTpiOmM=", "Basic YQ==", "Basic /w==", "Basic", "Basic  YTpi", "Basic YTpi,YTpi", "Basic Og==", "Bearer YTpi", "Basic YTpj\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		user, pass, ok := basicPair([]string{header})
		if !ok {
			return
		}
		if strings.Contains(user, ":") || !utf8.ValidString(user) || !utf8.ValidString(pass) {
			t.Fatalf("%q gives %q and %q", header, user, pass)
		}
		if _, _, ok := basicPair([]string{header, header}); ok {
			t.Fatal("two headers are one pair")
		}
	})
}

// FuzzDecodeMultipart: what passes has every name once, no file, and is what
// the standard library reads.
func FuzzDecodeMultipart(f *testing.F) {
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	for _, s := range []string{
		part("a", "x") + part("c", "y") + "--b--\r\n", part("a", "x") + part("a", "y") + "--b--\r\n", part("a", "\xff") + "--b--\r\n", part("", "x") + "--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n", "--b--\r\n", "", part("a", "x"),
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := map[string]string{}
		if decodeMultipart(data, "b", func(name, value []byte) {
			if _, twice := got[string(name)]; twice {
				t.Fatalf("%q given twice", name)
			}
			got[string(name)] = string(value)
		}) != nil {
			return
		}
		r, want := multipart.NewReader(bytes.NewReader(data), "b"), 0
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("accepted %q: %v", data, err)
			}
			value, err := io.ReadAll(p)
			if err != nil || got[p.FormName()] != string(value) || p.FileName() != "" || !utf8.Valid(value) {
				t.Fatalf("%q: %q is %q, want %q, %v", data, p.FormName(), got[p.FormName()], value, err)
			}
			want++
		}
		if want != len(got) {
			t.Fatalf("%q: %d parts, want %d", data, len(got), want)
		}
	})
}

// FuzzQuotedLen: the length of a JSON string that is not decoded is that of the
// decoded one.
func FuzzQuotedLen(f *testing.F) {
	for _, s := range []string{"", "a", "é€😀", "\"\\/\b\n", "\u2028", "a\ud7ffb", "\x00"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, escape bool) {
		s = strings.ToValidUTF8(s, "?")
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if escape {
			var b strings.Builder
			b.WriteByte('"')
			for _, u := range utf16Of(s) {
				b.WriteString(`\u`)
				for shift := 12; shift >= 0; shift -= 4 {
					b.WriteByte("0123456789aBcDeF"[u>>shift&15])
				}
			}
			raw = []byte(b.String() + `"`)
		}
		if got, want := quotedLen(raw), utf8.RuneCountInString(s); got != want {
			t.Fatalf("%s has %d characters, want %d", raw, got, want)
		}
	})
}

// utf16Of is a text in the units that JSON escapes.
func utf16Of(s string) (units []uint16) {
	for _, r := range s {
		if r < 0x10000 {
			units = append(units, uint16(r)) // #nosec G115 -- checked
			continue
		}
		r -= 0x10000
		units = append(units, uint16(0xd800+r>>10), uint16(0xdc00+r&0x3ff)) // #nosec G115 -- at most 20 bits
	}
	return units
}
