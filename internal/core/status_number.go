package core

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// StatusListsPath is where token status lists are served, below the issuer:
// "s7" there is list 7 of sessions, "t0" list 0 of application tokens. The path
// itself tells which lists there are.
const StatusListsPath = "/oauth2/status-lists"

// How many numbers a node sets aside at once: a commit for so many logins, and
// so many lost when it stops.
const (
	sessionBlock = 256
	tokenBlock   = 16
)

// statusPool hands out the numbers of a reserved block.
type statusPool struct {
	space StatusSpace
	count int
	turn  chan struct{} // room for the one who takes a number
	next  int64
	end   int64
	until int64  // by then the block must be used; see StatusOpenMS
	claim string // the claim up to the list's number
}

func newStatusPool(space StatusSpace, count int, issuer string) *statusPool {
	uri := AppendString(nil, StatusListURI(issuer, space, 0))
	return &statusPool{
		space: space, count: count, turn: make(chan struct{}, 1),
		claim: `,"status":{"status_list":{"uri":` + strings.TrimSuffix(string(uri), `0"`),
	}
}

// StatusListURI names a list, as tokens of an issuer do.
func StatusListURI(issuer string, space StatusSpace, list int64) string {
	letter := "s"
	if space == StatusTokens {
		letter = "t"
	}
	return strings.TrimSuffix(issuer, "/") + StatusListsPath + "/" + letter + strconv.FormatInt(list, 10)
}

// ParseStatusList reads the last part of a list's path: "s7". Only the spelling
// that StatusListURI gives is read, so that a list has one address.
func ParseStatusList(name string) (space StatusSpace, list int64, ok bool) {
	switch {
	case strings.HasPrefix(name, "s"):
		space = StatusSessions
	case strings.HasPrefix(name, "t"):
		space = StatusTokens
	default:
		return "", 0, false
	}
	list, err := strconv.ParseInt(name[1:], 10, 64)
	return space, list, err == nil && list >= 0 && strconv.FormatInt(list, 10) == name[1:]
}

// statusNumber takes the next number of a space, for something that is made on
// a mount now. 0 where the mount has no status lists.
func (s *Service) statusNumber(ctx context.Context, m *Mount, space StatusSpace, now int64) (int64, error) {
	if m.Policy.NoStatusList {
		return 0, nil
	}
	p := s.statuses[space]
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return 0, &Error{Code: Unavailable, Reason: "store", RetryAfter: 1000, Err: context.Cause(ctx)}
	}
	if p.next == p.end || now >= p.until {
		first, err := s.store.ReserveStatus(ctx, &ReserveStatusParams{Space: space, Count: p.count, Incarnation: s.incarnation, Now: now})
		if err != nil {
			return 0, StoreError(err)
		}
		p.next, p.end, p.until = first, first+int64(p.count), now+StatusBlockMS
	}
	p.next++
	return p.next - 1, nil
}

// appendStatus appends the claim that says where a token's status is told.
func (p *statusPool) appendStatus(dst []byte, number int64) []byte {
	dst = append(dst, p.claim...)
	dst = strconv.AppendInt(dst, number/StatusListSize, 10)
	dst = append(dst, `","idx":`...)
	dst = strconv.AppendInt(dst, number%StatusListSize, 10)
	return append(dst, "}}"...)
}

// Incarnation is the id of this life of the store. Numbers of facts of
// different lives cannot be compared.
func (s *Service) Incarnation() string { return s.incarnation }

// Issuers are the issuers that tokens may name: former ones, and the one of
// today.
func (s *Service) Issuers() []string { return s.issuers }

// StatusList reads one status list; see Statuses. *Error: NotFound, Unavailable.
func (s *Service) StatusList(ctx context.Context, q StatusQuery) (*StatusList, error) {
	q.Now = s.now()
	l, err := s.store.StatusList(ctx, q)
	if errors.Is(err, ErrNoRow) {
		return nil, Errorf(NotFound, "there is no status list of this number")
	}
	return l, StoreError(err)
}

// StatusLists names the lists that have a live number. *Error: Unavailable.
func (s *Service) StatusLists(ctx context.Context) ([]string, error) {
	var uris []string
	for _, space := range []StatusSpace{StatusSessions, StatusTokens} {
		lists, err := s.store.StatusLists(ctx, space)
		if err != nil {
			return nil, StoreError(err)
		}
		for _, n := range lists {
			uris = append(uris, StatusListURI(s.issuer, space, n))
		}
	}
	return uris, nil
}

// openStatuses reads what numbering stands on.
func (s *Service) openStatuses(ctx context.Context) (err error) {
	if s.incarnation, err = s.store.MetaGet(ctx, MetaIncarnation); err != nil {
		return fmt.Errorf("reading the store's incarnation: %w", err)
	}
	s.statuses = map[StatusSpace]*statusPool{
		StatusSessions: newStatusPool(StatusSessions, sessionBlock, s.issuer),
		StatusTokens:   newStatusPool(StatusTokens, tokenBlock, s.issuer),
	}
	return nil
}
