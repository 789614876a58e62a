package token

import (
	"errors"
	"strings"
	"testing"
)

const (
	nowMs  int64 = 1_700_000_000_500
	nowSec int64 = 1_700_000_000
)

// accessRules and accessClaims belong together: the claims are the negative control of every row.
func accessRules() *Rules {
	return &Rules{
		Kind: Access, KindClaim: "type", KindValue: "access",
		Issuers: []string{"https://auth.example", "https://old.example"}, Audience: "api",
		MaxLifetime: 900, RequireSession: true,
	}
}

const accessClaims = `{"iss":"https://auth.example","sub":"4b5c","aud":"api","sid":"7.ab","jti":"j1","type":"access",` +
	`"iat":1700000000,"nbf":1700000000,"exp":1700000900,"gen":3,"scope":"read write","client_id":"client_1","n":5,"b":true,"s":"t"}`

// with replaces one member of the claims by its text, or leaves it out with "".
func with(claims, name, value string) string {
	out := strings.TrimSuffix(claims, "}") + ","
	at := strings.Index(out, `"`+name+`":`)
	if at >= 0 {
		end := at + strings.Index(out[at:], ",")
		out = out[:at] + out[end+1:]
	}
	if value != "" {
		out += `"` + name + `":` + value + ","
	}
	return strings.TrimSuffix(out, ",") + "}"
}

func newKey(t testing.TB, alg Algorithm, kid string) *Key {
	t.Helper()
	k, err := GenerateKey(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *Key, payload string) string {
	t.Helper()
	raw, err := k.Sign(Header{Typ: "JWT"}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// expect checks a result: nil means accepted; claims come with nil and with ErrExpired and with nothing else.
func expect(t *testing.T, name string, c *Claims, err, want error) {
	t.Helper()
	if (err == nil) != (want == nil) || !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", name, err, want)
	}
	for _, other := range order {
		if want != other && errors.Is(err, other) {
			t.Errorf("%s: %v is %v, too", name, err, other)
		}
	}
	if (c != nil) != (err == nil || errors.Is(err, ErrExpired)) {
		t.Errorf("%s: claims %v with %v", name, c, err)
	}
}
