package keyring

import (
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// Sign makes a token with the set's active key. Under a shared secret it adds
// our own MAC, which our verifiers demand.
func (k *Keyring) Sign(set core.KeySet, header token.Header, payload []byte) (tok, keyID string, err error) {
	s := k.snap.Load().sets[set]
	if s == nil || s.signer == nil {
		return "", "", &core.Error{Code: core.Unavailable, Reason: "no active signing key for " + setName(set)}
	}
	tok, err = s.sign(s.signer, header, payload)
	return tok, s.signer.row.ID, err
}

// SignDocument signs a document that is no token, such as the revocation feed,
// with the set's active key; typ says what it is.
func (k *Keyring) SignDocument(set core.KeySet, typ string, payload []byte) (string, error) {
	s := k.snap.Load().sets[set]
	if s == nil || s.signer == nil {
		return "", &core.Error{Code: core.Unavailable, Reason: "no active signing key for " + setName(set)}
	}
	doc, err := token.SignDocument(s.signer.key, typ, payload)
	if err != nil {
		return "", &core.Error{Code: core.Internal, Reason: "sign with key " + s.signer.row.ID, Err: err}
	}
	return doc, nil
}

// SignWith makes a token with the named key of the set. Only HMAC keys, which
// give the same bytes each time, can issue a token again; another is refused.
func (k *Keyring) SignWith(set core.KeySet, keyID string, header token.Header, payload []byte) (string, error) {
	s := k.snap.Load().sets[set]
	if s == nil || s.byID[keyID] == nil {
		return "", &core.Error{Code: core.Unavailable, Reason: "signing key " + keyID + " of " + setName(set) + " is gone"}
	}
	e := s.byID[keyID]
	if !e.key.Algorithm().Symmetric() {
		return "", &core.Error{Code: core.Internal, Reason: "key " + keyID + " does not sign the same bytes twice"}
	}
	if e.row.State == core.KeyNext {
		return "", &core.Error{Code: core.Internal, Reason: "key " + keyID + " does not sign yet"}
	}
	return s.sign(e, header, payload)
}

func (s *keySet) sign(e *entry, header token.Header, payload []byte) (string, error) {
	var tok string
	var err error
	if e.row.Class == core.SharedKey {
		tok, err = token.SignShared(e.key, header, payload, s.macKey)
	} else {
		tok, err = e.key.Sign(header, payload)
	}
	if err != nil {
		return "", &core.Error{Code: core.Internal, Reason: "sign with key " + e.row.ID, Err: err}
	}
	return tok, nil
}

// ActiveKey is the id of the key that signs now, "" when there is none.
func (k *Keyring) ActiveKey(set core.KeySet) string {
	if s := k.snap.Load().sets[set]; s != nil && s.signer != nil {
		return s.signer.row.ID
	}
	return ""
}

// Verifying returns the groups of keys that may have signed tokens of the set.
func (k *Keyring) Verifying(set core.KeySet) []token.KeyGroup {
	if s := k.snap.Load().sets[set]; s != nil {
		return s.verifying
	}
	return nil
}

// JWKS is the JWK Set of all public keys. The slice is shared: it is not to
// be changed.
func (k *Keyring) JWKS() []byte { return k.snap.Load().jwks }

// JWKSETag is the entity tag (RFC 9110 section 8.8.3) of what JWKS returns.
func (k *Keyring) JWKSETag() string { return k.snap.Load().etag }

// KeyInfo is what may be told about a key.
type KeyInfo = core.KeyInfo

// Inspect tells which key a kid names. false: none that is not dropped.
func (k *Keyring) Inspect(kid string) (KeyInfo, bool) {
	e := k.snap.Load().entries[kid]
	if e == nil {
		return KeyInfo{}, false
	}
	return k.info(e), true
}

// List tells of all keys that are not dropped, oldest first.
func (k *Keyring) List() []KeyInfo {
	order := k.snap.Load().order
	all := make([]KeyInfo, 0, len(order))
	for _, e := range order {
		all = append(all, k.info(e))
	}
	return all
}

func (k *Keyring) info(e *entry) KeyInfo {
	r := &e.row
	i := KeyInfo{
		ID: r.ID, Set: r.Set, Class: r.Class, Algorithm: r.Algorithm, State: r.State, Thumbprint: e.key.Thumbprint(),
		WeakUntil: e.weakUntil, CreatedAt: r.CreatedAt, ActivatedAt: r.ActivatedAt, RetiredAt: r.RetiredAt,
		FetchedAt: k.fetchedAt(r.ID),
	}
	if r.State == core.KeyNext {
		i.SignsFrom = k.signsFrom(e)
	}
	return i
}

// PublicJWK is the public part of a key as a JWK; nil for an HMAC key, and for
// one that is not there.
func (k *Keyring) PublicJWK(kid string) []byte {
	if e := k.snap.Load().entries[kid]; e != nil {
		return e.row.Public
	}
	return nil
}

func setName(set core.KeySet) string { return string(set.Kind) + " tokens of mount " + set.Mount }
