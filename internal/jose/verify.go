package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
)

// Verify checks the signature with k and returns the payload, which is not to be changed. The algorithm is the key's;
// a token that names another gives ErrAlgorithm before anything is computed. Every other refusal is ErrSignature.
func (p *Parsed) Verify(k *Key) ([]byte, error) {
	if p.head.alg != k.alg {
		return nil, ErrAlgorithm
	}
	if !k.verify(p.input, p.signature) {
		return nil, ErrSignature
	}
	if checks := k.checks.Load(); checks == nil || len(*checks) < maxCached {
		k.note(p.head, checks)
	}
	return p.payload, nil
}

// note remembers the header of a token that verified.
func (k *Key) note(head knownHeader, known *[]knownHeader) {
	if known != nil {
		for i := range *known {
			if (*known)[i] == head {
				return
			}
		}
	}
	// The strings of head may be slices of a whole token; the copy is what may stay.
	own := string(append([]byte(nil), head.segment...))
	remember(&k.checks, knownHeader{segment: own, alg: head.alg, kid: head.kid, typ: head.typ})
}

func (k *Key) verify(input, sig []byte) bool {
	if len(sig) != k.signatureSize() {
		return false
	}
	switch k.alg {
	case HS256:
		return k.mac(input, func(sum []byte) bool { return hmac.Equal(sum, sig) })
	case ES256:
		return k.verifyES256(input, sig)
	case EdDSA:
		return ed25519.Verify(k.edPub, input, sig)
	case RS256:
		sum := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(k.rsaPub, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}

// verifyES256 checks r and s of 32 bytes each: both from 1 to n-1, and s in the lower half where the key demands it.
func (k *Key) verifyES256(input, sig []byte) bool {
	r := new(big.Int).SetBytes(sig[:p256Size])
	s := new(big.Int).SetBytes(sig[p256Size:])
	if r.Sign() == 0 || r.Cmp(p256Order) >= 0 || s.Sign() == 0 || s.Cmp(p256Order) >= 0 {
		return false
	}
	if k.lowS && s.Cmp(p256Half) > 0 {
		return false
	}
	sum := sha256.Sum256(input)
	return ecdsa.Verify(k.ecPub, sum[:], r, s)
}
