package postgres

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

// The names of the budgets in a core.Reservation.
const (
	budgetKnown    = "known"
	budgetStranger = "stranger"
)

// reserve is the transition that limit.Policy describes, in one statement: the
// row is locked while it is asked, so attempts over any number of nodes never
// exceed the budget. $5 now, $6 and $7 the interval for strangers and known
// networks, $8 and $9 the latest time that leaves one attempt (now + (burst-1)
// intervals).
const reserve = `WITH b AS (
		SELECT CASE WHEN k THEN $3 ELSE '' END AS network, CASE WHEN k THEN $7::bigint ELSE $6::bigint END AS interval, CASE WHEN k THEN $9::bigint ELSE $8::bigint END AS latest
		FROM (SELECT $2 <> '' AND EXISTS (SELECT 1 FROM known_networks WHERE user_id = $2 AND network = $3 AND last_used > $4) AS k) x
	), r AS (
		INSERT INTO attempts AS a (key, network, tat) SELECT $1::uuid, b.network, $5::bigint + b.interval FROM b
		ON CONFLICT (key, network) DO UPDATE SET tat =
				least(greatest(a.tat, $5), (SELECT latest FROM b)) + (SELECT interval FROM b)
			WHERE a.tat <= (SELECT latest FROM b) OR a.tat > (SELECT latest + 2 * interval FROM b)
		RETURNING a.tat
	)
	SELECT b.network <> '', b.interval, b.latest, coalesce((SELECT tat FROM r), 0), EXISTS (SELECT 1 FROM r) FROM b`

// ReserveAttempt implements core.Attempts.
func (s *Store) ReserveAttempt(ctx context.Context, p *core.ReserveParams) (*core.Reservation, error) {
	user := p.User
	if p.ForceBudget == budgetStranger || p.Network == "" {
		user = ""
	}
	strangers, known := max(p.Stranger.Interval, 1), max(p.Known.Interval, 1)
	r := &core.Reservation{}
	err := s.single(ctx, false, func(c *conn) error {
		var isKnown bool
		var interval, latest, tat int64
		*r = core.Reservation{Budget: budgetStranger}
		err := c.row(reserve, [16]byte(p.Key), user, p.Network, p.KnownAfter, p.Now, strangers, known,
			p.Now+(max(p.Stranger.Burst, 1)-1)*strangers, p.Now+(max(p.Known.Burst, 1)-1)*known).Scan(&isKnown, &interval, &latest, &tat, &r.Allowed)
		if err != nil {
			return err
		}
		network := ""
		if isKnown {
			r.Budget, network = budgetKnown, p.Network
		}
		if !r.Allowed {
			err := c.row(`SELECT tat FROM attempts WHERE key = $1 AND network = $2`, [16]byte(p.Key), network).Scan(&tat)
			if isNoRow(err) {
				tat, err = latest+interval, nil // purged this moment
			}
			if err != nil {
				return err
			}
			r.RetryAfter = tat - latest
		}
		r.Failures = (max(tat-p.Now, 0) + interval - 1) / interval
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// SettleAttempt implements core.Attempts.
func (s *Store) SettleAttempt(ctx context.Context, p *core.SettleParams) error {
	return s.multi(ctx, func(t *tx) error { return settleAttempt(t.conn, p) })
}

// settleAttempt gives back what limit.Policy's Settle would. A row that was
// purged meanwhile is a whole budget already.
func settleAttempt(c *conn, p *core.SettleParams) error {
	network := ""
	if p.Budget == budgetKnown {
		network = p.Network
	}
	var err error
	switch {
	case p.Outcome == core.AttemptFailed:
	case p.Outcome == core.AttemptSucceeded && p.Limit.ForgiveOnSuccess:
		_, err = c.exec(`UPDATE attempts SET tat = 0 WHERE key = $1 AND network = $2`, [16]byte(p.Key), network)
	default:
		_, err = c.exec(`UPDATE attempts SET tat = tat - $1 WHERE key = $2 AND network = $3`, max(p.Limit.Interval, 1), [16]byte(p.Key), network)
	}
	if err != nil || !p.Learn || p.User == "" || p.Network == "" {
		return err
	}
	_, err = c.exec(`INSERT INTO known_networks AS k (user_id, network, last_used) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, network) DO UPDATE SET last_used = greatest(k.last_used, excluded.last_used)`, p.User, p.Network, p.Now)
	return err
}

// UnlockAttempts implements core.Attempts: it makes every budget of the name
// whole, those of known networks too.
func (s *Store) UnlockAttempts(ctx context.Context, p *core.UnlockParams) error {
	return s.multi(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM attempts WHERE key = $1`, [16]byte(p.Key))
		t.audit(p.Now, p.Event)
		return err
	})
}

// KnownNetworks implements core.Attempts, the last used first.
func (s *Store) KnownNetworks(ctx context.Context, user string) (all []core.KnownNetwork, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, func(row scanner) (k core.KnownNetwork, err error) {
			return k, row.Scan(&k.User, &k.Network, &k.LastUsed)
		}, `SELECT user_id, network, last_used FROM known_networks WHERE user_id = $1 ORDER BY last_used DESC, network LIMIT 1000`, user)
		return err
	})
	return all, err
}
