package jose

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// MarshalPrivate returns what ParsePrivate makes the key of again: the raw secret for HS256, PKCS#8 DER for the
// others. It is for storage that seals it. A key without private part gives ErrKey.
func (k *Key) MarshalPrivate() ([]byte, error) {
	var priv any
	switch {
	case k.secret != nil:
		return append([]byte(nil), k.secret...), nil
	case k.ec != nil:
		priv = k.ec
	case k.ed != nil:
		priv = k.ed
	case k.rsa != nil:
		priv = k.rsa
	default:
		return nil, fmt.Errorf("%w: key %q has no private part to store", ErrKey, k.id)
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, fmt.Errorf("marshal key %q: %w", k.id, err)
	}
	return der, nil
}

// ParsePrivate makes a key of what MarshalPrivate returned. The algorithm is stored beside the bytes and must fit
// them, ErrKey if not. HMAC secrets go through NewHMAC; the caller that stores a weak one calls NewWeakHMAC itself.
func ParsePrivate(alg Algorithm, kid string, data []byte) (*Key, error) {
	if alg == HS256 {
		return NewHMAC(kid, data)
	}
	priv, err := x509.ParsePKCS8PrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	k, err := newPrivate(kid, priv)
	if err != nil {
		return nil, err
	}
	if k.alg != alg {
		return nil, fmt.Errorf("%w: key %q is for %s and is stored as %s", ErrKey, kid, k.alg, alg)
	}
	return k, nil
}

// ImportPEM makes a key of a PEM file of an operator: PKCS#8, PKCS#1 or SEC 1 for a key that signs, SubjectPublicKeyInfo
// for one that only verifies. The key in it decides the algorithm: P-256 gives ES256, Ed25519 EdDSA, RSA (2048 bits
// up) RS256. Exactly one key must be in the file; EC PARAMETERS before it, as OpenSSL writes them, are skipped.
func ImportPEM(kid string, data []byte) (*Key, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return nil, err
	}
	switch block.Type {
	case "PRIVATE KEY":
		return imported(kid, newPrivate)(x509.ParsePKCS8PrivateKey(block.Bytes))
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		return imported(kid, newPrivate)(key, err)
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		return imported(kid, newPrivate)(key, err)
	case "PUBLIC KEY":
		return imported(kid, newPublic)(x509.ParsePKIXPublicKey(block.Bytes))
	case "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("%w: the PEM is encrypted; decrypt it first: openssl pkcs8 -in FILE -out KEY", ErrUnsupportedKey)
	case "OPENSSH PRIVATE KEY":
		return nil, fmt.Errorf("%w: OpenSSH format; convert it first: ssh-keygen -p -m PKCS8 -f FILE", ErrUnsupportedKey)
	case "CERTIFICATE":
		return nil, fmt.Errorf("%w: a certificate; give the key instead", ErrUnsupportedKey)
	}
	return nil, fmt.Errorf("%w: PEM block %q", ErrUnsupportedKey, block.Type)
}

// onlyBlock returns the one key block of a PEM file.
func onlyBlock(data []byte) (*pem.Block, error) {
	block, rest := pem.Decode(data)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM block in the file", ErrKey)
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, fmt.Errorf("%w: something follows the first key of the file; give one key a file", ErrKey)
	}
	if block.Headers["DEK-Info"] != "" {
		return nil, fmt.Errorf("%w: the PEM is encrypted; decrypt it first: openssl pkey -in FILE -out KEY", ErrUnsupportedKey)
	}
	return block, nil
}

// imported takes the results of a parser and wraps them.
func imported(kid string, wrap func(kid string, key any) (*Key, error)) func(any, error) (*Key, error) {
	return func(key any, err error) (*Key, error) {
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return wrap(kid, key)
	}
}
