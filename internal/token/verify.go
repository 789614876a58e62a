package token

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/jose"
	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// KeyGroup is keys that are treated alike. With a MACKey the secrets in it are shared: others hold them and could mint
// tokens, so a token must also carry our own MAC (SignShared). A set that is moving from a shared secret to a key of
// our own has two groups.
type KeyGroup struct {
	Keys   []*Key
	MACKey []byte // nil = nobody else can sign with the keys
}

// String names the keys without the MAC key, which %v would print otherwise.
func (g KeyGroup) String() string {
	if g.MACKey != nil {
		return fmt.Sprintf("shared %v", g.Keys)
	}
	return fmt.Sprint(g.Keys)
}

// GoString is String, for %#v.
func (g KeyGroup) GoString() string { return g.String() }

// Candidate is one thing that a token may turn out to be.
type Candidate struct {
	Keys  []KeyGroup
	Rules *Rules
}

// Verify checks a token against rules that apply to the keys given, which only we hold. It returns the claims, and
// with ErrExpired it returns them too; with every other error they are nil. Errors: ErrMalformed, ErrSignature,
// ErrClaims, ErrKind, ErrIssuer, ErrAudience, ErrLifetime, ErrNotYetValid, ErrExpired.
func Verify(raw string, keys []*Key, r *Rules, nowMs int64) (*Claims, error) {
	groups := [1]KeyGroup{{Keys: keys}}
	candidates := [1]Candidate{{Keys: groups[:], Rules: r}}
	_, claims, err := Identify(raw, candidates[:], nowMs)
	return claims, err
}

// VerifyGroups is Verify for groups of keys, shared ones among them.
func VerifyGroups(raw string, groups []KeyGroup, r *Rules, nowMs int64) (*Claims, error) {
	candidates := [1]Candidate{{Keys: groups, Rules: r}}
	_, claims, err := Identify(raw, candidates[:], nowMs)
	return claims, err
}

// Identify finds out which of the candidates a token is. The first that accepts it wins: its index, the claims, nil.
//
// If none accepts it, the error is that of the candidate with which the token got furthest, the first of equals, and
// the index is that candidate's; it is -1 when no key of any of them made the token. The claims are there with
// ErrExpired alone. So a caller that needs an access token puts the refresh token's rules behind the access token's
// and sees by the index what it was given.
func Identify(raw string, candidates []Candidate, nowMs int64) (int, *Claims, error) {
	v := verification{nowMs: nowMs}
	var err error
	if v.parsed, err = parse(raw, candidates); err != nil {
		return -1, nil, err
	}
	best, bestErr := -1, error(ErrSignature)
	var bestClaims *Claims
	for i := range candidates {
		claims, err := v.try(&candidates[i])
		if err == nil {
			return i, claims, nil
		}
		if progress(err) > progress(bestErr) {
			best, bestClaims, bestErr = i, nil, err
			if errors.Is(err, ErrExpired) {
				bestClaims = claims
			}
		}
	}
	return best, bestClaims, bestErr
}

// parse reads the token. One of the keys probably knows its header already.
func parse(raw string, candidates []Candidate) (*jose.Parsed, error) {
	return jose.ParseFor(raw, func(yield func(*Key) bool) {
		for i := range candidates {
			for _, group := range candidates[i].Keys {
				for _, k := range group.Keys {
					if !yield(k) {
						return
					}
				}
			}
		}
	})
}

// verification is one token on its way through the candidates. What was found out about it is not found out again.
type verification struct {
	parsed  *jose.Parsed
	nowMs   int64
	good    *Key   // verified the signature
	payload []byte // since it did
	bad     *Key   // the last that did not
	read    bool
	claims  Claims
	members []strictjson.Member
	readErr error
}

// try judges the token by one candidate.
func (v *verification) try(c *Candidate) (*Claims, error) {
	key, macKey := v.findKey(c.Keys)
	if key == nil {
		return nil, ErrSignature
	}
	if err := v.readClaims(); err != nil {
		return nil, err
	}
	if macKey != nil && !v.checkMAC(macKey) {
		return nil, refuse(ErrSignature, "made by a holder of a shared secret, without our MAC")
	}
	claims := v.claims
	claims.KeyID, claims.Shared = key.ID(), macKey != nil
	if err := c.Rules.check(&claims, v.members, v.nowMs); err != nil {
		return &claims, err
	}
	return &claims, nil
}

// findKey returns the key that made the token and the MAC key of its group. Keys with the id that the token names are
// tried before the others.
func (v *verification) findKey(groups []KeyGroup) (key *Key, macKey []byte) {
	kid := v.parsed.KeyID()
	for _, named := range [...]bool{true, false} {
		if named && kid == "" {
			continue
		}
		for i := range groups {
			for _, k := range groups[i].Keys {
				if (kid != "" && k.ID() == kid) == named && v.signedBy(k) {
					return k, groups[i].MACKey
				}
			}
		}
	}
	return nil, nil
}

func (v *verification) signedBy(k *Key) bool {
	if k == v.good || k == v.bad {
		return k == v.good
	}
	payload, err := v.parsed.Verify(k)
	if err != nil {
		v.bad = k
		return false
	}
	v.good, v.payload = k, payload
	return true
}

// readClaims reads the payload, once. It is called when a signature has verified and not before.
func (v *verification) readClaims() error {
	if v.read {
		return v.readErr
	}
	v.read = true
	v.claims.Payload = v.payload
	v.claims.text = string(v.claims.Payload)
	v.claims.Algorithm, v.claims.Typ = v.parsed.Algorithm(), v.parsed.Typ()
	members, err := strictjson.ParseObject(v.claims.text, make([]strictjson.Member, 0, 16))
	if err != nil {
		v.readErr = refuse(ErrClaims, "payload: %s", err)
		return v.readErr
	}
	v.members = members
	v.readErr = v.claims.read(members)
	return v.readErr
}
