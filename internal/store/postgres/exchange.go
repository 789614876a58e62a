package postgres

import (
	"context"
	"errors"
	"maps"

	"github.com/sallyport/sallyport/internal/core"
)

// ExchangeRequestToken implements core.APIKeys. A refusal by the gate leaves
// nothing behind: the same token may be tried again once the gate would hold.
func (s *Store) ExchangeRequestToken(ctx context.Context, p *core.ExchangeParams) (*core.ExchangeResult, error) {
	var res *core.ExchangeResult
	err := s.multi(ctx, func(t *tx) (err error) {
		res, err = t.exchange(p)
		return err
	})
	if errors.Is(err, core.ErrStale) {
		return &core.ExchangeResult{Verdict: core.ExchangeStale}, nil
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// exchange claims the token first: whoever brings the same one meanwhile, on
// whichever node, waits for this step's end.
func (t *tx) exchange(p *core.ExchangeParams) (*core.ExchangeResult, error) {
	n, err := t.exec(`INSERT INTO request_tokens (hash, address, accepted_at, remember_until, session) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (hash) DO NOTHING`, p.TokenHash[:], p.Address, p.Open.Now, p.RememberUntil, p.Open.Session.ID.Key)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return t.secondArrival(p)
	}
	open, err := t.openSession(&p.Open)
	if err != nil {
		return nil, err
	}
	return &core.ExchangeResult{Verdict: core.Exchanged, Session: open.Session, Subject: open.Subject}, nil
}

// secondArrival answers a request token that is known already. A twin gets
// tokens, so it passes the same gate as the first.
func (t *tx) secondArrival(p *core.ExchangeParams) (*core.ExchangeResult, error) {
	var address string
	var at int64
	var key [16]byte
	err := t.row(`SELECT address, accepted_at, session FROM request_tokens WHERE hash = $1`, p.TokenHash[:]).Scan(&address, &at, &key)
	if isNoRow(err) {
		// Purged between the two statements: its window is over, and so is it.
		return &core.ExchangeResult{Verdict: core.ExchangeReplayed}, nil
	}
	if err != nil {
		return nil, err
	}
	res := &core.ExchangeResult{Verdict: core.JudgeTwin(at, address, p.Open.Now, p.Address), FirstAddress: address}
	if res.Verdict != core.ExchangeTwin {
		event := p.ReplayEvent
		event.Detail = maps.Clone(event.Detail)
		if event.Detail == nil {
			event.Detail = make(map[string]string, 2)
		}
		event.Detail["first_address"], event.Detail["second_address"] = address, p.Address
		t.audit(p.Open.Now, event)
		return res, nil
	}
	sess, subj, err := loadSession(t.conn, key)
	g := &p.Open.Gate
	switch {
	case isNoRow(err):
		res.Verdict = core.ExchangeEnded
	case err != nil:
		return nil, err
	case sess.RevokedAt != 0 || p.Open.Now >= sess.Deadline(nil):
		res.Verdict = core.ExchangeEnded
	case subj == nil || !subj.Live() || sess.Subject != g.Subject || subj.Version != g.Version || subj.AccountVersion != g.AccountVersion:
		res.Verdict = core.ExchangeStale
	default:
		res.Session, res.Subject = sess, subj
	}
	return res, nil
}
