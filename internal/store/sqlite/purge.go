package sqlite

import (
	"context"
	"errors"
	"math"

	"github.com/sallyport/sallyport/internal/core"
)

const (
	// purgeChunk is how many rows one step removes: a few milliseconds.
	purgeChunk = 100
	// endedKeptMS is how long an ended session's row stays: while its access
	// tokens may still live, its subject can end it by name.
	endedKeptMS = 24 * 3600 * 1000
	// revokedKeptMS is how long the row of a revoked application token stays,
	// so that an operator can still see what the refused string was.
	revokedKeptMS = 90 * 24 * 3600 * 1000
)

// purges are the kinds that an index finds; ?1 is the time up to which rows
// are over, ?2 how many may go.
var purges = []struct {
	kind  string
	back  int64 // how long before now rows were over
	query string
}{
	{"facts", 0, `DELETE FROM facts WHERE number IN (SELECT number FROM facts WHERE purge_at > 0 AND purge_at <= ?1 LIMIT ?2)`},
	{"request_tokens", 0, `DELETE FROM request_tokens WHERE hash IN (SELECT hash FROM request_tokens WHERE remember_until <= ?1 LIMIT ?2)`},
	{"attempts", 0, `DELETE FROM attempts WHERE (key, network) IN (SELECT key, network FROM attempts WHERE tat <= ?1 LIMIT ?2)`},
	{"known_networks", core.KnownNetworkMS, `DELETE FROM known_networks WHERE (user, network) IN (SELECT user, network FROM known_networks WHERE last_used <= ?1 LIMIT ?2)`},
	{"login_names", 0, `DELETE FROM login_names WHERE (account, name) IN (SELECT account, name FROM login_names WHERE reserved_until IS NOT NULL AND reserved_until <= ?1 LIMIT ?2)`},
	{"codes", core.CodeKeptMS, `DELETE FROM oauth_codes WHERE hash IN (SELECT hash FROM oauth_codes WHERE expires_at <= ?1 LIMIT ?2)`},
	{"assertions", 0, `DELETE FROM oauth_assertions WHERE hash IN (SELECT hash FROM oauth_assertions WHERE remember_until <= ?1 LIMIT ?2)`},
	{"status_blocks", core.StatusOpenMS, `DELETE FROM status_blocks WHERE (space, first) IN (SELECT space, first FROM status_blocks WHERE reserved_at <= ?1 LIMIT ?2)`},
	{"status_burnt", core.StatusOpenMS, `DELETE FROM status_burnt WHERE number IN (SELECT number FROM status_burnt WHERE at <= ?1 LIMIT ?2)`},
	{"application_tokens", revokedKeptMS, `DELETE FROM app_tokens WHERE id IN (SELECT id FROM app_tokens WHERE revoked_at > 0 AND revoked_at <= ?1 LIMIT ?2)`},
}

// Purge implements core.Store. Ended sessions stand in no index, which a
// refresh would have to maintain; they are found by walking the table, some
// thousand rows a call, on a reading connection.
// More stays true until the walk has come around.
func (s *Store) Purge(ctx context.Context, now int64, limit int) (*core.PurgeReport, error) {
	if limit <= 0 {
		limit = 1000
	}
	report := &core.PurgeReport{Removed: make(map[string]int)}
	for _, p := range purges {
		for gone := 0; ; {
			part := min(purgeChunk, limit-gone)
			if part == 0 {
				report.More = true
				break
			}
			n, err := s.purgeSome(ctx, p.query, now-p.back, part)
			if err != nil {
				return report, err
			}
			report.Removed[p.kind] += n
			if gone += n; n < part {
				break
			}
		}
	}
	n, more, err := s.purgeSessions(ctx, now, limit)
	report.Removed["sessions"] += n
	report.More = report.More || more
	return report, err
}

func (s *Store) purgeSome(ctx context.Context, query string, until int64, part int) (int, error) {
	var n int64
	err := s.single(ctx, func(t *tx) (err error) {
		n, err = t.exec(query, until, part)
		return err
	})
	return int(n), err
}

// sessionOver is true for a session whose deadline is at or before ?1.
const sessionOver = `(refresh_expires <= ?1 OR (absolute_ms > 0 AND created_at + absolute_ms <= ?1))`

// purgeSessions looks at the next part of the table and removes what is over
// there, asking again inside the step: a refresh may have come between.
func (s *Store) purgeSessions(ctx context.Context, now int64, limit int) (removed int, more bool, err error) {
	until := now - endedKeptMS
	window := max(10*limit, 1000)
	from := s.cursor.Load()
	var over []int64
	var last int64 // of the window; 0 when it reaches the end
	err = s.snapshot(ctx, func(c *conn) error {
		err := noRow(c.row(`SELECT rowid FROM sessions WHERE rowid > ? ORDER BY rowid LIMIT 1 OFFSET ?`, from, window-1).Scan(&last))
		if err != nil && !errors.Is(err, core.ErrNoRow) {
			return err
		}
		return c.each(func(row scanner) error {
			var id int64
			err := row.Scan(&id)
			over = append(over, id)
			return err
		}, `SELECT rowid FROM (SELECT rowid, `+sessionOver+` AS over FROM sessions WHERE rowid > ?2 ORDER BY rowid LIMIT ?3) WHERE over LIMIT ?4`,
			until, from, window, limit)
	})
	if err != nil {
		return 0, true, err
	}
	if len(over) == limit {
		last = over[limit-1] // the rest of the window waits for the next call
	}
	for _, part := range chunks(over, purgeChunk) {
		var n int64
		err = s.multi(ctx, func(t *tx) error {
			n = 0
			for _, id := range part {
				one, err := t.exec(`DELETE FROM sessions WHERE rowid = ?2 AND `+sessionOver, until, id)
				if err != nil {
					return err
				}
				n += one
			}
			return nil
		})
		if err != nil {
			return removed, true, err
		}
		removed += int(n)
	}
	s.cursor.Store(last) // 0: around, begin again next time
	return removed, last != 0, nil
}

// forever is the end date of what has none.
const forever = int64(math.MaxInt64)
