package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const assertionLife = time.Minute

// algorithm is the JWS algorithm of a key (RFC 7518 section 3.4, RFC 8037).
func algorithm(key crypto.Signer) (string, error) {
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		if pub.Curve == elliptic.P256() {
			return "ES256", nil
		}
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", errors.New("client: Key must be an ECDSA key on P-256 or an Ed25519 key")
}

// assertion is a JWT by which the client proves that it has its key (RFC 7523 section 3).
func assertion(c *OAuth, now time.Time) (string, error) {
	alg, err := algorithm(c.Key)
	if err != nil {
		return "", err
	}
	header := map[string]string{"alg": alg, "typ": "JWT"}
	if c.KeyID != "" {
		header["kid"] = c.KeyID
	}
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(map[string]any{
		"iss": c.ClientID, "sub": c.ClientID, "aud": c.Issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	in := joinSegments(h, payload)
	sig, err := sign(c.Key, alg, []byte(in))
	if err != nil {
		return "", fmt.Errorf("client: signing the assertion: %w", err)
	}
	return in + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

func sign(key crypto.Signer, alg string, in []byte) ([]byte, error) {
	if alg == "EdDSA" {
		return key.Sign(rand.Reader, in, crypto.Hash(0))
	}
	sum := sha256.Sum256(in)
	der, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	if rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return nil, errors.New("the key gave a signature that is none of P-256")
	}
	out := make([]byte, 64) // two numbers of 32 bytes, where crypto gives ASN.1
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	return out, nil
}
