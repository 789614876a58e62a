package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

const appTokenColumns = `id, hash, user_id, account, mount, session, label, networks, scopes, created_at, created_by,
	last_used, last_from, revoked_at, suspended, status`

func appTokenTargets(a *core.ApplicationToken) []any {
	return []any{
		&a.ID, fixed(a.Hash[:]), &a.User, &a.Account, &a.Mount, &a.Session, &a.Label,
		list{&a.Networks},
		list{&a.Scopes},
		&a.CreatedAt, &a.CreatedBy, &a.LastUsed, &a.LastFrom, &a.RevokedAt, &a.Suspended, &a.Status,
	}
}

func scanAppToken(row scanner) (*core.ApplicationToken, error) {
	var a core.ApplicationToken
	return &a, row.Scan(appTokenTargets(&a)...)
}

// MintApplicationToken implements core.ApplicationTokens.
func (s *Store) MintApplicationToken(ctx context.Context, p *core.MintParams) (core.MintVerdict, error) {
	var verdict core.MintVerdict
	err := s.multi(ctx, func(t *tx) (err error) {
		verdict, err = t.mint(p)
		return err
	})
	if err != nil {
		return "", err
	}
	return verdict, nil
}

// mint locks what the gate is about (user, account, minting session) before it
// looks, so that whatever ends one of them comes before, or finds the token.
func (t *tx) mint(p *core.MintParams) (core.MintVerdict, error) {
	a, g := &p.Token, &p.Gate
	if verdict, err := t.mintedBefore(a); verdict != "" || err != nil {
		return verdict, err
	}
	if g.SubjectKind != core.SubjectUser || a.User != g.Subject || a.Account != g.Account {
		return core.MintType, nil
	}
	verdict, err := t.mintGate(p)
	if verdict != "" || err != nil {
		return verdict, err
	}
	// Once more, now that nobody else mints for this user: a twin of this step
	// may have been ahead.
	if verdict, err := t.mintedBefore(a); verdict != "" || err != nil {
		return verdict, err
	}
	if p.MaxPerUser > 0 {
		var live int
		if err := t.row(`SELECT count(*) FROM app_tokens WHERE user_id = $1 AND revoked_at = 0`, a.User).Scan(&live); err != nil {
			return "", err
		}
		if live >= p.MaxPerUser {
			return core.MintTooMany, nil
		}
	}
	_, err = t.exec(`INSERT INTO app_tokens (`+appTokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, '', 0, false, $12)`,
		a.ID, a.Hash[:], a.User, a.Account, a.Mount, a.Session, a.Label, encodeList(a.Networks), encodeList(a.Scopes), a.CreatedAt, a.CreatedBy, a.Status)
	if err != nil {
		return "", taken(err)
	}
	if _, err := t.exec(`UPDATE users SET had_app_token = true WHERE id = $1 AND NOT had_app_token`, g.Subject); err != nil {
		return "", err
	}
	t.audit(p.Now, p.Event)
	return core.Minted, nil
}

// mintedBefore answers a step that is repeated, "" for one that is not.
func (t *tx) mintedBefore(a *core.ApplicationToken) (core.MintVerdict, error) {
	var hash [32]byte
	err := t.row(`SELECT hash FROM app_tokens WHERE id = $1`, a.ID).Scan(fixed(hash[:]))
	switch {
	case isNoRow(err):
		return "", nil
	case err != nil:
		return "", err
	case !bytes.Equal(hash[:], a.Hash[:]):
		return "", fmt.Errorf("%w: application token %s", core.ErrExists, a.ID)
	}
	return core.MintRepeat, nil
}

// mintGate names the part of the gate that refuses, "" when all of it holds.
func (t *tx) mintGate(p *core.MintParams) (core.MintVerdict, error) {
	g := &p.Gate
	var kind, account, state, accountState string
	var version, accountVersion int64
	err := t.row(`SELECT u.type, u.state, u.version, a.id, a.state, a.version FROM users u JOIN accounts a ON a.id = u.account
		WHERE u.id = $1 FOR NO KEY UPDATE OF u FOR SHARE OF a`, g.Subject).Scan(&kind, &state, &version, &account, &accountState, &accountVersion)
	switch {
	case isNoRow(err):
		return core.MintStale, nil
	case err != nil:
		return "", err
	case kind != string(core.TypeApplication):
		return core.MintType, nil
	case state != string(core.Active), version != g.Version, account != g.Account, accountState != string(core.Active), accountVersion != g.AccountVersion:
		return core.MintStale, nil
	}
	var n int
	err = t.row(`SELECT 1 FROM sessions WHERE key = $1 AND epoch = $2 AND subject = $3 AND mount = $4
		AND revoked_at = 0 AND $5 < refresh_expires AND (absolute_ms <= 0 OR $5 < created_at + absolute_ms) FOR SHARE`,
		p.Session.Key, p.Session.Epoch, g.Subject, p.Token.Mount, p.Now).Scan(&n)
	if isNoRow(err) {
		return core.MintStale, nil
	}
	return "", err
}

// ApplicationTokenByHash implements core.ApplicationTokens.
func (s *Store) ApplicationTokenByHash(ctx context.Context, hash [32]byte) (*core.ApplicationToken, *core.Subject, error) {
	var a core.ApplicationToken
	subj := core.Subject{Kind: core.SubjectUser}
	err := s.view(ctx, func(c *conn) error {
		return c.row(`SELECT t.`+strings.ReplaceAll(appTokenColumns, ", ", ", t.")+`, `+subjectColumns+` FROM app_tokens t JOIN LATERAL (`+userSubject+`t.user_id)
			AS p (account_version, version, email_verified, account, shortname, account_state, state, type, username, email, roles, attributes) ON true
			WHERE t.hash = $1`, hash[:]).Scan(append(appTokenTargets(&a), subjectTargets(&subj)...)...)
	})
	if err != nil {
		return nil, nil, err
	}
	subj.ID = a.User
	return &a, &subj, nil
}

// ListApplicationTokens implements core.ApplicationTokens.
func (s *Store) ListApplicationTokens(ctx context.Context, q core.ApplicationTokenQuery) (all []*core.ApplicationToken, err error) {
	f := filter{where: []string{"revoked_at = 0"}}
	f.text("account", q.Account)
	f.text("user_id", q.User)
	if q.Before != 0 {
		f.and("created_at <", q.Before)
	}
	query := `SELECT ` + appTokenColumns + ` FROM app_tokens WHERE ` + f.String() + ` ORDER BY created_at DESC, id LIMIT ` + f.arg(limitOf(q.Limit))
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = collect(c, scanAppToken, query, f.args...)
		return err
	})
	return all, err
}

// ChangeApplicationToken implements core.ApplicationTokens.
func (s *Store) ChangeApplicationToken(ctx context.Context, p *core.ChangeApplicationTokenParams) (*core.ApplicationToken, error) {
	var change string
	var value any
	switch p.Action {
	case core.TokenRevoke:
		change, value = "revoked_at", max(p.Now, 1)
	case core.TokenSuspend:
		change, value = "suspended", true
	case core.TokenResume:
		change, value = "suspended", false
	default:
		return nil, fmt.Errorf("%w: unknown action %q on an application token", core.ErrStoreUnavailable, p.Action)
	}
	query := `UPDATE app_tokens SET ` + change + ` = $1 WHERE id = $2 AND revoked_at = 0 RETURNING ` + appTokenColumns
	var a *core.ApplicationToken
	err := s.ending(ctx, p.Action != core.TokenResume, func(t *tx) (err error) {
		// The fact depends on the user too, whose row is locked before those of
		// its tokens by every step that changes both.
		if _, err := t.exec(`SELECT 1 FROM users u JOIN app_tokens t ON t.user_id = u.id WHERE t.id = $1 FOR NO KEY UPDATE OF u`, p.ID); err != nil {
			return err
		}
		if a, err = scanAppToken(t.row(query, value, p.ID)); err != nil {
			return err
		}
		t.statusChanged(core.StatusTokens, a.Status)
		t.audit(p.Now, p.Event)
		t.news = newsRows
		return t.settleTokens(string(p.Action), p.Now, `t.id = $1`, p.ID)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// tokensChanged runs an update of application tokens that returns their status
// numbers.
func (t *tx) tokensChanged(query string, args ...any) error {
	numbers, err := collect(t.conn, one[int64], query, args...)
	for _, n := range numbers {
		t.statusChanged(core.StatusTokens, n)
	}
	return err
}

// revokeTokensOfUser revokes all application tokens of a user. Their facts are
// settled with what else the step does to the user.
func (t *tx) revokeTokensOfUser(user string, end ending) error {
	return t.tokensChanged(`UPDATE app_tokens SET revoked_at = $1 WHERE user_id = $2 AND revoked_at = 0 RETURNING status`, max(end.now, 1), user)
}

// suspendTokensOfLiveSessions suspends the application tokens that were minted
// in sessions of the user which are about to end.
func (t *tx) suspendTokensOfLiveSessions(user, spare string) error {
	sids, err := collect(t.conn, func(row scanner) (string, error) {
		var id core.SessionID
		err := row.Scan(&id.Key, &id.Epoch)
		return id.String(), err
	}, `SELECT key, epoch FROM sessions WHERE subject = $1 AND revoked_at = 0 AND key <> $2`, user, spareKey(spare))
	if err != nil || len(sids) == 0 {
		return err
	}
	return t.tokensChanged(`UPDATE app_tokens SET suspended = true WHERE user_id = $1 AND revoked_at = 0 AND NOT suspended
		AND session = ANY($2) RETURNING status`, user, sids)
}

// tokenListsOf marks the status lists of a user's tokens as changed.
func (t *tx) tokenListsOf(user string) error {
	return t.tokensChanged(`SELECT status FROM app_tokens WHERE user_id = $1 AND status > 0`, user)
}

// TouchApplicationTokens implements core.ApplicationTokens.
func (s *Store) TouchApplicationTokens(ctx context.Context, touches []core.TokenTouch) error {
	latest := make(map[string]core.TokenTouch, len(touches))
	for _, t := range touches {
		if before, ok := latest[t.ID]; !ok || t.At >= before.At {
			latest[t.ID] = t
		}
	}
	all := make([]core.TokenTouch, 0, len(latest))
	for _, t := range latest {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b core.TokenTouch) int { return strings.Compare(a.ID, b.ID) })
	for _, part := range chunks(all, 100) {
		ids, addresses, times := make([]string, len(part)), make([]string, len(part)), make([]int64, len(part))
		for i, t := range part {
			ids[i], addresses[i], times[i] = t.ID, t.Address, t.At
		}
		err := s.single(ctx, true, func(c *conn) error {
			_, err := c.exec(`UPDATE app_tokens t SET last_used = q.at, last_from = q.address FROM unnest($1::text[], $2::bigint[], $3::text[]) AS q (id, at, address)
				WHERE t.id = q.id AND t.last_used <= q.at`, ids, times, addresses)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
