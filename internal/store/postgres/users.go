package postgres

import (
	"cmp"
	"context"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

const userColumns = `u.id, u.account, u.type, u.state, u.username, u.username_canon, u.email, u.email_canon, u.email_verified,
	u.roles, u.attributes, u.password_hash, u.version, u.created_at, u.updated_at, u.password_at, u.last_login_at, u.last_login_from`

const userRecordSelect = `SELECT ` + userColumns + `, a.shortname, a.state, a.version FROM users u JOIN accounts a ON a.id = u.account `

func userTargets(u *core.User) []any {
	return []any{
		&u.ID, &u.Account, (*string)(&u.Type), (*string)(&u.State), &u.Username, &u.UsernameCanon, &u.Email, &u.EmailCanon, &u.EmailVerified,
		list{&u.Roles},
		&u.Attributes, &u.PasswordHash, &u.Version, &u.CreatedAt, &u.UpdatedAt, &u.PasswordAt, &u.LastLoginAt, &u.LastLoginFrom,
	}
}

func scanUserRecord(row scanner) (*core.UserRecord, error) {
	var u core.UserRecord
	err := row.Scan(append(userTargets(&u.User), &u.AccountShortname, (*string)(&u.AccountState), &u.AccountVersion)...)
	return &u, err
}

// CreateUser implements core.Users.
func (s *Store) CreateUser(ctx context.Context, p *core.CreateUserParams) (*core.User, error) {
	u := p.User
	if len(u.Attributes) == 0 {
		u.Attributes = []byte("{}")
	}
	err := s.multi(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO users (id, account, type, state, username, username_canon, email, email_canon, email_verified,
			roles, attributes, password_hash, password_format, version, created_at, updated_at, password_at, last_login_at, last_login_from)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
			u.ID, u.Account, string(u.Type), string(u.State), u.Username, u.UsernameCanon, u.Email, u.EmailCanon, u.EmailVerified,
			encodeList(u.Roles), string(u.Attributes), u.PasswordHash, core.HashFormat(u.PasswordHash), u.Version, u.CreatedAt, u.UpdatedAt, u.PasswordAt, u.LastLoginAt, u.LastLoginFrom)
		if err != nil {
			return taken(err)
		}
		for _, name := range namesOf(&u) {
			if err := t.claim(&u, name, p.Now); err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		t.news = newsRows
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// UserByID implements core.Users. That a user is gone may be the answer to who
// deletes him once more, so it is confirmed.
func (s *Store) UserByID(ctx context.Context, id string) (*core.UserRecord, error) {
	query := userRecordSelect + `WHERE u.id = $1`
	u, err := s.userRecord(ctx, s.view, query, id)
	if err == nil && u.State == core.Deleted {
		return s.userRecord(ctx, s.viewConfirmed, query, id)
	}
	return u, err
}

// UserByLogin implements core.Users.
func (s *Store) UserByLogin(ctx context.Context, account, canonical string) (*core.UserRecord, error) {
	return s.userRecord(ctx, s.view, userRecordSelect+`JOIN login_names n ON n.user_id = u.id
		WHERE n.account = $1 AND n.name = $2 AND n.reserved_until IS NULL AND u.state <> 'deleted'
		AND (u.username_canon = $2 OR (u.email_canon = $2 AND u.email_verified))`, account, canonical)
}

// reading is view, snapshot or viewConfirmed.
type reading func(context.Context, func(*conn) error) error

func (s *Store) userRecord(ctx context.Context, read reading, query string, args ...any) (u *core.UserRecord, err error) {
	err = read(ctx, func(c *conn) (err error) {
		u, err = scanUserRecord(c.row(query, args...))
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// ListUsers implements core.Users.
func (s *Store) ListUsers(ctx context.Context, q core.UserQuery) (all []*core.UserRecord, err error) {
	f := filter{where: []string{"u.state <> 'deleted'"}}
	f.text("u.account", q.Account)
	if q.After != "" {
		f.and("u.username_canon >", q.After)
	}
	query := userRecordSelect + `WHERE ` + f.String() + ` ORDER BY u.account, u.username_canon LIMIT ` + f.arg(limitOf(q.Limit))
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, scanUserRecord, query, f.args...)
		return err
	})
	return all, err
}

// lockUser reads a user that is not deleted and keeps others from changing it
// until the step is over.
func (t *tx) lockUser(id string) (*core.User, error) {
	var u core.User
	err := t.row(`SELECT `+userColumns+` FROM users u WHERE u.id = $1 AND u.state <> 'deleted' FOR NO KEY UPDATE`, id).Scan(userTargets(&u)...)
	return &u, err
}

// ChangeUser implements core.Users.
func (s *Store) ChangeUser(ctx context.Context, p *core.ChangeUserParams) (*core.User, error) {
	var after core.User
	err := s.ending(ctx, p.Effects.EndSessions, func(t *tx) error {
		before, err := t.lockUser(p.ID)
		if err != nil {
			return err
		}
		if p.IfVersion != 0 && p.IfVersion != before.Version {
			return core.ErrStale
		}
		after = p.Apply(before)
		if err := t.rename(before, &after, p.NamesReservedUntil, p.Now); err != nil {
			return err
		}
		if err := t.storeUser(&after); err != nil {
			return err
		}
		if err := t.userEffects(p); err != nil {
			return err
		}
		if before.State != after.State || before.Type != after.Type {
			if err := t.tokenListsOf(p.ID); err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		t.news = newsRows
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &after, nil
}

func (t *tx) storeUser(u *core.User) error {
	_, err := t.exec(`UPDATE users SET type = $1, state = $2, username = $3, username_canon = $4, email = $5, email_canon = $6, email_verified = $7,
		roles = $8, attributes = $9, password_hash = $10, password_format = $11, version = $12, updated_at = $13, password_at = $14 WHERE id = $15`,
		string(u.Type), string(u.State), u.Username, u.UsernameCanon, u.Email, u.EmailCanon, u.EmailVerified,
		encodeList(u.Roles), string(u.Attributes), u.PasswordHash, core.HashFormat(u.PasswordHash), u.Version, u.UpdatedAt, u.PasswordAt, u.ID)
	return err
}

// userEffects carries out the consequences of a change.
func (t *tx) userEffects(p *core.ChangeUserParams) error {
	end := ending{reason: cmp.Or(p.FactReason, "user"), purgeAt: p.FactPurgeAt, now: p.Now}
	if p.Effects.SuspendSessionTokens {
		// Before the sessions end: which ones these are is read from their rows.
		if err := t.suspendTokensOfLiveSessions(p.ID, p.Effects.SpareSession); err != nil {
			return err
		}
	}
	if p.Effects.EndSessions {
		if err := t.endSubject(core.FactUser, p.ID, p.Effects.SpareSession, end); err != nil {
			return err
		}
	}
	if p.Patch.State != nil && *p.Patch.State != core.Active {
		if err := t.endKeySessionsOfOwner(p.ID, end); err != nil {
			return err
		}
	}
	if p.Effects.RevokeApplicationToken {
		if err := t.revokeTokensOfUser(p.ID, end); err != nil {
			return err
		}
	}
	if p.Effects.DeleteAPIKeys {
		if err := t.deleteKeysOfOwner(p.ID, end); err != nil {
			return err
		}
	}
	return t.settleTokens(end.reason, end.now, `t.user_id = $1`, p.ID)
}

// DeleteUser implements core.Users.
func (s *Store) DeleteUser(ctx context.Context, p *core.DeleteUserParams) error {
	return s.ending(ctx, true, func(t *tx) error {
		u, err := t.lockUser(p.ID)
		if err != nil {
			return err
		}
		for _, name := range namesOf(u) {
			if err := t.free(u, name, p.NamesReservedUntil); err != nil {
				return err
			}
		}
		u.State, u.PasswordHash, u.Attributes, u.UpdatedAt = core.Deleted, "", []byte("{}"), p.Now
		u.Version++
		if err := t.storeUser(u); err != nil {
			return err
		}
		for _, query := range []string{`DELETE FROM known_networks WHERE user_id = $1`, `DELETE FROM oauth_consents WHERE user_id = $1`} {
			if _, err := t.exec(query, u.ID); err != nil {
				return err
			}
		}
		end := ending{reason: core.ReasonUserDeleted, purgeAt: p.FactPurgeAt, now: p.Now}
		if err := t.endSubject(core.FactUser, u.ID, "", end); err != nil {
			return err
		}
		if err := t.revokeTokensOfUser(u.ID, end); err != nil {
			return err
		}
		if err := t.deleteKeysOfOwner(u.ID, end); err != nil {
			return err
		}
		if err := t.settleTokens(end.reason, end.now, `t.user_id = $1`, u.ID); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return t.tokenListsOf(u.ID)
	})
}

// UpgradeHash implements core.Users. A deleted user has no hash to upgrade.
func (s *Store) UpgradeHash(ctx context.Context, p *core.UpgradeHashParams) (replaced bool, err error) {
	var n int64
	err = s.single(ctx, false, func(c *conn) (err error) {
		n, err = c.exec(`UPDATE users SET password_hash = $1, password_format = $2, updated_at = $3
			WHERE id = $4 AND password_hash = $5 AND password_hash <> '' AND state <> 'deleted'`,
			p.New, core.HashFormat(p.New), p.Now, p.ID, p.Old)
		return err
	})
	return err == nil && n == 1, err
}

// HashSamples implements core.Users. It hops over the index from format to
// format, so that it costs the same with a million users.
func (s *Store) HashSamples(ctx context.Context) (all []string, err error) {
	const next = `SELECT password_format FROM users WHERE password_format <> '' %s ORDER BY password_format LIMIT 1`
	query := `WITH RECURSIVE formats (f) AS (
			(` + strings.Replace(next, "%s", "", 1) + `)
			UNION ALL
			SELECT (` + strings.Replace(next, "%s", "AND password_format > f", 1) + `) FROM formats WHERE f IS NOT NULL)
		SELECT (SELECT password_hash FROM users WHERE password_format <> '' AND password_format = f LIMIT 1) FROM formats WHERE f IS NOT NULL`
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, one[string], query)
		return err
	})
	return all, err
}
