package postgres

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
)

const accountColumns = `id, shortname, state, version, created_at`

func scanAccount(row scanner) (*core.Account, error) {
	var a core.Account
	err := row.Scan(&a.ID, &a.Shortname, (*string)(&a.State), &a.Version, &a.CreatedAt)
	return &a, err
}

// CreateAccount implements core.Accounts.
func (s *Store) CreateAccount(ctx context.Context, p *core.CreateAccountParams) (*core.Account, error) {
	a := p.Account
	err := s.multi(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO accounts (id, shortname, state, version, created_at) VALUES ($1, $2, $3, $4, $5)`,
			a.ID, a.Shortname, string(a.State), a.Version, a.CreatedAt)
		t.audit(p.Now, p.Event)
		t.news = newsRows
		return taken(err)
	})
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// AccountByShortname implements core.Accounts.
func (s *Store) AccountByShortname(ctx context.Context, shortname string) (*core.Account, error) {
	return s.account(ctx, `SELECT `+accountColumns+` FROM accounts WHERE shortname = $1`, shortname)
}

// AccountByID implements core.Accounts.
func (s *Store) AccountByID(ctx context.Context, id string) (*core.Account, error) {
	return s.account(ctx, `SELECT `+accountColumns+` FROM accounts WHERE id = $1`, id)
}

func (s *Store) account(ctx context.Context, query, arg string) (a *core.Account, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		a, err = scanAccount(c.row(query, arg))
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// ListAccounts implements core.Accounts.
func (s *Store) ListAccounts(ctx context.Context, after string, limit int) (all []*core.Account, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE shortname > $1 ORDER BY shortname LIMIT $2`, after, limitOf(limit))
		return err
	})
	return all, err
}

// SetAccountState implements core.Accounts. From the first step on nothing of
// the account is answered. Its sessions, of which there may be a great many,
// are then ended in small steps; should the process die among them, the rest
// follows before the account becomes active again, so that no session of
// before the fact ever gets tokens that are dead on arrival.
func (s *Store) SetAccountState(ctx context.Context, p *core.SetAccountStateParams) (*core.Account, error) {
	if p.State == core.Active {
		if err := s.endAccountSessions(ctx, p); err != nil {
			return nil, err
		}
	}
	var a *core.Account
	err := s.ending(ctx, p.State != core.Active, func(t *tx) (err error) {
		a, err = t.accountState(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.State != core.Active {
		if err := s.endAccountSessions(ctx, p); err != nil {
			s.log.Warn("store: sessions of an account are still to be ended; it happens before the account is enabled again", "account", p.ID, "err", err)
		}
	}
	return a, nil
}

func (t *tx) accountState(p *core.SetAccountStateParams) (*core.Account, error) {
	a, err := scanAccount(t.row(`UPDATE accounts SET state = $1, version = version + 1 WHERE id = $2 RETURNING `+accountColumns, string(p.State), p.ID))
	if err != nil {
		return nil, err
	}
	if _, err := t.exec(`UPDATE status_lists SET version = version + 1`); err != nil {
		return nil, err
	}
	if p.State != core.Active {
		t.addFact(core.Fact{Kind: core.FactAccount, Subject: p.ID, Reason: string(p.State), At: p.Now, PurgeAt: p.FactPurgeAt})
	}
	// In the same step, unlike the sessions: there are at most some of each
	// application user, and a fact that is missing would never be noticed.
	if err := t.settleTokens("account "+string(p.State), p.Now, `t.account = $1`, p.ID); err != nil {
		return nil, err
	}
	t.audit(p.Now, p.Event)
	t.news = newsRows
	if err := t.flush(); err != nil {
		return nil, err
	}
	if p.State != core.Active {
		_, err = t.exec(`UPDATE accounts SET ended_fact = $1 WHERE id = $2`, t.numbered[0].Number, p.ID)
	}
	return a, err
}

func (s *Store) endAccountSessions(ctx context.Context, p *core.SetAccountStateParams) error {
	const chunk = 200
	for {
		var n int
		err := s.ending(ctx, true, func(t *tx) error {
			ended, err := t.revokeRows(ending{reason: "account", now: p.Now}, `SELECT s.key FROM sessions s JOIN accounts a ON a.id = s.account
				WHERE s.account = $1 AND s.revoked_at = 0 AND s.epoch < a.ended_fact LIMIT $2`, p.ID, chunk)
			n = len(ended)
			return err
		})
		if err != nil {
			return err
		}
		if n < chunk {
			return nil
		}
	}
}
