package postgres

import "context"

// For who carries a store into another: see package dump.

// Serving lists the processes that serve the store now, by the table of nodes.
func (s *Store) Serving(ctx context.Context) (all []Node, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, func(row scanner) (Node, error) { return scanNode(row) },
			`SELECT id, name, version, serves, started_at, clock - seen_at FROM nodes WHERE seen_at > `+nowMS+` - $1 ORDER BY id`, int64(aliveMS))
		return err
	})
	return all, err
}

// Analyze tells the server's planner what is in the tables. It would find out
// by itself minutes later, and meanwhile read whole tables where an index would
// do.
func (s *Store) Analyze(ctx context.Context) error {
	return s.view(ctx, func(c *conn) error {
		_, err := c.exec(`ANALYZE`)
		return err
	})
}

// CleanText is a text as the server can hold it: without NUL, and valid UTF-8.
// SQLite takes any bytes, so what comes from there is compared in this form.
func CleanText(s string) string { return cleanText(s) }
