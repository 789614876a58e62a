package sqlite

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

// The names of the budgets in a core.Reservation.
const (
	budgetKnown    = "known"
	budgetStranger = "stranger"
)

// reserve is the transition that limit.Policy describes: ?3 now, ?4 interval,
// ?5 the latest time that leaves one attempt (now + (burst-1) intervals).
const reserve = `INSERT INTO attempts (key, network, tat) VALUES (?1, ?2, ?3 + ?4)
	ON CONFLICT DO UPDATE SET tat = min(max(tat, ?3), ?5) + ?4 WHERE tat <= ?5 OR tat > ?5 + 2 * ?4
	RETURNING tat`

// ReserveAttempt implements core.Attempts.
func (s *Store) ReserveAttempt(ctx context.Context, p *core.ReserveParams) (*core.Reservation, error) {
	var r *core.Reservation
	err := s.single(ctx, func(t *tx) (err error) {
		r, err = t.reserveAttempt(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (t *tx) reserveAttempt(p *core.ReserveParams) (*core.Reservation, error) {
	r := &core.Reservation{Budget: budgetStranger}
	limit, network := p.Stranger, ""
	if p.User != "" && p.ForceBudget != budgetStranger {
		var known bool
		err := t.row(`SELECT EXISTS (SELECT 1 FROM known_networks WHERE user = ? AND network = ? AND last_used > ?)`,
			p.User, p.Network, p.KnownAfter).Scan(&known)
		if err != nil {
			return nil, err
		}
		if known {
			r.Budget, limit, network = budgetKnown, p.Known, p.Network
		}
	}
	interval := max(limit.Interval, 1)
	last := p.Now + (max(limit.Burst, 1)-1)*interval
	var tat int64
	err := noRow(t.row(reserve, p.Key[:], network, p.Now, interval, last).Scan(&tat))
	switch {
	case err == nil:
		r.Allowed = true
	case errors.Is(err, core.ErrNoRow):
		if err := t.row(`SELECT tat FROM attempts WHERE key = ? AND network = ?`, p.Key[:], network).Scan(&tat); err != nil {
			return nil, err
		}
		r.RetryAfter = tat - last
	default:
		return nil, err
	}
	r.Failures = (max(tat-p.Now, 0) + interval - 1) / interval
	return r, nil
}

// SettleAttempt implements core.Attempts.
func (s *Store) SettleAttempt(ctx context.Context, p *core.SettleParams) error {
	return s.multi(ctx, func(t *tx) error { return t.settleAttempt(p) })
}

// settleAttempt gives back what limit.Policy's Settle would. A row that was
// purged meanwhile is a whole budget already.
func (t *tx) settleAttempt(p *core.SettleParams) error {
	network := ""
	if p.Budget == budgetKnown {
		network = p.Network
	}
	var err error
	switch {
	case p.Outcome == core.AttemptFailed:
	case p.Outcome == core.AttemptSucceeded && p.Limit.ForgiveOnSuccess:
		_, err = t.exec(`UPDATE attempts SET tat = 0 WHERE key = ? AND network = ?`, p.Key[:], network)
	default:
		_, err = t.exec(`UPDATE attempts SET tat = tat - ? WHERE key = ? AND network = ?`, max(p.Limit.Interval, 1), p.Key[:], network)
	}
	if err != nil || !p.Learn || p.User == "" || p.Network == "" {
		return err
	}
	_, err = t.exec(`INSERT INTO known_networks (user, network, last_used) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET last_used = max(last_used, excluded.last_used)`, p.User, p.Network, p.Now)
	return err
}

// UnlockAttempts implements core.Attempts: it makes every budget of the name
// whole, those of known networks too.
func (s *Store) UnlockAttempts(ctx context.Context, p *core.UnlockParams) error {
	return s.single(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM attempts WHERE key = ?`, p.Key[:]); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return nil
	})
}

// KnownNetworks implements core.Attempts, the last used first.
func (s *Store) KnownNetworks(ctx context.Context, user string) (all []core.KnownNetwork, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			var k core.KnownNetwork
			err := row.Scan(&k.User, &k.Network, &k.LastUsed)
			all = append(all, k)
			return err
		}, `SELECT user, network, last_used FROM known_networks WHERE user = ? ORDER BY last_used DESC, network LIMIT 1000`, user)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
