package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// Keys is what the API needs of the signing keys; app knows the answers.
type Keys interface {
	// ListKeys lists keys that are not dropped, oldest first.
	ListKeys(ctx context.Context) []core.KeyInfo
	// PublicKey is a key's public JWK, nil for one without; JWKS all of them.
	PublicKey(ctx context.Context, id string) []byte
	JWKS(ctx context.Context) []byte
	// RotateKey publishes the next key of a set, or with now makes it sign.
	RotateKey(ctx context.Context, actor core.Actor, set core.KeySet, now bool) (*core.KeyRotation, error)
	// KeyEnds says what ends with a key.
	KeyEnds(ctx context.Context, id string) (*core.KeyEnds, error)
	// DropKey ends a key, and says which took the place of one that signed.
	DropKey(ctx context.Context, actor core.Actor, id string) (replaced string, err error)
	// ImportKey lets a secret that others hold sign.
	ImportKey(ctx context.Context, actor core.Actor, set core.KeySet, secret []byte, weakUntil int64) (string, error)
	// Rewrap changes the master key to the one in a file that the server reads.
	Rewrap(ctx context.Context, actor core.Actor, file string) (was, is string, err error)
}

// SigningKey is a signing key; never its secret.
type SigningKey struct {
	ID          string `json:"id"`
	Mount       string `json:"mount"`
	Kind        string `json:"kind"`
	Algorithm   string `json:"algorithm"`
	Class       string `json:"class"` // "own", or "shared" with others
	State       string `json:"state"` // "next", "active", "verify-only"
	Thumbprint  string `json:"thumbprint"`
	CreatedAt   Time   `json:"created_at"`
	SignsFrom   Time   `json:"signs_from"` // of a next key
	ActivatedAt Time   `json:"activated_at"`
	RetiredAt   Time   `json:"retired_at"`
	FetchedAt   Time   `json:"fetched_at"` // when somebody first fetched it
	WeakUntil   Time   `json:"weak_until"` // of a secret that is too short
}

// KeySet names the keys of one kind of token of a mount.
type KeySet struct {
	Mount string `json:"mount"`
	Kind  string `json:"kind"`
}

// KeyRotation is the body that rotates a set; Rotated is the answer.
type KeyRotation struct {
	KeySet
	Now bool `json:"now,omitempty"`
}

// Rotated says what a rotation did; ids are "" where nothing was done.
type Rotated struct {
	Published string `json:"published"`
	SignsFrom Time   `json:"signs_from"`
	Activated string `json:"activated"`
	Retired   string `json:"retired"`
	Warning   string `json:"warning"`
}

// KeyEnds says what dropping a key ends.
type KeyEnds struct {
	ID         string `json:"id"`
	Active     bool   `json:"active"`
	Everything bool   `json:"everything"` // all sessions opened so far
	// Sessions is how many those are; without Everything, how many cannot be
	// refreshed any more.
	Sessions int `json:"sessions"`
	// Renewed is set for a key of access or refresh tokens that signs no more:
	// whoever had it may have renewed sessions, which then go on under the key
	// that signs now.
	Renewed bool `json:"renewed"`
	// Replaced is the key that signs instead, after an active one was dropped.
	Replaced string `json:"replaced,omitempty"`
}

// KeyImport is the body that brings a shared secret.
type KeyImport struct {
	KeySet
	Secret    string `json:"secret"`
	WeakUntil string `json:"weak_until,omitempty"` // a date, 2027-01-31
}

// Imported names the key.
type Imported struct {
	ID string `json:"id"`
}

// Rewrapping is the body that changes the master key; Rewrapped is the answer.
type Rewrapping struct {
	File string `json:"file"` // absolute, read by the server
}

// Rewrapped names the master keys.
type Rewrapped struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func signingKeyOf(k *core.KeyInfo) SigningKey {
	return SigningKey{
		ID: k.ID, Mount: k.Set.Mount, Kind: string(k.Set.Kind), Algorithm: string(k.Algorithm), Class: string(k.Class), State: string(k.State),
		Thumbprint: k.Thumbprint, CreatedAt: Time(k.CreatedAt), SignsFrom: Time(k.SignsFrom), ActivatedAt: Time(k.ActivatedAt),
		RetiredAt: Time(k.RetiredAt), FetchedAt: Time(k.FetchedAt), WeakUntil: Time(k.WeakUntil),
	}
}

func (s *KeySet) core() (core.KeySet, error) {
	if s.Mount == "" {
		return core.KeySet{}, missing("mount")
	}
	if s.Kind == "" {
		return core.KeySet{}, missing("kind")
	}
	return core.KeySet{Mount: s.Mount, Kind: token.Kind(s.Kind)}, nil
}

// listKeys answers all at once: they are few.
func (a *api) listKeys(c *call) error {
	if _, err := c.query("limit", "cursor"); err != nil {
		return err
	}
	page := Page[SigningKey]{Items: []SigningKey{}}
	for _, k := range a.keys.ListKeys(c.ctx) {
		page.Items = append(page.Items, signingKeyOf(&k))
	}
	return c.answer(http.StatusOK, page)
}

func (a *api) publicKeys(c *call) error {
	q, err := c.query("id")
	if err != nil {
		return err
	}
	doc := a.keys.JWKS(c.ctx)
	if id := q.Get("id"); id != "" {
		if doc = a.keys.PublicKey(c.ctx, id); doc == nil {
			return core.Errorf(core.NotFound, "there is no key %q with a public part; `sallyport key list` shows the keys", clip(id, 100))
		}
	}
	return c.answer(http.StatusOK, json.RawMessage(doc))
}

func (a *api) rotateKey(c *call) error {
	var in KeyRotation
	if err := c.body(&in); err != nil {
		return err
	}
	set, err := in.core()
	if err != nil {
		return err
	}
	done, err := a.keys.RotateKey(c.ctx, c.actor, set, in.Now)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, Rotated{
		Published: done.Published, SignsFrom: Time(done.SignsFrom), Activated: done.Activated, Retired: done.Retired, Warning: done.Warning,
	})
}

// keyEnds says beforehand what dropping would do.
func (a *api) keyEnds(c *call) error {
	out, err := a.endsOf(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) endsOf(c *call) (*KeyEnds, error) {
	id := c.r.PathValue("id")
	ends, err := a.keys.KeyEnds(c.ctx, id)
	if err != nil {
		return nil, err
	}
	out := &KeyEnds{ID: id, Everything: ends.Everything, Sessions: ends.Sessions}
	for _, k := range a.keys.ListKeys(c.ctx) {
		if k.ID != id {
			continue
		}
		out.Active = k.State == core.KeyActive
		out.Renewed = k.State == core.KeyVerifyOnly && (k.Set.Kind == token.Access || k.Set.Kind == token.Refresh)
	}
	return out, nil
}

func (a *api) dropKey(c *call) error {
	out, err := a.endsOf(c)
	if err != nil {
		return err
	}
	if out.Replaced, err = a.keys.DropKey(c.ctx, c.actor, out.ID); err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

func (a *api) importKey(c *call) error {
	var in KeyImport
	if err := c.body(&in); err != nil {
		return err
	}
	set, err := in.core()
	if err != nil {
		return err
	}
	if in.Secret == "" {
		return missing("secret")
	}
	weak := int64(0)
	if in.WeakUntil != "" {
		day, err := time.Parse(time.DateOnly, in.WeakUntil)
		if err != nil {
			return core.Errorf(core.FieldInvalid, "weak_until is a date like 2027-01-31")
		}
		weak = day.UnixMilli()
	}
	id, err := a.keys.ImportKey(c.ctx, c.actor, set, []byte(in.Secret), weak)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, Imported{ID: id})
}

func (a *api) rewrapKeys(c *call) error {
	var in Rewrapping
	if err := c.body(&in); err != nil {
		return err
	}
	if in.File == "" {
		return missing("file")
	}
	was, is, err := a.keys.Rewrap(c.ctx, c.actor, in.File)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, Rewrapped{From: was, To: is})
}
