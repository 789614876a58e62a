package jose

import (
	"crypto"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	gojwt "github.com/golang-jwt/jwt/v5"
)

func TestHeaderText(t *testing.T) {
	hs, err := NewHMAC("k1", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := NewHMAC(`a"\é`, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := NewHMAC("", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		key    *Key
		header Header
		want   string
	}{
		{hs, Header{Typ: "JWT", OmitKeyID: true, Order: TypAlgKid}, `{"typ":"JWT","alg":"HS256"}`},
		{hs, Header{Typ: "JWT"}, `{"alg":"HS256","typ":"JWT","kid":"k1"}`},
		{hs, Header{Typ: "JWT", Order: TypAlgKid}, `{"typ":"JWT","alg":"HS256","kid":"k1"}`},
		{hs, Header{Typ: "JWT", Order: AlgKidTyp}, `{"alg":"HS256","kid":"k1","typ":"JWT"}`},
		{hs, Header{Typ: "at+jwt", Order: KidAlgTyp}, `{"kid":"k1","alg":"HS256","typ":"at+jwt"}`},
		{hs, Header{}, `{"alg":"HS256","kid":"k1"}`},
		{hs, Header{OmitKeyID: true, Order: KidAlgTyp}, `{"alg":"HS256"}`},
		{nameless, Header{Typ: "JWT"}, `{"alg":"HS256","typ":"JWT"}`},
		{quoted, Header{}, `{"alg":"HS256","kid":"a\"\\é"}`},
	} {
		for range 2 { // made, then remembered
			token := mustSign(t, tc.key, tc.header, testPayload)
			segment, _, _ := strings.Cut(token, ".")
			text, err := rawURL.DecodeString(segment)
			if err != nil || string(text) != tc.want {
				t.Errorf("header %s, want %s", text, tc.want)
			}
			if encoded, err := tc.key.EncodedHeader(tc.header); err != nil || encoded != segment {
				t.Errorf("EncodedHeader %s, token has %s, %v", encoded, segment, err)
			}
			p, err := Parse(token)
			if err != nil || p.KeyID() != tc.key.ID() && !tc.header.OmitKeyID || p.Typ() != tc.header.Typ {
				t.Errorf("%s read back as kid %q, typ %q, %v", tc.want, p.KeyID(), p.Typ(), err)
			}
		}
	}
	for _, typ := range []string{"a\n", "\xff", strings.Repeat("t", 65)} {
		if _, err := hs.Sign(Header{Typ: typ}, []byte("{}")); err == nil {
			t.Errorf("typ %q accepted", typ)
		}
	}
}

func TestSignLimits(t *testing.T) {
	k := testKeys()[HS256]
	accepted := 0
	for n := 6000; n < 6200; n++ {
		token, err := k.Sign(Header{}, make([]byte, n))
		if (err == nil) != (len(token) > 0) {
			t.Fatal(err)
		}
		if err == nil {
			accepted = n
			if err := accepts(token, k); err != nil {
				t.Fatalf("payload of %d bytes: signed and refused: %v", n, err)
			}
		} else if accepted != n-1 && accepted > 0 && n == accepted+1 {
			t.Fatal(err)
		}
	}
	if token, err := k.Sign(Header{}, make([]byte, accepted)); err != nil || len(token) > MaxTokenSize || len(token) < MaxTokenSize-3 {
		t.Errorf("the largest token has %d bytes, %v", len(token), err)
	}
	if _, err := k.Sign(Header{}, nil); err == nil {
		t.Error("empty payload signed")
	}
}

// TestDeterminism: a refresh token is issued again byte for byte, which rests on this.
func TestDeterminism(t *testing.T) {
	for _, alg := range []Algorithm{HS256, EdDSA, RS256} {
		k := testKeys()[alg]
		if a, b := mustSign(t, k, Header{}, testPayload), mustSign(t, k, Header{}, testPayload); a != b {
			t.Errorf("%s: two tokens of one payload differ", alg)
		}
	}
}

// oracleKeys gives the key as golang-jwt and go-jose want it.
func oracleKeys(k *Key) (private, public any) {
	switch k.alg {
	case ES256:
		return k.ec, k.ecPub
	case EdDSA:
		return k.ed, k.edPub
	case RS256:
		return k.rsa, k.rsaPub
	}
	return k.secret, k.secret
}

func TestGolangJWT(t *testing.T) {
	for alg, k := range testKeys() {
		private, public := oracleKeys(k)
		ours := mustSign(t, k, Header{Typ: "JWT"}, testPayload)
		parser := gojwt.NewParser(gojwt.WithValidMethods([]string{string(alg)}), gojwt.WithoutClaimsValidation())
		token, err := parser.Parse(ours, func(*gojwt.Token) (any, error) { return public, nil })
		if err != nil || !token.Valid || token.Header["kid"] != k.ID() {
			t.Errorf("%s: golang-jwt refuses ours: %v", alg, err)
		}
		theirs, err := gojwt.NewWithClaims(gojwt.GetSigningMethod(string(alg)), gojwt.MapClaims{"sub": "x"}).SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		// Others sign with either s.
		verifier := k
		if alg == ES256 {
			verifier = &Key{alg: ES256, ecPub: k.ecPub}
		}
		if err := accepts(theirs, verifier); err != nil {
			t.Errorf("%s: we refuse golang-jwt's: %v", alg, err)
		}
	}
}

func TestGoJose(t *testing.T) {
	for alg, k := range testKeys() {
		private, public := oracleKeys(k)
		ours := mustSign(t, k, Header{Typ: "JWT"}, testPayload)
		sig, err := gojose.ParseSignedCompact(ours, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if payload, err := sig.Verify(public); err != nil || string(payload) != testPayload {
			t.Errorf("%s: go-jose refuses ours: %v", alg, err)
		}
		signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(alg), Key: private}, nil)
		if err != nil {
			t.Fatal(err)
		}
		object, err := signer.Sign([]byte(testPayload))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := object.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		verifier := k
		if alg == ES256 {
			verifier = &Key{alg: ES256, ecPub: k.ecPub}
		}
		if err := accepts(theirs, verifier); err != nil {
			t.Errorf("%s: we refuse go-jose's: %v", alg, err)
		}
		if alg.Symmetric() {
			continue
		}
		data, err := k.JWK()
		if err != nil {
			t.Fatal(err)
		}
		var jwk gojose.JSONWebKey
		if err := jwk.UnmarshalJSON(data); err != nil || !jwk.Valid() || jwk.KeyID != k.ID() || jwk.Algorithm != string(alg) {
			t.Errorf("%s: go-jose refuses our JWK: %v", alg, err)
		}
		if thumb, err := jwk.Thumbprint(crypto.SHA256); err != nil || rawURL.EncodeToString(thumb) != k.Thumbprint() {
			t.Errorf("%s: thumbprint %s, go-jose has %x, %v", alg, k.Thumbprint(), thumb, err)
		}
		jwk = gojose.JSONWebKey{Key: public, KeyID: "k", Algorithm: string(alg), Use: "sig"}
		if data, err = jwk.MarshalJSON(); err != nil {
			t.Fatal(err)
		}
		if back, err := FromJWK(data); err != nil || back.Thumbprint() != k.Thumbprint() {
			t.Errorf("%s: we refuse go-jose's JWK: %v", alg, err)
		}
	}
}
