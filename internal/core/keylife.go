package core

import (
	"context"

	"github.com/sallyport/sallyport/internal/token"
)

// keyMarginMS is added to what a token may live, for clocks.
const keyMarginMS = 3600 * 1000

// FactForever is the PurgeAt of a fact that is never forgotten: the end of the
// year 9999.
const FactForever int64 = 253_402_300_799_000

// KeepKeyMS says how long after a key's last signature something under it may
// still be valid. false: the key is never dropped unasked, because what it
// signed outlives ordinary rotation: refresh tokens are issued again byte for
// byte, application tokens have no end.
//
// It goes by the longest lifetime that any token of this store was ever issued
// with: a contract may have been shortened since.
func (s *Service) KeepKeyMS(set KeySet) (int64, bool) {
	switch {
	case set == FeedKeys():
		return keyMarginMS, true // an answer lives 30 seconds
	case set.Kind == token.Refresh || set.Kind == token.Application:
		return 0, false
	case set.Mount == OAuthMount && set.Kind == token.Access:
		return MaxAccessMS + keyMarginMS, true // no client's live longer
	}
	return max(s.longest.Load(), MaxAccessMS) + keyMarginMS, true
}

// KeyEnds says what ends when a key is dropped.
type KeyEnds struct {
	// Everything is set when whoever has the key could have signed tokens of
	// any session: all sessions opened so far end with it.
	Everything bool
	// Sessions is how many that are, all mounts together; without Everything,
	// those whose refresh token only this key verifies.
	Sessions int
}

// KeyEnds says what dropping a key ends. Id tokens and the feed open nothing,
// and application tokens count by their rows. A key of refresh tokens that signs
// no more still has sessions that were not refreshed since.
func (s *Service) KeyEnds(ctx context.Context, key *KeyInfo) (*KeyEnds, error) {
	opens := key.Set.Kind == token.Access || key.Set.Kind == token.Refresh
	ends := &KeyEnds{Everything: opens && key.State == KeyActive}
	if !ends.Everything && key.Set.Kind != token.Refresh {
		return ends, nil
	}
	seen := map[SessionID]bool{} // pages overlap where several began in one millisecond
	for q := (SessionQuery{Limit: 1000}); ; {
		list, err := s.ListSessions(ctx, q)
		if err != nil {
			return nil, err
		}
		before := len(seen)
		for _, one := range list {
			if !seen[one.ID] && (ends.Everything || one.RefreshKey == key.ID) {
				ends.Sessions++
			}
			seen[one.ID] = true
			q.Before = one.CreatedAt + 1
		}
		if len(list) < q.Limit || len(seen) == before {
			return ends, nil
		}
	}
}

// EndEverythingBefore adds the fact that ends every session opened so far,
// because a key was dropped in an emergency.
func (s *Service) EndEverythingBefore(ctx context.Context, actor Actor, key string) error {
	now := s.now()
	ev := actor.Event("revoke.everything")
	ev.Detail = map[string]string{"key": key}
	_, err := s.store.AddFact(ctx, &AddFactParams{
		// Kept as RevokeEverything's.
		Fact: Fact{Kind: FactEverything, Reason: "key dropped", At: now, PurgeAt: now + refreshLifetimeBound*1000},
		Now:  now, Event: ev,
	})
	if err != nil {
		return StoreError(err)
	}
	return s.catchUp(ctx)
}

// RewrapParams is one step: everything sealed under the master key From is
// sealed again under To, and the store's id and check value are To's.
type RewrapParams struct {
	// From is the master key in force: ErrStale when it is another. To may be
	// the same: then values that were sealed under a former one are caught up.
	From, To string
	Check    string
	Former   string // value of MetaMasterFormer
	// Key and Secret seal one value again; nil leaves it as it is. An error
	// undoes the step.
	Key    func(*KeyRow) ([]byte, error)
	Secret func(binding string, sealed []byte) ([]byte, error)
	Now    int64
	Event  Event
}

// MetaMasterFormer holds the former master keys, sealed under the one in force:
// what was derived from the first stays as it was.
const MetaMasterFormer = "master_key_former"

// SealMasterKey is the purpose that seals former master keys.
const SealMasterKey SealPurpose = "master-key"

// APISecretBinding is what the sealed secret of an API key is bound to; account
// is the account's id.
func APISecretBinding(key, account string, number int64) string {
	return sealBinding(&APIKey{ID: key, Account: account}, number)
}

// KeyInfo is what may be told about a key.
type KeyInfo struct {
	ID          string
	Set         KeySet
	Class       KeyClass
	Algorithm   token.Algorithm
	State       KeyState
	Thumbprint  string // RFC 7638; "" for HMAC
	WeakUntil   int64  // Unix milliseconds; 0 unless the secret is shorter than 32 bytes
	CreatedAt   int64
	ActivatedAt int64
	RetiredAt   int64
	SignsFrom   int64 // of a next key: when it may sign
	FetchedAt   int64 // when the key was first fetched from the JWK Set; 0 for never
}

// KeyRotation says what a rotation did; each member is a key id or "".
type KeyRotation struct {
	Published string // waits to sign, until SignsFrom
	SignsFrom int64  // Unix milliseconds; 0 unless Published is set
	Activated string // signs from now on
	Retired   string // verifies what it signed, until it is dropped
	// Warning says what goes wrong when the new key signs at once; "" for
	// nothing.
	Warning string
}
