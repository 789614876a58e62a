package sqlite

import (
	"cmp"
	"context"

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
	if err != nil {
		return nil, noRow(err)
	}
	return &u, nil
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
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			u.ID, u.Account, string(u.Type), string(u.State), u.Username, u.UsernameCanon, u.Email, u.EmailCanon, flag(u.EmailVerified),
			encodeList(u.Roles), u.Attributes, u.PasswordHash, core.HashFormat(u.PasswordHash), u.Version, u.CreatedAt, u.UpdatedAt, u.PasswordAt, u.LastLoginAt, u.LastLoginFrom)
		if err != nil {
			return taken(err)
		}
		for _, name := range namesOf(&u) {
			if err := t.claim(&u, name, p.Now); err != nil {
				return err
			}
		}
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// UserByID implements core.Users.
func (s *Store) UserByID(ctx context.Context, id string) (u *core.UserRecord, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		u, err = scanUserRecord(c.row(userRecordSelect+`WHERE u.id = ?`, id))
		return err
	})
	return u, err
}

// UserByLogin implements core.Users.
func (s *Store) UserByLogin(ctx context.Context, account, canonical string) (u *core.UserRecord, err error) {
	err = s.view(ctx, func(c *conn) (err error) {
		u, err = scanUserRecord(c.row(userRecordSelect+`JOIN login_names n ON n.user = u.id
			WHERE n.account = ?1 AND n.name = ?2 AND n.reserved_until IS NULL AND u.state <> 'deleted'
			AND (u.username_canon = ?2 OR (u.email_canon = ?2 AND u.email_verified))`, account, canonical))
		return err
	})
	return u, err
}

// ListUsers implements core.Users.
func (s *Store) ListUsers(ctx context.Context, q core.UserQuery) (all []*core.UserRecord, err error) {
	f := filter{where: []string{"u.state <> 'deleted'"}}
	f.text("u.account", q.Account)
	if q.After != "" {
		f.and("u.username_canon > ?", q.After)
	}
	query := userRecordSelect + `WHERE ` + f.String() + ` ORDER BY u.account, u.username_canon LIMIT ?`
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			u, err := scanUserRecord(row)
			all = append(all, u)
			return err
		}, query, append(f.args, limitOf(q.Limit))...)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// liveUser reads a user that is not deleted.
func (t *tx) liveUser(id string) (*core.User, error) {
	var u core.User
	err := t.row(`SELECT `+userColumns+` FROM users u WHERE u.id = ? AND u.state <> 'deleted'`, id).Scan(userTargets(&u)...)
	return &u, noRow(err)
}

// ChangeUser implements core.Users.
func (s *Store) ChangeUser(ctx context.Context, p *core.ChangeUserParams) (*core.User, error) {
	var after core.User
	err := s.ending(ctx, p.Effects.EndSessions, func(t *tx) error {
		before, err := t.liveUser(p.ID)
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
		t.audit(p.Now, p.Event)
		t.news = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &after, nil
}

func (t *tx) storeUser(u *core.User) error {
	_, err := t.exec(`UPDATE users SET type = ?, state = ?, username = ?, username_canon = ?, email = ?, email_canon = ?, email_verified = ?,
		roles = ?, attributes = ?, password_hash = ?, password_format = ?, version = ?, updated_at = ?, password_at = ? WHERE id = ?`,
		string(u.Type), string(u.State), u.Username, u.UsernameCanon, u.Email, u.EmailCanon, flag(u.EmailVerified),
		encodeList(u.Roles), u.Attributes, u.PasswordHash, core.HashFormat(u.PasswordHash), u.Version, u.UpdatedAt, u.PasswordAt, u.ID)
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
	return t.settleTokens(end.reason, end.now, `t.user = ?`, p.ID)
}

// DeleteUser implements core.Users.
func (s *Store) DeleteUser(ctx context.Context, p *core.DeleteUserParams) error {
	return s.ending(ctx, true, func(t *tx) error {
		u, err := t.liveUser(p.ID)
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
		if _, err := t.exec(`DELETE FROM known_networks WHERE user = ?`, u.ID); err != nil {
			return err
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
		if err := t.settleTokens(end.reason, end.now, `t.user = ?`, u.ID); err != nil {
			return err
		}
		t.audit(p.Now, p.Event)
		return nil
	})
}

// UpgradeHash implements core.Users. A deleted user has no hash to upgrade.
func (s *Store) UpgradeHash(ctx context.Context, p *core.UpgradeHashParams) (replaced bool, err error) {
	var n int64
	err = s.single(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE users SET password_hash = ?, password_format = ?, updated_at = ?
			WHERE id = ? AND password_hash = ? AND password_hash <> '' AND state <> 'deleted'`,
			p.New, core.HashFormat(p.New), p.Now, p.ID, p.Old)
		return err
	})
	return err == nil && n == 1, err
}

// HashSamples implements core.Users. It hops over the index from format to
// format, so that it costs the same with a million users.
func (s *Store) HashSamples(ctx context.Context) (all []string, err error) {
	err = s.view(ctx, func(c *conn) error {
		return c.each(func(row scanner) error {
			var phc string
			err := row.Scan(&phc)
			all = append(all, phc)
			return err
		}, `WITH RECURSIVE formats (f) AS (
				SELECT min(password_format) FROM users WHERE password_format <> ''
				UNION ALL
				SELECT (SELECT min(password_format) FROM users WHERE password_format <> '' AND password_format > f) FROM formats WHERE f IS NOT NULL)
			SELECT (SELECT password_hash FROM users WHERE password_format <> '' AND password_format = f LIMIT 1) FROM formats WHERE f IS NOT NULL`)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
