package core

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// metaLongest holds the longest lifetime that any token was ever issued with.
const metaLongest = "longest_lifetime_ms"

// recallLifetimes reads how long tokens issued by earlier starts may live, also
// under contracts that have been shortened or unmounted since. A fact that was
// forgotten before the last of them expires would bring that token back.
func (s *Service) recallLifetimes(ctx context.Context) error {
	v, err := s.store.MetaGet(ctx, metaLongest)
	if errors.Is(err, ErrNoRow) {
		return nil
	}
	if err != nil {
		return storeErr(err)
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return fmt.Errorf("the store's %s is no number: %w", metaLongest, err)
	}
	s.raiseLongest(ms)
	return nil
}

// RememberLifetimes notes the longest lifetime of the registered mounts. It is
// called before the first token is issued.
func (s *Service) RememberLifetimes(ctx context.Context) error {
	v := strconv.FormatInt(s.longest.Load(), 10)
	if was, err := s.store.MetaGet(ctx, metaLongest); err == nil && was == v {
		return nil
	}
	return storeErr(s.store.MetaSet(ctx, &MetaSetParams{Name: metaLongest, Value: v, Now: s.now()}))
}
