package sqlite

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

// lastFact is the highest fact number given so far; AUTOINCREMENT keeps it
// when the rows are purged. An SQL expression.
const lastFact = `(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name='facts')`

// addFact appends a fact within a step.
func (t *tx) addFact(f core.Fact) (number int64, err error) {
	err = t.row(`INSERT INTO facts (kind, subject, spare, reason, at, purge_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING number`,
		string(f.Kind), f.Subject, f.Spare, f.Reason, f.At, f.PurgeAt).Scan(&number)
	t.news = true
	return number, err
}

// AddFact implements core.Facts.
func (s *Store) AddFact(ctx context.Context, p *core.AddFactParams) (*core.Fact, error) {
	f := p.Fact
	err := s.ending(ctx, true, func(t *tx) (err error) {
		if f.Number, err = t.addFact(f); err != nil {
			return err
		}
		if r := p.Renumber; r != nil {
			if err := t.renumber(r, p.Now); err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// SkipFacts implements core.Facts.
func (s *Store) SkipFacts(ctx context.Context, p *core.SkipFactsParams) error {
	return s.ending(ctx, true, func(t *tx) error {
		// The table has no row before the first fact.
		_, err := t.exec(`INSERT INTO sqlite_sequence (name, seq) SELECT 'facts', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'facts')`)
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'facts'`, p.Above); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
}

// FactsSince implements core.Facts. limit 0 means 1000; there is no other cap,
// since a starting process wants them all.
func (s *Store) FactsSince(ctx context.Context, n int64, limit int) (facts []core.Fact, last int64, err error) {
	if limit <= 0 {
		limit = 1000
	}
	err = s.snapshot(ctx, func(c *conn) error {
		if err := c.row(`SELECT ` + lastFact).Scan(&last); err != nil {
			return err
		}
		return c.each(func(row scanner) error {
			var f core.Fact
			err := row.Scan(&f.Number, (*string)(&f.Kind), &f.Subject, &f.Spare, &f.Reason, &f.At, &f.PurgeAt)
			facts = append(facts, f)
			return err
		}, `SELECT number, kind, subject, spare, reason, at, purge_at FROM facts WHERE number > ? ORDER BY number LIMIT ?`, n, limit)
	})
	if err != nil {
		return nil, 0, err
	}
	return facts, last, nil
}
