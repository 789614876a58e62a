package postgres

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

// AddFact implements core.Facts.
func (s *Store) AddFact(ctx context.Context, p *core.AddFactParams) (*core.Fact, error) {
	var f core.Fact
	err := s.ending(ctx, true, func(t *tx) error {
		if r := p.Renumber; r != nil {
			if err := t.renumber(r, p.Now); err != nil {
				return err
			}
		}
		if p.Fact.Kind == core.FactEverything {
			if _, err := t.exec(`UPDATE status_lists SET version = version + 1 WHERE space = 'sessions'`); err != nil {
				return err
			}
		}
		t.addFact(p.Fact)
		t.audit(p.Now, p.Event)
		if err := t.flush(); err != nil {
			return err
		}
		f = t.numbered[0]
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
		t.audit(p.Now, p.Event)
		t.news = newsRows
		if err := t.flush(); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE fact_counter SET last = greatest(last, $1), timeline = `+s.timeline, p.Above)
		return err
	})
}

// FactsSince implements core.Facts. limit 0 means 1000; there is no other cap,
// since a starting process wants them all. A serving node hears only what a
// server says that still confirms its writes.
func (s *Store) FactsSince(ctx context.Context, n int64, limit int) (facts []core.Fact, last int64, err error) {
	if limit <= 0 {
		limit = 1000
	}
	if err := s.prove(ctx); err != nil {
		return nil, 0, err
	}
	err = s.viewOn(ctx, s.aside, func(c *conn) error {
		// One statement sees one state: the highest number and the facts up to it.
		facts, err = collect(c, func(row scanner) (f core.Fact, err error) {
			return f, row.Scan(&last, &f.Number, (*string)(&f.Kind), &f.Subject, &f.Spare, &f.Reason, &f.At, &f.PurgeAt)
		}, `SELECT c.last, coalesce(f.number, 0), coalesce(f.kind, ''), coalesce(f.subject, ''), coalesce(f.spare, ''), coalesce(f.reason, ''), coalesce(f.at, 0), coalesce(f.purge_at, 0)
			FROM fact_counter c LEFT JOIN (SELECT * FROM facts WHERE number > $1 ORDER BY number LIMIT $2) f ON true ORDER BY f.number`, n, limit)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if len(facts) == 1 && facts[0].Number == 0 {
		facts = nil
	}
	return facts, last, nil
}
