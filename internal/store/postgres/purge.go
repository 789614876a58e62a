package postgres

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

const (
	// purgeChunk is how many rows one step removes: a few milliseconds.
	purgeChunk = 200
	// purgePages is how many pages of the sessions one step looks at.
	purgePages = 128
	// endedKeptMS is how long an ended session's row stays: while its access
	// tokens may still live, its subject can end it by name.
	endedKeptMS = 24 * 3600 * 1000
	// revokedKeptMS is how long the row of a revoked application token stays,
	// so that an operator can still see what the refused string was.
	revokedKeptMS = 90 * 24 * 3600 * 1000

	purgeLock = 8295757104918097510
)

// purges are the kinds that an index finds.
var purges = []struct {
	kind  string
	back  int64  // how long before now rows were over
	table string //
	over  string // $1 is the time up to which rows are over
}{
	{"facts", 0, "facts", "purge_at > 0 AND purge_at <= $1"},
	{"request_tokens", 0, "request_tokens", "remember_until <= $1"},
	{"attempts", 0, "attempts", "tat <= $1"},
	{"known_networks", core.KnownNetworkMS, "known_networks", "last_used <= $1"},
	{"login_names", 0, "login_names", "reserved_until IS NOT NULL AND reserved_until <= $1"},
	{"codes", core.CodeKeptMS, "oauth_codes", "expires_at <= $1"},
	{"assertions", 0, "oauth_assertions", "remember_until <= $1"},
	{"status_blocks", core.StatusOpenMS, "status_blocks", "reserved_at <= $1"},
	{"status_burnt", core.StatusOpenMS, "status_burnt", "at <= $1"},
	{"application_tokens", revokedKeptMS, "app_tokens", "revoked_at > 0 AND revoked_at <= $1"},
}

// purgeOne removes some rows of a table. One node at a time: who does not get
// the lock, which ends with the statement, removes nothing. Rows that a step
// holds are left for the next time.
func purgeOne(table, over string) string {
	return fmt.Sprintf(`WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(%d) AS mine)
		DELETE FROM %s WHERE ctid = ANY (ARRAY (SELECT ctid FROM %[2]s WHERE %[3]s AND (SELECT mine FROM turn) LIMIT $2 FOR UPDATE SKIP LOCKED)) AND %[3]s`,
		purgeLock, table, over)
}

// Purge implements core.Store. Ended sessions stand in no index, which a
// refresh would have to maintain; they are found by walking the pages of the
// table, some at a time, from where the last node stopped.
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
			n, err := s.purgeSome(ctx, purgeOne(p.table, p.over), now-p.back, part)
			if err != nil {
				return report, err
			}
			report.Removed[p.kind] += n
			if gone += n; n < part {
				break
			}
		}
	}
	for removed := 0; removed < limit; {
		n, more, err := s.purgeSessions(ctx, now-endedKeptMS, min(purgeChunk, limit-removed))
		if err != nil {
			return report, err
		}
		removed += n
		report.Removed["sessions"] = removed
		if !more {
			return report, nil
		}
		report.More = true
		if n < purgeChunk {
			break // the pages looked at are clean; the next call goes on
		}
	}
	return report, nil
}

func (s *Store) purgeSome(ctx context.Context, query string, until int64, part int) (int, error) {
	var n int64
	err := s.single(ctx, true, func(c *conn) (err error) {
		n, err = c.exec(query, until, part)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// purgeSessions looks at the next pages and removes what is over there. It
// goes on past them only when it found less than it may remove.
func (s *Store) purgeSessions(ctx context.Context, until int64, part int) (int, bool, error) {
	var removed int
	var more bool
	err := s.multi(ctx, func(t *tx) error {
		removed, more = 0, false
		var mine bool
		if err := t.row(`SELECT pg_try_advisory_xact_lock($1)`, int64(purgeLock)).Scan(&mine); err != nil || !mine {
			return err
		}
		var page, pages int64
		err := t.row(`SELECT page, pg_relation_size('sessions') / current_setting('block_size')::bigint FROM purge_cursor FOR UPDATE`).Scan(&page, &pages)
		if err != nil {
			return err
		}
		if page >= pages {
			page = 0
		}
		const over = `(refresh_expires <= $1 OR (absolute_ms > 0 AND created_at + absolute_ms <= $1))`
		n, err := t.exec(`DELETE FROM sessions WHERE ctid = ANY (ARRAY (SELECT ctid FROM sessions
				WHERE ctid >= format('(%s,0)', $3::bigint)::tid AND ctid < format('(%s,0)', $4::bigint)::tid AND `+over+` LIMIT $2 FOR UPDATE SKIP LOCKED)) AND `+over,
			until, part, page, page+purgePages)
		if err != nil {
			return err
		}
		if removed = int(n); removed < part {
			page += purgePages
		}
		if more = page < pages; !more {
			page = 0 // around: begin again next time
		}
		_, err = t.exec(`UPDATE purge_cursor SET page = $1`, page)
		return err
	})
	if err != nil {
		return 0, true, err
	}
	return removed, more, nil
}
