package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func TestSecurity12_SecretLengths(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: false, 31: false, 32: true, 64: true, 4096: true, 4097: false} {
		k, err := NewHMAC("a", make([]byte, n))
		if (err == nil) != want || (err != nil && !errors.Is(err, ErrKey)) {
			t.Errorf("NewHMAC of %d bytes: %v", n, err)
		}
		if err == nil && (k.ID() != "a" || k.Algorithm() != HS256 || !k.CanSign() || k.Public() != nil) {
			t.Errorf("key %q, %s, CanSign %v", k.ID(), k.Algorithm(), k.CanSign())
		}
	}
	if _, err := NewWeakHMAC("", []byte("short")); err != nil {
		t.Errorf("weak secret: %v", err)
	}
	secret := []byte(strings.Repeat("s", 32))
	k, err := NewHMAC("", secret)
	if err != nil {
		t.Fatal(err)
	}
	before := mustSign(t, k, Header{}, testPayload)
	secret[0] = 'x' // the key has a copy
	if after := mustSign(t, k, Header{}, testPayload); after != before {
		t.Error("the key changed with the caller's bytes")
	}
}

func TestKeyIDs(t *testing.T) {
	for kid, want := range map[string]bool{
		"": true, "a": true, `q"\é`: true, strings.Repeat("k", 256): true,
		strings.Repeat("k", 257): false, "a\x00": false, "a\n": false, "\xff": false, "\u0085": false,
	} {
		_, err := GenerateKey(EdDSA, kid)
		if (err == nil) != want {
			t.Errorf("kid %q: %v", kid, err)
		}
		if _, err := NewWeakHMAC(kid, []byte("s")); (err == nil) != want {
			t.Errorf("HMAC kid %q: %v", kid, err)
		}
	}
	if _, err := GenerateKey("none", "a"); !errors.Is(err, ErrUnsupportedKey) || !errors.Is(err, ErrKey) {
		t.Errorf("algorithm none: %v", err)
	}
}

func TestStoredKeys(t *testing.T) {
	for alg, k := range testKeys() {
		data, err := k.MarshalPrivate()
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		back, err := ParsePrivate(alg, "other", data)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if back.ID() != "other" || back.Algorithm() != alg || !back.CanSign() {
			t.Errorf("%s came back as %s %s", alg, back.ID(), back.Algorithm())
		}
		if err := accepts(mustSign(t, back, Header{}, testPayload), k); err != nil {
			t.Errorf("%s: token of the key that came back: %v", alg, err)
		}
		for _, other := range Algorithms() {
			if other == alg || other == HS256 {
				continue // any 32 bytes are a secret
			}
			if _, err := ParsePrivate(other, "", data); !errors.Is(err, ErrKey) {
				t.Errorf("%s stored as %s: %v", alg, other, err)
			}
		}
		if alg.Symmetric() {
			continue
		}
		if _, err := k.Public().MarshalPrivate(); !errors.Is(err, ErrKey) {
			t.Errorf("%s: private part of a public key: %v", alg, err)
		}
		if _, err := k.Public().Sign(Header{}, []byte("{}")); !errors.Is(err, ErrKey) || k.Public().CanSign() {
			t.Errorf("%s: a public key signs: %v", alg, err)
		}
	}
	if _, err := ParsePrivate(HS256, "", []byte("short")); !errors.Is(err, ErrKey) {
		t.Errorf("short stored secret: %v", err)
	}
	if _, err := ParsePrivate(ES256, "", []byte("no DER")); !errors.Is(err, ErrKey) {
		t.Errorf("no DER: %v", err)
	}
}

// block is PEM of what a marshal function returned.
func block(t *testing.T, kind string) func([]byte, error) string {
	return func(der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pemText(kind, der)
	}
}

func TestImportPEM(t *testing.T) {
	keys := testKeys()
	ec, ed, rs := keys[ES256], keys[EdDSA], keys[RS256]
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecPEM := block(t, "EC PRIVATE KEY")(x509.MarshalECPrivateKey(ec.ec))
	for _, tc := range []struct {
		name, text string
		alg        Algorithm
		want       error
	}{
		{"PKCS#8 P-256", block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(ec.ec)), ES256, nil},
		{"PKCS#8 Ed25519", block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(ed.ed)), EdDSA, nil},
		{"PKCS#8 RSA", block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(rs.rsa)), RS256, nil},
		{"PKCS#1", block(t, "RSA PRIVATE KEY")(x509.MarshalPKCS1PrivateKey(rs.rsa), nil), RS256, nil},
		{"SEC 1", ecPEM, ES256, nil},
		{"SEC 1 behind parameters", block(t, "EC PARAMETERS")([]byte{6, 1, 1}, nil) + ecPEM, ES256, nil},
		{"public P-256", block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(ec.ecPub)), ES256, nil},
		{"public Ed25519", block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(ed.edPub)), EdDSA, nil},
		{"public RSA", block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(rs.rsaPub)), RS256, nil},
		{"nothing", "", "", ErrKey},
		{"text", "secret", "", ErrKey},
		{"two keys", ecPEM + ecPEM, "", ErrKey},
		{"text after the key", ecPEM + "x", "", ErrKey},
		{"broken DER", block(t, "PRIVATE KEY")([]byte{1, 2, 3}, nil), "", ErrKey},
		{"P-384", block(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(p384)), "", ErrUnsupportedKey},
		{"public P-384", block(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(&p384.PublicKey)), "", ErrUnsupportedKey},
		{"encrypted", block(t, "ENCRYPTED PRIVATE KEY")([]byte{1}, nil), "", ErrUnsupportedKey},
		{
			"encrypted, old form",
			"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
			"", ErrUnsupportedKey,
		},
		{"certificate", block(t, "CERTIFICATE")([]byte{1}, nil), "", ErrUnsupportedKey},
		{"OpenSSH", block(t, "OPENSSH PRIVATE KEY")([]byte{1}, nil), "", ErrUnsupportedKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := ImportPEM("imported", []byte(tc.text))
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err != nil {
				return
			}
			if k.Algorithm() != tc.alg || k.ID() != "imported" || k.CanSign() == strings.HasPrefix(tc.name, "public") {
				t.Fatalf("%s key %s, CanSign %v", k.Algorithm(), k.ID(), k.CanSign())
			}
			if err := accepts(mustSign(t, keys[tc.alg], Header{}, testPayload), k); err != nil {
				t.Fatalf("token of the same key: %v", err)
			}
		})
	}
}

func TestSecurity13_RSABounds(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := testKeys()[RS256].rsaPub
	odd := func(bits uint) *big.Int { // a number of that many bits, odd, and no ROCA modulus
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
	}
	for name, tc := range map[string]struct {
		pub  rsa.PublicKey
		want bool
	}{
		"negative control": {*good, true},
		"2048 bits":        {rsa.PublicKey{N: odd(2048), E: 65537}, true},
		"8192 bits":        {rsa.PublicKey{N: odd(8192), E: 65537}, true},
		"e 65539":          {rsa.PublicKey{N: good.N, E: 65539}, true},
		"1024 bits":        {small.PublicKey, false},
		"2047 bits":        {rsa.PublicKey{N: odd(2047), E: 65537}, false},
		"8193 bits":        {rsa.PublicKey{N: odd(8193), E: 65537}, false},
		"e 1":              {rsa.PublicKey{N: good.N, E: 1}, false},
		"e 3":              {rsa.PublicKey{N: good.N, E: 3}, false},
		"e 65535":          {rsa.PublicKey{N: good.N, E: 65535}, false},
		"e even":           {rsa.PublicKey{N: good.N, E: 65538}, false},
		"e 2^31+1":         {rsa.PublicKey{N: good.N, E: 1<<31 + 1}, false},
		"even modulus":     {rsa.PublicKey{N: new(big.Int).Sub(good.N, big.NewInt(1)), E: 65537}, false},
		"a power of 65537": {rsa.PublicKey{N: new(big.Int).Exp(big.NewInt(65537), big.NewInt(150), nil), E: 65537}, false},
	} {
		if _, err := newPublic("", &tc.pub); (err == nil) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublish(t *testing.T) {
	keys := testKeys()
	set := []*Key{keys[ES256], keys[EdDSA], keys[RS256]}
	data, err := MarshalJWKS(set)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(data, &doc); err != nil || len(doc.Keys) != 3 {
		t.Fatalf("%s: %v", data, err)
	}
	want := []string{"alg crv kid kty use x y", "alg crv kid kty use x", "alg e kid kty n use"}
	for i, jwk := range doc.Keys {
		names := strings.Trim(fmt.Sprint(sortedNames(jwk)), "[]")
		if names != want[i] || jwk["use"] != "sig" || jwk["alg"] != string(set[i].Algorithm()) || jwk["kid"] != set[i].ID() {
			t.Errorf("key %d: %v, want members %s", i, jwk, want[i])
		}
	}
	back, err := ParseJWKS(data)
	if err != nil || len(back) != 3 {
		t.Fatalf("read back: %v, %v", back, err)
	}
	for i, k := range back {
		if k.Thumbprint() != set[i].Thumbprint() || k.CanSign() {
			t.Errorf("key %d came back as another", i)
		}
		if err := accepts(mustSign(t, set[i], Header{}, testPayload), k); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
	if data, err := MarshalJWKS(nil); err != nil || string(data) != `{"keys":[]}` {
		t.Errorf("empty set: %s, %v", data, err)
	}
	nameless, err := GenerateKey(EdDSA, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]*Key{
		"HMAC key": {keys[EdDSA], keys[HS256]}, "same kid": {keys[ES256], keys[ES256]}, "no kid": {nameless},
	} {
		if data, err := MarshalJWKS(bad); !errors.Is(err, ErrKey) || data != nil {
			t.Errorf("%s: %s, %v", name, data, err)
		}
	}
	if _, err := keys[HS256].JWK(); !errors.Is(err, ErrKey) || keys[HS256].Thumbprint() != "" {
		t.Errorf("JWK of an HMAC key: %v", err)
	}
}

func sortedNames(m map[string]string) []string {
	var names []string
	for _, n := range []string{"alg", "crv", "d", "e", "k", "kid", "kty", "n", "use", "x", "y"} {
		if _, ok := m[n]; ok {
			names = append(names, n)
		}
	}
	if len(names) != len(m) {
		names = append(names, "and others")
	}
	return names
}

// Keys of RFC 8037 appendix A.2 and of RFC 7515 appendix A.3, public parts.
const (
	rfc8037JWK = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	ecX        = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	ecY        = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	ecJWK      = `{"kty":"EC","crv":"P-256","x":"` + ecX + `","y":"` + ecY + `"}`
)

// TestThumbprint has the value of RFC 8037 appendix A.3.
func TestThumbprint(t *testing.T) {
	k, err := FromJWK([]byte(rfc8037JWK))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := k.Thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("thumbprint %s, want %s", got, want)
	}
}

func TestFromJWK(t *testing.T) {
	rsaJWK, err := testKeys()[RS256].JWK()
	if err != nil {
		t.Fatal(err)
	}
	rs := string(rsaJWK)
	n := b64(string(testKeys()[RS256].rsaPub.N.Bytes()))
	with := func(jwk, member string) string { return strings.TrimSuffix(jwk, "}") + "," + member + "}" }
	edWith := func(x []byte) string { return `{"kty":"OKP","crv":"Ed25519","x":"` + b64(string(x)) + `"}` }
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ones := strings.Repeat("ff", 30)
	for _, tc := range []struct {
		name, jwk string
		want      error
	}{
		{"P-256", ecJWK, nil},
		{"P-256 with all members", with(ecJWK, `"alg":"ES256","use":"sig","kid":"a","key_ops":["verify"],"x5t":"b"`), nil},
		{"Ed25519", rfc8037JWK, nil},
		{"Ed25519 with alg", with(rfc8037JWK, `"alg":"EdDSA"`), nil},
		{"RSA", rs, nil},

		{"RSA without alg", `{"kty":"RSA","n":"` + n + `","e":"AQAB"}`, ErrUnsupportedKey},
		{"RSA for PS256", strings.Replace(rs, `"alg":"RS256"`, `"alg":"PS256"`, 1), ErrUnsupportedKey},
		{"RSA for ES256", strings.Replace(rs, `"alg":"RS256"`, `"alg":"ES256"`, 1), ErrUnsupportedKey},
		{"P-256 for ES384", with(ecJWK, `"alg":"ES384"`), ErrUnsupportedKey},
		{"P-256 for HS256", with(ecJWK, `"alg":"HS256"`), ErrUnsupportedKey},
		{"P-256 for none", with(ecJWK, `"alg":"none"`), ErrUnsupportedKey},
		{"P-256 for an empty alg", with(ecJWK, `"alg":""`), ErrUnsupportedKey},
		{"P-384", strings.Replace(ecJWK, "P-256", "P-384", 1), ErrUnsupportedKey},
		{"X25519", strings.Replace(rfc8037JWK, "Ed25519", "X25519", 1), ErrUnsupportedKey},
		{"EC with crv of OKP", strings.Replace(ecJWK, "P-256", "Ed25519", 1), ErrUnsupportedKey},
		{"kty in lower case", strings.Replace(ecJWK, "EC", "ec", 1), ErrUnsupportedKey},
		{"octets", `{"kty":"oct","k":"` + b64(strings.Repeat("k", 32)) + `","alg":"HS256"}`, ErrUnsupportedKey},
		{"empty object", `{}`, ErrUnsupportedKey},
		{"for encryption", with(ecJWK, `"use":"enc"`), ErrUnsupportedKey},
		{"for signing alone", with(ecJWK, `"key_ops":["sign"]`), ErrUnsupportedKey},

		{"alg number", with(ecJWK, `"alg":1`), ErrKey},
		{"kid number", with(ecJWK, `"kid":1`), ErrKey},
		{"kid with control character", with(ecJWK, `"kid":"\n"`), ErrKey},
		{"use null", with(ecJWK, `"use":null`), ErrKey},
		{"key_ops text", with(ecJWK, `"key_ops":"verify"`), ErrKey},
		{"key_ops twice the same", with(ecJWK, `"key_ops":["verify","verify"]`), ErrKey},
		{"private EC", with(ecJWK, `"d":"AA"`), ErrKey},
		{"private Ed25519", with(rfc8037JWK, `"d":"AA"`), ErrKey},
		{"private RSA", with(rs, `"d":"AA"`), ErrKey},
		{"prime of RSA", with(rs, `"p":"AA"`), ErrKey},
		{"member twice", with(ecJWK, `"x":"`+ecX+`"`), ErrKey},
		{"no JSON", "x", ErrKey},
		{"x missing", `{"kty":"EC","crv":"P-256","y":"` + ecY + `"}`, ErrKey},
		{"y off the curve", `{"kty":"EC","crv":"P-256","x":"` + ecX + `","y":"` + ecX + `"}`, ErrKey},
		{"point at infinity", `{"kty":"EC","crv":"P-256","x":"` + b64(string(make([]byte, 32))) + `","y":"` + b64(string(make([]byte, 32))) + `"}`, ErrKey},
		{"x of 33 bytes", `{"kty":"EC","crv":"P-256","x":"AA` + ecX + `","y":"` + ecY + `"}`, ErrKey},
		{"x with padding", strings.Replace(ecJWK, ecX, ecX+"=", 1), ErrKey},
		{"x with newline", strings.Replace(ecJWK, ecX, ecX+`\n`, 1), ErrKey},
		{"x with trailing bits", strings.Replace(ecJWK, ecX, ecX[:42]+"V", 1), ErrKey},
		{"Ed25519 of 31 bytes", edWith(make([]byte, 31)), ErrKey},
		{"Ed25519 of 33 bytes", edWith(make([]byte, 33)), ErrKey},
		{"Ed25519 y 0", edWith(make([]byte, 32)), ErrKey},
		{"Ed25519 y 1", edWith(unhex("01" + strings.Repeat("00", 31))), ErrKey},
		{"Ed25519 y 1, sign set", edWith(unhex("01" + strings.Repeat("00", 30) + "80")), ErrKey},
		{"Ed25519 y -1", edWith(unhex("ec" + ones + "7f")), ErrKey},
		{"Ed25519 order 8", edWith(unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")), ErrKey},
		{"Ed25519 order 8, other", edWith(unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")), ErrKey},
		{"Ed25519 y p", edWith(unhex("ed" + ones + "7f")), ErrKey},
		{"Ed25519 y p+4", edWith(unhex("f1" + ones + "7f")), ErrKey},
		{"Ed25519 off the curve", edWith(unhex("02" + strings.Repeat("00", 31))), ErrKey},
		{"RSA e 3", strings.Replace(rs, `"AQAB"`, `"Aw"`, 1), ErrKey},
		{"RSA e 1", strings.Replace(rs, `"AQAB"`, `"AQ"`, 1), ErrKey},
		{"RSA e with leading zero", strings.Replace(rs, `"AQAB"`, `"AAEAAQ"`, 1), ErrKey},
		{"RSA e of 33 bits", strings.Replace(rs, `"AQAB"`, `"AQAAAAE"`, 1), ErrKey},
		{"RSA n with leading zero", strings.Replace(rs, n, b64("\x00"+string(testKeys()[RS256].rsaPub.N.Bytes())), 1), ErrKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := FromJWK([]byte(tc.jwk))
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err == nil && k.CanSign() {
				t.Fatal("a public key can sign")
			}
			if tc.want == ErrKey && errors.Is(err, ErrUnsupportedKey) {
				t.Fatalf("a broken key is taken for an unknown one: %v", err)
			}
		})
	}
}

// TestSmallOrderIsOnTheCurve keeps the table honest: the canonical entries are points, random y are in half the cases.
func TestSmallOrderIsOnTheCurve(t *testing.T) {
	for i, y := range smallOrder {
		for l, r := 0, 31; l < r; l, r = l+1, r-1 {
			y[l], y[r] = y[r], y[l]
		}
		if on := onEd25519(new(big.Int).SetBytes(y[:])); on != (i < 5) {
			t.Errorf("entry %d: on the curve %v", i, on)
		}
	}
	for range 50 {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkEd25519(pub); err != nil {
			t.Fatalf("%x: %v", pub, err)
		}
	}
}

func TestParseJWKS(t *testing.T) {
	unknown := `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`
	for _, tc := range []struct {
		name, set string
		n         int
		want      error
	}{
		{"empty", `{"keys":[]}`, 0, nil},
		{"one", `{"keys":[` + ecJWK + `]}`, 1, nil},
		{"unknown kinds are skipped", `{"keys":[` + unknown + `,` + ecJWK + `,` + unknown + `],"x":1}`, 1, nil},
		{"one is broken", `{"keys":[` + ecJWK + `,{"kty":"EC","crv":"P-256","x":"","y":""}]}`, 0, ErrKey},
		{"same kid", `{"keys":[` + ecJWK + `,` + rfc8037JWK + `]}`, 0, ErrKey},
		{"no keys", `{}`, 0, ErrKey},
		{"keys is an object", `{"keys":{}}`, 0, ErrKey},
		{"a key is text", `{"keys":["x"]}`, 0, ErrKey},
		{"no JSON", `keys`, 0, ErrKey},
	} {
		keys, err := ParseJWKS([]byte(tc.set))
		if len(keys) != tc.n || !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %d keys, %v", tc.name, len(keys), err)
		}
	}
}

// TestKeysDoNotPrintThemselves: a key in a log line is a name.
func TestKeysDoNotPrintThemselves(t *testing.T) {
	for alg, k := range testKeys() {
		want := fmt.Sprintf("%s key %q", alg, k.ID())
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if got := fmt.Sprintf(format, k); got != want {
				t.Errorf("%s of the %s key: %.80s", format, alg, got)
			}
		}
	}
}

// TestSecurity13_NewKeys: what we make is P-256, Ed25519, RSA of 3072 bits or
// 256 bits of HMAC secret.
func TestSecurity13_NewKeys(t *testing.T) {
	made := map[Algorithm]*Key{}
	for _, alg := range []Algorithm{ES256, EdDSA, RS256, HS256} {
		k, err := GenerateKey(alg, "new")
		if err != nil {
			t.Fatal(err)
		}
		made[alg] = k
	}
	if k := made[RS256].rsaPub; k.N.BitLen() != 3072 || k.E != 65537 {
		t.Errorf("RSA with %d bits, e = %d", k.N.BitLen(), k.E)
	}
	if c := made[ES256].ecPub.Curve; c != elliptic.P256() {
		t.Errorf("ES256 on %s", c.Params().Name)
	}
	if n := len(made[EdDSA].edPub); n != ed25519.PublicKeySize {
		t.Errorf("EdDSA with %d bytes", n)
	}
	if n := len(made[HS256].secret); n != 32 {
		t.Errorf("an HMAC secret of %d bytes", n)
	}
}
