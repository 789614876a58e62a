package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is one way to a new token, which any number of callers wait for.
type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

// start begins a flight; s.mu is held. refused is the access token that a server did not take, or "".
func (s *Session) start(refused string) *flight {
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.fly(f, s.token, refused)
	return f
}

func (s *Session) fly(f *flight, cur *Token, refused string) {
	t, err := s.obtain(cur, refused)
	s.mu.Lock()
	now := s.opts.env.now()
	if t != nil {
		s.token = t
		s.refreshAt = s.due(t, s.opts.env.random())
		if refused != "" && err == nil {
			s.forced, s.forcedAt = t.AccessToken, now
		}
	}
	switch {
	case err == nil:
		s.failures, s.notBefore, s.lastErr = 0, time.Time{}, nil
	default:
		pause := max(s.backoff(firstBackoff, s.failures), retryAfter(err))
		s.failures++
		s.notBefore, s.lastErr = now.Add(pause), err
	}
	s.flight = nil
	f.token, f.err = t, err
	if t != nil {
		f.err = nil // an old token that still works is an answer
	}
	s.mu.Unlock()
	if err != nil {
		s.opts.OnError(err)
	}
	close(f.done)
}

// obtain finds the next token: in the store, by refresh, by login. With an error it may still return a token: the old
// one, when the server can't be asked and the token still works.
func (s *Session) obtain(cur *Token, refused string) (*Token, error) {
	known, storeErr := s.candidates(cur)
	now := s.opts.env.now()
	for _, t := range known {
		fresh := t.Expiry.IsZero() || now.Before(s.due(t, 0))
		if t.AccessToken != refused && fresh && s.usable(t, now) {
			if t.IssuedAt.IsZero() {
				t = s.kept(t) // Options.Initial
			}
			return t, nil
		}
	}
	t, err := s.renew(known)
	if err == nil {
		clear(s.dead)
		return s.kept(t), nil
	}
	if storeErr != nil && errors.Is(err, ErrLoginRequired) {
		err = fmt.Errorf("%w; %w", err, storeErr)
	}
	for _, t := range known {
		if t.AccessToken != refused && s.usable(t, s.opts.env.now()) {
			return t, err
		}
	}
	return nil, err
}

// candidates are the tokens at hand, the one issued last first. Another process may have refreshed the one in the
// store; then ours is the past.
func (s *Session) candidates(cur *Token) ([]*Token, error) {
	var known []*Token
	if cur != nil {
		known = append(known, cur)
	}
	if s.opts.Store == nil {
		return known, nil
	}
	t, err := s.opts.Store.Load(s.ctx)
	if err != nil {
		err = fmt.Errorf("client: loading the stored token: %w", err)
		s.opts.OnError(err)
		return known, err
	}
	if t == nil || t.Owner != s.owner {
		return known, nil
	}
	switch {
	case cur == nil || t.IssuedAt.After(cur.IssuedAt):
		known = append([]*Token{s.own(t)}, known...)
	case t.RefreshToken != cur.RefreshToken:
		known = append(known, s.own(t))
	}
	return known, nil
}

// renew asks the server: refresh first, then login.
func (s *Session) renew(known []*Token) (*Token, error) {
	var last error
	for _, old := range known {
		if old.RefreshToken == "" || s.dead[old.RefreshToken] {
			continue
		}
		t, err := s.try(func(ctx context.Context) (*Token, error) { return s.grant.refresh(ctx, old) })
		if err == nil {
			return after(old, t), nil
		}
		if !refused(err) {
			return nil, err
		}
		s.dead[old.RefreshToken] = true
		last = err
	}
	if !s.grant.canLogin() {
		return nil, loginRequired(last)
	}
	return s.try(s.grant.login)
}

// after completes a refresh answer with what it left out because it did not change.
func after(old, t *Token) *Token {
	if t.RefreshToken == "" {
		t.RefreshToken = old.RefreshToken
	}
	if t.Subject == "" {
		t.Subject = old.Subject
	}
	if t.Scope == "" {
		t.Scope = old.Scope
	}
	if t.IDToken == "" {
		t.IDToken = old.IDToken
	}
	return t
}

// try repeats a request that got no answer. A refresh is repeated with the same refresh token, never given up for
// another: the lost answer may have rotated it, and within the grace time the server gives that same answer again.
func (s *Session) try(do func(context.Context) (*Token, error)) (*Token, error) {
	for n := 0; ; n++ {
		t, err := s.once(do)
		if err == nil {
			return t, nil
		}
		wait := retryAfter(err)
		if s.ctx.Err() != nil || !temporary(err) || n+1 == attempts || wait > longestWait {
			return nil, err
		}
		if s.opts.env.sleep(s.ctx, max(wait, s.backoff(firstPause, n))) != nil {
			return nil, err
		}
	}
}

func (s *Session) once(do func(context.Context) (*Token, error)) (*Token, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
	defer cancel()
	return do(ctx)
}

// kept makes t ours and saves it, before anybody uses it: a process that dies afterwards finds the rotated refresh
// token. A Store that fails costs the next login, not this token.
func (s *Session) kept(t *Token) *Token {
	t = s.born(s.own(t))
	if s.opts.Store != nil {
		// Not s.ctx: a token that Close meets on its way is worth keeping.
		if err := s.opts.Store.Save(context.WithoutCancel(s.ctx), t); err != nil {
			s.opts.OnError(fmt.Errorf("client: saving the token: %w", err))
		}
	}
	return t
}
