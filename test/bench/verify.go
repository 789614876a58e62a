package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/sallyport/sallyport/internal/token"
)

var verifyGroup = group{
	name: "verify", title: "Verifying one access token, one goroutine: nanoseconds", unit: "ns", less: true,
	probes: func(_ context.Context, b *bench) ([]probe, error) {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		_, ed, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		var all []probe
		for _, alg := range []struct {
			method jwt.SigningMethod
			sign   any
			verify any
			bare   func(input, sig []byte) bool
		}{
			{jwt.SigningMethodHS256, secret, secret, func(input, sig []byte) bool {
				m := hmac.New(sha256.New, secret)
				m.Write(input)
				return hmac.Equal(m.Sum(nil), sig)
			}},
			{jwt.SigningMethodES256, ec, &ec.PublicKey, func(input, sig []byte) bool {
				sum := sha256.Sum256(input)
				return len(sig) == 64 && ecdsa.Verify(&ec.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
			}},
			{jwt.SigningMethodEdDSA, ed, ed.Public(), func(input, sig []byte) bool {
				return ed25519.Verify(ed.Public().(ed25519.PublicKey), input, sig)
			}},
		} {
			t, err := newVerifyTask(alg.method, alg.sign, alg.verify)
			if err != nil {
				return nil, err
			}
			name := alg.method.Alg()
			floor := "floor: bare " + name + " signature"
			all = append(all,
				b.timed(floor, "", t.bare(alg.bare)),
				b.timed(name+", ours", floor, t.ours),
				b.timed(name+", golang-jwt", floor, t.golangJWT),
			)
		}
		return all, nil
	},
}

// verifyTask is one token and what is needed to verify it.
type verifyTask struct {
	raw    string
	now    time.Time
	keys   []*token.Key
	rules  *token.Rules
	parser *jwt.Parser
	key    any
}

const benchIssuer = "https://auth.example"

// newVerifyTask signs a token of ours in shape with another library.
func newVerifyTask(method jwt.SigningMethod, sign, verify any) (*verifyTask, error) {
	t := &verifyTask{now: time.Now(), key: verify}
	iat := t.now.Unix()
	tok := jwt.NewWithClaims(method, jwt.MapClaims{
		"iss": benchIssuer, "sub": "4d1c6c1e-7a39-4b7e-9f3a-0d2f6f6f2b11", "aud": "api",
		"sid": "12-abcdefghijklmnopqrstuvwxyz", "jti": "7f6dd8a4-3b6b-4f8e-9a71-50d9f7cf2a10", "token_use": "access",
		"iat": iat, "exp": iat + 900, "scope": "read write",
	})
	tok.Header["kid"] = "k1"
	key, err := ourKey(verify)
	if err != nil {
		return nil, err
	}
	t.keys = []*token.Key{key}
	t.rules = &token.Rules{
		Kind: token.Access, KindClaim: "token_use", KindValue: "access", Issuers: []string{benchIssuer},
		Audience: "api", MaxLifetime: 900, RequireSession: true,
	}
	t.parser = jwt.NewParser(jwt.WithValidMethods([]string{method.Alg()}), jwt.WithIssuer(benchIssuer), jwt.WithAudience("api"), jwt.WithExpirationRequired())
	// Of the two forms of an ECDSA signature ours takes the one that it makes;
	// the other library makes either.
	for range 100 {
		if t.raw, err = tok.SignedString(sign); err != nil || t.ours() == nil {
			return t, err
		}
	}
	return nil, errVerify
}

// ourKey brings a public key in the way that others bring it: as a JWK.
func ourKey(verify any) (*token.Key, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	var jwk string
	switch k := verify.(type) {
	case []byte:
		return token.NewHMAC("k1", k)
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		jwk = fmt.Sprintf(`"kty":"EC","crv":"P-256","alg":"ES256","x":%q,"y":%q`, b64(point[1:33]), b64(point[33:]))
	case ed25519.PublicKey:
		jwk = fmt.Sprintf(`"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":%q`, b64(k))
	}
	keys, err := token.ParseJWKS([]byte(`{"keys":[{"kid":"k1","use":"sig",` + jwk + `}]}`))
	if err != nil || len(keys) != 1 {
		return nil, fmt.Errorf("%d keys: %w", len(keys), err)
	}
	return keys[0], nil
}

var errVerify = errors.New("a good token was refused")

func (t *verifyTask) ours() error {
	_, err := token.Verify(t.raw, t.keys, t.rules, t.now.UnixMilli())
	return err
}

func (t *verifyTask) golangJWT() error {
	var c struct {
		jwt.RegisteredClaims
		SID   string `json:"sid"`
		Use   string `json:"token_use"`
		Scope string `json:"scope"`
	}
	_, err := t.parser.ParseWithClaims(t.raw, &c, func(*jwt.Token) (any, error) { return t.key, nil })
	if err == nil && (c.Use != "access" || c.SID == "") {
		return errVerify
	}
	return err
}

// bare checks the signature and nothing else.
func (t *verifyTask) bare(check func(input, sig []byte) bool) func() error {
	at := strings.LastIndexByte(t.raw, '.')
	input, text := []byte(t.raw[:at]), t.raw[at+1:]
	return func() error {
		sig, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil && !check(input, sig) {
			return errVerify
		}
		return err
	}
}

// timed measures a function by itself: nanoseconds a call, the median of short
// stretches, most of which nothing else on the machine interrupts.
func (b *bench) timed(name, floor string, f func() error) probe {
	length := b.length / 6 // there are many of these, and they are steady
	return probe{name, floor, func(context.Context) (figure, error) {
		calls, err := callsIn(stretch, f)
		if err != nil {
			return figure{}, err
		}
		var all []float64
		for began := time.Now(); time.Since(began) < length || all == nil; {
			took, err := timeCalls(calls, f)
			if err != nil {
				return figure{}, err
			}
			all = append(all, float64(took.Nanoseconds())/float64(calls))
		}
		slices.Sort(all)
		return figure{Value: all[len(all)/2]}, nil
	}}
}

const stretch = 2 * time.Millisecond

// callsIn finds how many calls take about as long as given.
func callsIn(length time.Duration, f func() error) (int, error) {
	for calls := 1; ; calls *= 2 {
		took, err := timeCalls(calls, f)
		if err != nil || took >= length/2 {
			return calls, err
		}
	}
}

func timeCalls(calls int, f func() error) (time.Duration, error) {
	began := time.Now()
	for range calls {
		if err := f(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
