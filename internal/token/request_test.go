package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var requestSecret = []byte("shared-secret of the vendor")

func goodRequest() *RequestToken {
	return &RequestToken{
		AppName: "daemon", AppKey: "9f8e", ShortName: "acme", ID: "17", IssuedAt: nowSec, NotBefore: Absent, ExpiresAt: Absent,
	}
}

// clientToken makes a token by hand, as clients in the field do.
func clientToken(header, payload string, secret []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(input)) // a hash never fails
	return input + "." + b64(h.Sum(nil))
}

func TestParseRequest(t *testing.T) {
	key, err := NewRequestKey(requestSecret)
	if err != nil {
		t.Fatal(err)
	}
	const header = `{"alg":"HS256","typ":"JWT"}`
	const who = `"appname":"daemon","appkey":"9f8e","shortname":"acme"`
	long := strings.Repeat("a", 256)
	for _, tc := range []struct {
		name, header, payload string
		want                  string // "iat nbf exp jti", or the text of an error
	}{
		{"negative control", header, `{"iat":1700000000,"jti":"x",` + who + `}`, "1700000000 -1 -1 x"},
		{"iat as text", header, `{"iat":"1700000000","jti":"x",` + who + `}`, "1700000000 -1 -1 x"},
		{"jti as integer", header, `{"iat":1700000000,"jti":32767,` + who + `}`, "1700000000 -1 -1 32767"},
		{"jti negative", header, `{"iat":1700000000,"jti":-5,` + who + `}`, "1700000000 -1 -1 -5"},
		{"no jti", header, `{"iat":1700000000,` + who + `}`, "1700000000 -1 -1 "},
		{"exp and nbf", header, `{"iat":1,"nbf":2,"exp":"3",` + who + `}`, "1 2 3 "},
		{"header in lines", "{\r\n\t\"typ\": \"JWT\",\r\n\t\"alg\": \"HS256\"\r\n}", `{"iat":1,` + who + `}`, "1 -1 -1 "},
		{"payload in lines", header, "{\n\t\"iat\": 1,\n\t" + who + "\n}\n", "1 -1 -1 "},
		{"unknown claims", header, `{"iat":1,"url":"http://a","x":{"y":[]},` + who + `}`, "1 -1 -1 "},
		{"256 bytes", header, `{"iat":1,"appname":"` + long + `","appkey":"b","shortname":"c"}`, "1 -1 -1 "},

		{"iat missing", header, `{` + who + `}`, "iat is missing"},
		{"iat empty", header, `{"iat":"",` + who + `}`, "iat is not an integer"},
		{"iat signed text", header, `{"iat":"+1",` + who + `}`, "iat is text other than digits"},
		{"iat negative text", header, `{"iat":"-1",` + who + `}`, "iat is text other than digits"},
		{"iat with spaces", header, `{"iat":" 1",` + who + `}`, "iat is text other than digits"},
		{"iat hexadecimal", header, `{"iat":"0x1",` + who + `}`, "iat is text other than digits"},
		{"iat of other digits", header, `{"iat":"١",` + who + `}`, "iat is text other than digits"},
		{"iat fraction", header, `{"iat":1.5,` + who + `}`, "iat is not an integer"},
		{"iat fraction as text", header, `{"iat":"1.5",` + who + `}`, "iat is text other than digits"},
		{"iat exponent", header, `{"iat":1e9,` + who + `}`, "iat is not an integer"},
		{"iat negative", header, `{"iat":-1,` + who + `}`, "iat is not an integer"},
		{"iat huge", header, `{"iat":99999999999999999999,` + who + `}`, "iat is not an integer"},
		{"iat huge text", header, `{"iat":"99999999999999999999",` + who + `}`, "iat is not an integer"},
		{"iat null", header, `{"iat":null,` + who + `}`, "iat is not an integer"},
		{"iat true", header, `{"iat":true,` + who + `}`, "iat is not an integer"},
		{"iat array", header, `{"iat":[1],` + who + `}`, "iat is not an integer"},
		{"iat twice", header, `{"iat":1,"iat":2,` + who + `}`, "member name twice"},
		{"IAT", header, `{"iat":1,"IAT":2,` + who + `}`, "upper case"},
		{"exp fraction", header, `{"iat":1,"exp":1.5,` + who + `}`, "exp is not an integer"},
		{"jti fraction", header, `{"iat":1,"jti":1.5,` + who + `}`, "jti is not text"},
		{"jti null", header, `{"iat":1,"jti":null,` + who + `}`, "jti is not text"},
		{"jti with newline", header, `{"iat":1,"jti":"a\nb",` + who + `}`, "jti is not text"},
		{"appname missing", header, `{"iat":1,"appkey":"b","shortname":"c"}`, "must be there"},
		{"appkey missing", header, `{"iat":1,"appname":"a","shortname":"c"}`, "must be there"},
		{"shortname missing", header, `{"iat":1,"appname":"a","appkey":"b"}`, "must be there"},
		{"appname empty", header, `{"iat":1,"appname":"","appkey":"b","shortname":"c"}`, "appname is not text"},
		{"appname number", header, `{"iat":1,"appname":1,"appkey":"b","shortname":"c"}`, "appname is not text"},
		{"appkey with NUL", header, `{"iat":1,"appname":"a","appkey":"b\u0000","shortname":"c"}`, "appkey is not text"},
		{"shortname right to left", header, `{"iat":1,"appname":"a","appkey":"b","shortname":"\u202ec"}`, "shortname is not text"},
		{"257 bytes", header, `{"iat":1,"appname":"` + long + `a","appkey":"b","shortname":"c"}`, "appname is not text"},
		{"array", header, `[1]`, "not an object"},
		{"crit", `{"alg":"HS256","crit":["x"]}`, `{"iat":1,` + who + `}`, "never accepted"},
	} {
		req, err := ParseRequest(clientToken(tc.header, tc.payload, requestSecret))
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) || !errors.Is(err, ErrClaims) && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
			}
			continue
		}
		if got := fmt.Sprint(req.IssuedAt, req.NotBefore, req.ExpiresAt) + " " + req.ID; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if err := req.Verify(key); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestRequestSignature(t *testing.T) {
	key, err := NewRequestKey(requestSecret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := MintRequest(key, goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	req, err := ParseRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Verify(key); err != nil {
		t.Fatalf("negative control: %v", err)
	}
	other, err := NewRequestKey([]byte("another secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*Key{
		"another secret": other, "ES256 key": newKey(t, ES256, ""), "RS256 key": newKey(t, RS256, ""), "EdDSA key": newKey(t, EdDSA, ""),
	} {
		if err := req.Verify(k); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	payload := `{"iat":1,"appname":"a","appkey":"b","shortname":"c"}`
	es := newKey(t, ES256, "")
	if req, err = ParseRequest(sign(t, es, payload)); err != nil {
		t.Fatal(err)
	}
	if err := req.Verify(es); !errors.Is(err, ErrSignature) {
		t.Errorf("signed with ES256 by the right key: %v", err)
	}
	for _, alg := range []string{"none", "HS512", "ES256", "hs256"} {
		req, err := ParseRequest(clientToken(`{"alg":"`+alg+`"}`, payload, requestSecret))
		if err != nil {
			t.Fatal(err)
		}
		if err := req.Verify(key); !errors.Is(err, ErrSignature) {
			t.Errorf("alg %s: %v", alg, err)
		}
	}
	for i := range raw {
		if req, err := ParseRequest(raw[:i]); err == nil && req.Verify(key) == nil {
			t.Errorf("prefix of %d bytes accepted", i)
		}
	}
}

func TestMintRequest(t *testing.T) {
	key, err := NewRequestKey(requestSecret)
	if err != nil {
		t.Fatal(err)
	}
	want := goodRequest()
	want.AppName, want.ExpiresAt = `da"em\on`, nowSec+60
	raw, err := MintRequest(key, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	got.parsed = nil
	if *got != *want {
		t.Errorf("read back as %+v, want %+v", got, want)
	}
	if _, err := MintRequest(newKey(t, ES256, ""), want); !errors.Is(err, ErrSignature) {
		t.Errorf("minted with ES256: %v", err)
	}
}

func TestSigningInputHash(t *testing.T) {
	a := clientToken(`{"alg":"HS256"}`, `{"iat":1,"appname":"a","appkey":"b","shortname":"c"}`, requestSecret)
	b := clientToken(`{"alg":"HS256"}`, `{"iat":1,"appname":"a","appkey":"b","shortname":"c"}`, []byte("other"))
	ra, errA := ParseRequest(a)
	rb, errB := ParseRequest(b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if want := sha256.Sum256([]byte(a[:strings.LastIndexByte(a, '.')])); ra.SigningInputHash() != want || rb.SigningInputHash() != want {
		t.Error("the hash is not that of the first two segments")
	}
}

func TestRequestTimes(t *testing.T) {
	const window = 300_000
	iat := nowSec * 1000
	for name, tc := range map[string]struct {
		nbf, exp, at int64
		want         error
	}{
		"at iat":                       {Absent, Absent, iat, nil},
		"at the end of the window":     {Absent, Absent, iat + window, nil},
		"after it":                     {Absent, Absent, iat + window + 1, ErrExpired},
		"at the beginning":             {Absent, Absent, iat - window, nil},
		"before it":                    {Absent, Absent, iat - window - 1, ErrNotYetValid},
		"exp ahead":                    {Absent, nowSec + 10, iat + 9_999, nil},
		"exp passed":                   {Absent, nowSec + 10, iat + 10_000, ErrExpired},
		"nbf a minute ahead":           {nowSec + 60, Absent, iat, nil},
		"nbf more than a minute ahead": {nowSec + 61, Absent, iat, ErrNotYetValid},
	} {
		req := goodRequest()
		req.NotBefore, req.ExpiresAt = tc.nbf, tc.exp
		if err := req.CheckTimes(tc.at, window); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}
