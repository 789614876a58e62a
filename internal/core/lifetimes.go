package core

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
)

// Names of the meta values that hold the longest lifetimes any token, and any
// access token, was ever issued with.
const (
	metaLongest       = "longest_lifetime_ms"
	metaLongestAccess = "longest_access_lifetime_ms"
)

// raise sets v to ms unless it is more already.
func raise(v *atomic.Int64, ms int64) {
	for {
		old := v.Load()
		if ms <= old || v.CompareAndSwap(old, ms) {
			return
		}
	}
}

func (s *Service) lifetimes() map[string]*atomic.Int64 {
	return map[string]*atomic.Int64{metaLongest: &s.longest, metaLongestAccess: &s.longestAccess}
}

// recallLifetimes reads how long tokens issued by earlier starts may live, also
// under contracts that have been shortened or unmounted since. A fact that was
// forgotten before the last of them expires would bring that token back.
func (s *Service) recallLifetimes(ctx context.Context) error {
	for name, v := range s.lifetimes() {
		text, err := s.store.MetaGet(ctx, name)
		if errors.Is(err, ErrNoRow) {
			continue
		}
		if err != nil {
			return StoreError(err)
		}
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("the store's %s is no number: %w", name, err)
		}
		raise(v, ms)
	}
	return nil
}

// RememberLifetimes notes the longest lifetimes of the registered mounts. It is
// called before the first token is issued.
func (s *Service) RememberLifetimes(ctx context.Context) error {
	for name, v := range s.lifetimes() {
		text := strconv.FormatInt(v.Load(), 10)
		if was, err := s.store.MetaGet(ctx, name); err == nil && was == text {
			continue
		}
		if err := s.store.MetaSet(ctx, &MetaSetParams{Name: name, Value: text, Now: s.now()}); err != nil {
			return StoreError(err)
		}
	}
	return nil
}
