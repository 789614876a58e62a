package verify

import (
	"errors"

	"github.com/sallyport/sallyport/internal/token"
)

// keySet is keys as of one moment, and what tokens under them are judged by. It does not change; another takes its
// place.
type keySet struct {
	keys       []*token.Key
	candidates []token.Candidate // the keys with the rules
}

func newKeySet(keys []*token.Key, rules []*token.Rules) *keySet {
	s := &keySet{keys: keys}
	groups := []token.KeyGroup{{Keys: keys}}
	for _, r := range rules {
		s.candidates = append(s.candidates, token.Candidate{Keys: groups, Rules: r})
	}
	return s
}

// knows reports whether a key has the id.
func (s *keySet) knows(kid string) bool {
	for _, k := range s.keys {
		if k.ID() == kid {
			return true
		}
	}
	return false
}

// parseKeys reads a JWK Set. One without a usable key is a mistake of whoever made it, not a reason to refuse all
// tokens from now on.
func parseKeys(data []byte) ([]*token.Key, error) {
	keys, err := token.ParseJWKS(data)
	if err == nil && len(keys) == 0 {
		err = errors.New("the JWK Set has no key that can verify (ES256, EdDSA, RS256)")
	}
	return keys, err
}
