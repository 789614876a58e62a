package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/jose"
	"github.com/sallyport/sallyport/internal/token"
)

// entry is one key, unsealed. It never changes.
type entry struct {
	row core.KeyRow
	key *jose.Key
	// weakUntil is when a shared secret of fewer than 32 bytes stops to count
	// (Unix milliseconds); 0 for any other key.
	weakUntil int64
}

// keySet is the keys of one set. It never changes.
type keySet struct {
	signer    *entry
	byID      map[string]*entry
	verifying []token.KeyGroup
	macKey    []byte
}

// snapshot is all keys at one moment. It never changes; readers share it.
type snapshot struct {
	entries map[string]*entry
	order   []*entry // oldest first
	sets    map[core.KeySet]*keySet
	jwks    []byte
	etag    string
}

// build unseals rows into a snapshot; entries of old whose row is the same
// are taken over. It fails on the first row that does not open.
func (k *Keyring) build(rows []core.KeyRow, old *snapshot) (*snapshot, error) {
	s := &snapshot{entries: map[string]*entry{}, sets: map[core.KeySet]*keySet{}}
	for _, row := range rows {
		e, err := k.load(row, old)
		if err != nil {
			return nil, err
		}
		if s.entries[row.ID] != nil {
			return nil, fmt.Errorf("the store has two signing keys with the id %s", row.ID)
		}
		s.entries[row.ID] = e
		s.order = append(s.order, e)
	}
	for _, e := range s.order {
		set := s.sets[e.row.Set]
		if set == nil {
			set = &keySet{byID: map[string]*entry{}, macKey: k.macKey(e.row.Set)}
			s.sets[e.row.Set] = set
		}
		set.byID[e.row.ID] = e
	}
	for name, set := range s.sets {
		if err := set.arrange(name, k.cfg.Now()); err != nil {
			return nil, err
		}
	}
	return s, s.publish()
}

// load unseals one row, or takes it from the snapshot before.
func (k *Keyring) load(row core.KeyRow, old *snapshot) (*entry, error) {
	if old != nil {
		if e := old.entries[row.ID]; e != nil && sameKey(&e.row, &row) {
			return &entry{row: row, key: e.key, weakUntil: e.weakUntil}, nil
		}
	}
	plain, err := k.Open(core.SealSigningKey, rowBinding(&row), row.Sealed)
	if err != nil {
		return nil, err
	}
	e := &entry{row: row}
	if row.Class == core.SharedKey {
		e.weakUntil, plain, err = splitShared(plain)
		if err == nil {
			e.key, err = jose.NewWeakHMAC(row.ID, plain)
		}
	} else {
		e.key, err = jose.ParsePrivate(row.Algorithm, row.ID, plain)
	}
	if err != nil {
		return nil, k.alarm("signing key "+row.ID, err)
	}
	if err := checkPublic(&row, e.key); err != nil {
		return nil, k.alarm("signing key "+row.ID, err)
	}
	return e, nil
}

// checkPublic compares the stored public part with the private one: what is
// published must be what signs.
func checkPublic(row *core.KeyRow, key *jose.Key) error {
	if row.Public == nil || key.Algorithm().Symmetric() {
		return nil
	}
	pub, err := jose.FromJWK(row.Public)
	if err != nil {
		return err
	}
	if pub.Thumbprint() != key.Thumbprint() {
		return errors.New("its public part belongs to another key")
	}
	return nil
}

// sameKey reports that two rows are one key, whatever its state is now.
func sameKey(a, b *core.KeyRow) bool {
	return a.Set == b.Set && a.Class == b.Class && a.Algorithm == b.Algorithm && bytes.Equal(a.Sealed, b.Sealed)
}

// rowBinding ties a sealed key to its row: a value moved to another row, set,
// class or algorithm does not open.
func rowBinding(row *core.KeyRow) string {
	return fmt.Sprintf("keys/%q/%q/%q/%q/%q", row.ID, row.Set.Mount, fmt.Sprint(row.Set.Kind), row.Class, row.Algorithm)
}

// macKey is the key of our own MAC in tokens under a shared secret.
func (k *Keyring) macKey(set core.KeySet) []byte {
	key := k.Derive(fmt.Sprintf("shared-mac/%q/%q", set.Mount, fmt.Sprint(set.Kind)))
	return key[:]
}

// arrange finds the signer and the groups that verify.
func (s *keySet) arrange(name core.KeySet, now int64) error {
	var own, shared []*entry
	symmetric := 0
	for _, e := range s.byID {
		if e.key.Algorithm().Symmetric() {
			symmetric++
		}
		if e.weakUntil != 0 && now >= e.weakUntil {
			continue // its time is over: it neither signs nor verifies
		}
		if e.row.Class == core.SharedKey {
			shared = append(shared, e)
		} else {
			own = append(own, e)
		}
	}
	// With a public key in the same set, its published bytes could be tried as
	// an HMAC secret. jose would refuse that too; this is the second wall.
	if symmetric != 0 && symmetric != len(s.byID) {
		return fmt.Errorf("the keys of %v of mount %q mix HMAC and public-key algorithms; drop the older ones", name.Kind, name.Mount)
	}
	for _, e := range append(slices.Clone(own), shared...) {
		if e.row.State == core.KeyActive {
			s.signer = e // the store lets one key of a set be active
		}
	}
	if keys := likelyFirst(own); len(keys) > 0 {
		s.verifying = append(s.verifying, token.KeyGroup{Keys: keys})
	}
	if keys := likelyFirst(shared); len(keys) > 0 {
		s.verifying = append(s.verifying, token.KeyGroup{Keys: keys, MACKey: s.macKey})
	}
	return nil
}

// likelyFirst orders keys by how likely a token is theirs: active, next, then
// the retired, the last one first.
func likelyFirst(entries []*entry) []*jose.Key {
	rank := map[core.KeyState]int{core.KeyActive: 0, core.KeyNext: 1, core.KeyVerifyOnly: 2}
	slices.SortFunc(entries, func(a, b *entry) int {
		if d := rank[a.row.State] - rank[b.row.State]; d != 0 {
			return d
		}
		if a.row.RetiredAt != b.row.RetiredAt {
			return int(min(1, max(-1, b.row.RetiredAt-a.row.RetiredAt)))
		}
		return bytes.Compare([]byte(a.row.ID), []byte(b.row.ID))
	})
	keys := make([]*jose.Key, 0, len(entries))
	for _, e := range entries {
		keys = append(keys, e.key)
	}
	return keys
}

// publish renders the JWK Set: the public keys of all sets, the next ones
// too, so that verifiers know a key before it signs.
func (s *snapshot) publish() error {
	public := []*jose.Key{}
	for _, e := range s.order {
		if p := e.key.Public(); p != nil {
			public = append(public, p)
		}
	}
	doc, err := jose.MarshalJWKS(public)
	if err != nil {
		return fmt.Errorf("publish the signing keys: %w", err)
	}
	sum := sha256.Sum256(doc)
	s.jwks, s.etag = doc, `"`+hex.EncodeToString(sum[:12])+`"`
	return nil
}
