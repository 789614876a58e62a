package verify

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzStatusPlace: whatever a token names, a request goes to the issuer's own host, below its path, or nowhere.
func FuzzStatusPlace(f *testing.F) {
	const issuer = "https://auth.example/tenant"
	for _, uri := range []string{
		issuer + "/oauth2/status-lists/s0", issuer, issuer + "/", issuer + "x/s0", "https://auth.example/s0", issuer + "/../s0", issuer + "/%2e%2e/s0",
		"https://auth.example@evil.example/tenant/s0", issuer + "/s0?x", issuer + "/s0#x", issuer + "//s0", issuer + `/\evil.example/s0`, "https://auth.example:443/tenant/s0",
		issuer + "/s0\x00", issuer + "/s\u00f6", "HTTPS://auth.example/tenant/s0", issuer + "/;s0",
	} {
		f.Add(uri)
	}
	l := &statusLists{issuers: []string{issuer}}
	if err := l.below(issuer + "/oauth2/status-lists/s0"); err != nil {
		f.Fatal("negative control:", err)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if l.below(uri) != nil {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" || u.Host != "auth.example" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			!strings.HasPrefix(u.EscapedPath(), "/tenant/") || strings.Contains(u.Path, "..") && strings.Contains(u.Path, "/../") {
			t.Fatalf("%q is taken for a place below %s: %v, %v", uri, issuer, u, err)
		}
	})
}

// TestStatusVectors reads the examples of the draft (draft-ietf-oauth-status-list section 4 and its appendix).
func TestStatusVectors(t *testing.T) {
	for _, tc := range []struct {
		bits string
		lst  string
		want []byte
	}{
		{"1", "eNrbuRgAAhcBXQ", []byte{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}},
		{"2", "eNo76fITAAPfAgc", []byte{1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3}},
	} {
		d, err := parseStatusList([]byte(`{"sub":"u","iat":1,"status_list":{"bits":`+tc.bits+`,"lst":"`+tc.lst+`"}}`), 1024)
		if err != nil || d.size() != int64(len(tc.want)) {
			t.Errorf("%s bits: %v, %v", tc.bits, d, err)
			continue
		}
		for idx, want := range tc.want {
			if got := d.at(int64(idx)); got != want {
				t.Errorf("%s bits, place %d: %d, want %d", tc.bits, idx, got, want)
			}
		}
	}
}

// FuzzStatusList: a list that is taken has places of its width alone, all of which can be read, and no more than allowed.
func FuzzStatusList(f *testing.F) {
	f.Add([]byte(`{"sub":"u","iat":1,"exp":2,"ttl":2,"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"}}`))
	f.Add([]byte(`{"sub":"u","iat":1,"status_list":{"bits":2,"lst":"eNo76fITAAPfAgc"}}`))
	f.Add([]byte(`{"sub":"u","iat":1e3,"status_list":{"bits":8,"lst":"eNpjYGAAAAADAAE"}}`))
	f.Add([]byte(`{"iat":1,"status_list":{"bits":5,"lst":""}}`))
	f.Add([]byte(`[]`))
	const most = 1024
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := parseStatusList(payload, most)
		if err != nil {
			return
		}
		if len(d.bytes) > most || d.issuedAt <= 0 || d.expires < 0 || d.ttl < 0 || d.size() != int64(len(d.bytes)*8)/int64(d.bits) {
			t.Fatalf("%+v", d)
		}
		for idx := range d.size() {
			if v := int(d.at(idx)); v < 0 || v >= 1<<d.bits {
				t.Fatalf("place %d is %d, of %d bits", idx, v, d.bits)
			}
		}
	})
}
