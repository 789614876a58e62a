package core

import "context"

// The revocation feed: resource servers that verify offline learn from it what
// was revoked. It tells of every account, so its readers are chosen by an
// operator, who gives the role to a user or the scope to a client.
const (
	// RoleRevocations lets a token, or a client, read the feed.
	RoleRevocations = "revocations:read"
	// FeedMount is the mount of the feed's own signing key. No configuration can
	// give a mount this name.
	FeedMount = "_feed"
)

// FeedKeys is the set of keys that sign the feed. They sign no tokens: what
// the feed says could otherwise be passed off as one, or the reverse.
func FeedKeys() KeySet { return KeySet{Mount: FeedMount, Kind: "revocations"} }

// RevocationNews is the highest fact number that this node has heard of, and a
// channel that is closed when there is a higher one.
func (s *Service) RevocationNews() (last int64, changed <-chan struct{}) {
	r := s.revoked
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.last, r.changed
}

// HearRevocations reads what the log has that this node has not heard of yet.
func (s *Service) HearRevocations(ctx context.Context) error { return s.follow(ctx) }

// RevocationsSince reads facts above n from the committed log, at most limit,
// and the highest number of all. A log that does not answer is *Error
// Unavailable: "nothing new" must never be said on a guess.
func (s *Service) RevocationsSince(ctx context.Context, n int64, limit int) (facts []Fact, last int64, err error) {
	facts, last, err = s.store.FactsSince(ctx, n, limit)
	return facts, last, StoreError(err)
}

// FeedReader says who reads the feed by a token of any mount: an access or
// application token with RoleRevocations. *Error as Authenticate.
func (s *Service) FeedReader(ctx context.Context, raw string, c *Client) (string, error) {
	p, err := s.Authenticate(ctx, &AuthenticateRequest{Mounts: s.tokenMounts(), Token: raw, Roles: []string{RoleRevocations}, Client: *c})
	if err != nil {
		return "", err
	}
	if p.Shared {
		return "", &Error{Code: TokenInvalid, Reason: "token under a shared secret"} // it counts on its own mount and nowhere else
	}
	if p.ClientID != "" {
		return p.ClientID, nil
	}
	return p.Subject.ID, nil
}
