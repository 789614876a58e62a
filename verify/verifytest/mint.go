package verifytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// Token says what a token is to be like. The zero value is a good access token.
type Token struct {
	Subject   string        // default "user-1"
	SessionID string        // default: a new session
	ID        string        // default: a new one
	Audience  string        // default: that of the Options
	Scope     string        // "" leaves it out
	ClientID  string        // "" leaves it out
	Kind      string        // default "access"
	Type      string        // typ of the header, default "JWT", or "at+jwt" with OAuth
	Lifetime  time.Duration // default 15 minutes; may be negative
	// Application makes an application token: of kind "application" unless Kind says otherwise, without exp and sid.
	Application bool
	// OAuth makes an access token of the OAuth endpoints (RFC 9068), with a client, and an audience if need be.
	OAuth bool
	// Claims are put over all others. A nil value takes a claim away.
	Claims map[string]any
}

// NewSession returns the id of a session that begins now: revocations so far do not concern it.
func (i *Issuer) NewSession() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.newSession()
}

func (i *Issuer) newSession() string {
	return fmt.Sprintf("%d-%s", i.last, strings.ToLower(rand.Text()))
}

// Mint signs a token with the active key.
func (i *Issuer) Mint(t Token) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	claims := i.claims(t)
	if i.opts.StatusLists {
		i.place(claims)
	}
	for name, value := range t.Claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Errorf("verifytest: claims: %w", err))
	}
	h := token.Header{Typ: t.Type}
	switch {
	case h.Typ == "" && t.OAuth:
		h.Typ = "at+jwt"
	case h.Typ == "":
		h.Typ = "JWT"
	}
	var raw string
	if i.secret != nil && !t.OAuth {
		h.OmitKeyID = true
		raw, err = token.SignShared(i.secret, h, payload, i.macKey)
	} else {
		raw, err = i.active().key.Sign(h, payload)
	}
	if err != nil {
		panic(fmt.Errorf("verifytest: %w", err))
	}
	return raw
}

func (i *Issuer) claims(t Token) map[string]any {
	now := i.now.Unix()
	c := map[string]any{"iss": i.url, "sub": t.Subject, "jti": t.ID, "iat": now, "token_use": t.Kind}
	if t.Subject == "" {
		c["sub"] = "user-1"
	}
	if t.ID == "" {
		c["jti"] = rand.Text()
	}
	if t.Kind == "" {
		c["token_use"] = "access"
		if t.Application {
			c["token_use"] = "application"
		}
	}
	if !t.Application {
		lifetime := t.Lifetime
		if lifetime == 0 {
			lifetime = 15 * time.Minute
		}
		c["exp"] = now + int64(lifetime/time.Second)
		c["sid"] = t.SessionID
		if t.SessionID == "" {
			c["sid"] = i.newSession()
		}
	}
	for name, value := range map[string]string{"aud": i.opts.Audience, "scope": t.Scope, "client_id": t.ClientID} {
		if value != "" {
			c[name] = value
		}
	}
	if t.Audience != "" {
		c["aud"] = t.Audience
	}
	if t.OAuth {
		delete(c, "token_use")
		if c["client_id"] == nil {
			c["client_id"] = "client_1"
		}
		if c["aud"] == nil {
			c["aud"] = i.url
		}
	}
	return c
}

// SetSecret makes an issuer of HS256 tokens sign with another secret from now on. It panics if that is shorter than 32
// bytes.
func (i *Issuer) SetSecret(secret []byte) {
	k, err := token.NewHMAC("", secret)
	if err != nil {
		panic(fmt.Errorf("verifytest: Secret: %w", err))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.secret = k
}

// state is where a key stands.
type state int

const (
	next       state = iota // published, signs nothing yet
	active                  // signs
	verifyOnly              // published, signs nothing any more
)

type key struct {
	key   *token.Key
	jwk   []byte
	state state
}

func (i *Issuer) newKey(s state) *key {
	k, err := token.GenerateKey(token.Algorithm(i.opts.Algorithm), rand.Text())
	if err != nil {
		panic(fmt.Errorf("verifytest: Algorithm: %w", err))
	}
	jwk, err := k.JWK()
	if err != nil {
		panic(fmt.Errorf("verifytest: Algorithm must have a public key; for HS256 give a Secret: %w", err))
	}
	return &key{key: k, jwk: jwk, state: s}
}

// active returns the key that signs. mu is held.
func (i *Issuer) active() *key {
	for _, k := range i.keys {
		if k.state == active {
			return k
		}
	}
	panic("verifytest: no active key")
}

// KeyID is the id of the key that signs.
func (i *Issuer) KeyID() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.active().key.ID()
}

// PublishKey publishes a new key that signs nothing until Rotate, and returns its id. A server does so long before, so
// that every verifier knows the key when its first token comes.
func (i *Issuer) PublishKey() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	k := i.newKey(next)
	i.keys = append(i.keys, k)
	return k.key.ID()
}

// Rotate makes the oldest published key sign, or a new one, as in an emergency, when none is published. The former key
// stays published. It returns the id of the key that signs now.
func (i *Issuer) Rotate() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := slices.IndexFunc(i.keys, func(k *key) bool { return k.state == next })
	if n < 0 {
		n = len(i.keys)
		i.keys = append(i.keys, i.newKey(next))
	}
	i.active().state = verifyOnly
	i.keys[n].state = active
	return i.keys[n].key.ID()
}

// DropKey withdraws a key that does not sign any more.
func (i *Issuer) DropKey(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.DeleteFunc(i.keys, func(k *key) bool { return k.key.ID() == kid && k.state != active })
}
