package core_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
)

// hooked is the real store with a hook before the methods that matter: it may
// wait, act or fail.
type hooked struct {
	core.Store
	mu     sync.Mutex
	before func(method string) error

	reserved atomic.Pointer[core.ReserveParams] // the last attempt asked for
	// log, if set, is what the log of facts reads as: a failover lost some.
	log atomic.Pointer[func([]core.Fact, int64) ([]core.Fact, int64)]
}

// errDisk is a failure no store documents.
var errDisk = errors.New("disk I/O error")

func (h *hooked) hook(f func(method string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = f
}

// once runs f before the first call of a method, outside any lock.
func (h *hooked) once(method string, f func()) {
	var ran atomic.Bool
	h.hook(func(m string) error {
		if m == method && !ran.Swap(true) {
			f()
		}
		return nil
	})
}

// breakAll makes every hooked method fail.
func (h *hooked) breakAll() { h.hook(func(string) error { return errDisk }) }

func (h *hooked) mend() { h.hook(nil) }

func (h *hooked) at(method string) error {
	h.mu.Lock()
	f := h.before
	h.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(method)
}

func (h *hooked) AccountByShortname(ctx context.Context, n string) (*core.Account, error) {
	if err := h.at("AccountByShortname"); err != nil {
		return nil, err
	}
	return h.Store.AccountByShortname(ctx, n)
}

func (h *hooked) UserByLogin(ctx context.Context, a, c string) (*core.UserRecord, error) {
	if err := h.at("UserByLogin"); err != nil {
		return nil, err
	}
	return h.Store.UserByLogin(ctx, a, c)
}

func (h *hooked) UserByID(ctx context.Context, id string) (*core.UserRecord, error) {
	if err := h.at("UserByID"); err != nil {
		return nil, err
	}
	return h.Store.UserByID(ctx, id)
}

func (h *hooked) ChangeUser(ctx context.Context, p *core.ChangeUserParams) (*core.User, error) {
	if err := h.at("ChangeUser"); err != nil {
		return nil, err
	}
	return h.Store.ChangeUser(ctx, p)
}

func (h *hooked) UpgradeHash(ctx context.Context, p *core.UpgradeHashParams) (bool, error) {
	if err := h.at("UpgradeHash"); err != nil {
		return false, err
	}
	return h.Store.UpgradeHash(ctx, p)
}

func (h *hooked) ReserveAttempt(ctx context.Context, p *core.ReserveParams) (*core.Reservation, error) {
	if err := h.at("ReserveAttempt"); err != nil {
		return nil, err
	}
	res, err := h.Store.ReserveAttempt(ctx, p)
	h.reserved.Store(p)
	if herr := h.at("ReserveAttempt done"); herr != nil {
		return nil, herr
	}
	return res, err
}

func (h *hooked) SettleAttempt(ctx context.Context, p *core.SettleParams) error {
	if err := h.at("SettleAttempt"); err != nil {
		return err
	}
	return h.Store.SettleAttempt(ctx, p)
}

func (h *hooked) OpenSession(ctx context.Context, p *core.OpenSessionParams) (*core.OpenResult, error) {
	if err := h.at("OpenSession"); err != nil {
		return nil, err
	}
	return h.Store.OpenSession(ctx, p)
}

func (h *hooked) SessionByID(ctx context.Context, id core.SessionID) (*core.Session, *core.Subject, error) {
	if err := h.at("SessionByID"); err != nil {
		return nil, nil, err
	}
	return h.Store.SessionByID(ctx, id)
}

func (h *hooked) RefreshSession(ctx context.Context, p *core.RefreshParams) (*core.RefreshResult, error) {
	if err := h.at("RefreshSession"); err != nil {
		return nil, err
	}
	return h.Store.RefreshSession(ctx, p)
}

func (h *hooked) RevokeSessions(ctx context.Context, p *core.RevokeSessionsParams) (int, error) {
	if err := h.at("RevokeSessions"); err != nil {
		return 0, err
	}
	return h.Store.RevokeSessions(ctx, p)
}

func (h *hooked) ChangeApplicationToken(ctx context.Context, p *core.ChangeApplicationTokenParams) (*core.ApplicationToken, error) {
	if err := h.at("ChangeApplicationToken"); err != nil {
		return nil, err
	}
	return h.Store.ChangeApplicationToken(ctx, p)
}

func (h *hooked) MintApplicationToken(ctx context.Context, p *core.MintParams) (core.MintVerdict, error) {
	if err := h.at("MintApplicationToken"); err != nil {
		return "", err
	}
	return h.Store.MintApplicationToken(ctx, p)
}

func (h *hooked) ApplicationTokenByHash(ctx context.Context, hash [32]byte) (*core.ApplicationToken, *core.Subject, error) {
	if err := h.at("ApplicationTokenByHash"); err != nil {
		return nil, nil, err
	}
	a, subj, err := h.Store.ApplicationTokenByHash(ctx, hash)
	if herr := h.at("ApplicationTokenByHash done"); herr != nil {
		return nil, nil, herr
	}
	return a, subj, err
}

func (h *hooked) APIKeyByName(ctx context.Context, a, n string) (*core.APIKeyRecord, error) {
	if err := h.at("APIKeyByName"); err != nil {
		return nil, err
	}
	return h.Store.APIKeyByName(ctx, a, n)
}

func (h *hooked) ExchangeRequestToken(ctx context.Context, p *core.ExchangeParams) (*core.ExchangeResult, error) {
	if err := h.at("ExchangeRequestToken"); err != nil {
		return nil, err
	}
	return h.Store.ExchangeRequestToken(ctx, p)
}

func (h *hooked) FactsSince(ctx context.Context, n int64, limit int) ([]core.Fact, int64, error) {
	if err := h.at("FactsSince"); err != nil {
		return nil, 0, err
	}
	facts, last, err := h.Store.FactsSince(ctx, n, limit)
	if f := h.log.Load(); f != nil && err == nil {
		facts, last = (*f)(facts, last)
	}
	return facts, last, err
}
