package postgres

import (
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

// sessionColumns is a row of a table or subquery named s, in the order that
// sessionTargets takes it.
const sessionColumns = `s.key, s.epoch, s.issuer, s.generation, s.move0, s.move1, s.move2, s.move3, s.refresh_expires, s.created_at,
	s.last_used_at, s.grace_ms, s.idle_ms, s.absolute_ms, s.revoked_at, s.status, s.rotates, s.subject_kind, s.mount, s.account,
	s.subject, s.refresh_key, s.credential, s.login_name, s.revoked_reason, s.address, s.user_agent`

func sessionTargets(s *core.Session) []any {
	return []any{
		&s.ID.Key, &s.ID.Epoch, &s.Issuer, &s.Generation, &s.Moves[0], &s.Moves[1], &s.Moves[2], &s.Moves[3], &s.RefreshExpires, &s.CreatedAt,
		&s.LastUsedAt, &s.GraceMS, &s.IdleMS, &s.AbsoluteMS, &s.RevokedAt, &s.Status, &s.Rotates, (*string)(&s.SubjectKind), &s.Mount, &s.Account,
		&s.Subject, &s.RefreshKey, &s.Credential, &s.LoginName, &s.RevokedReason, &s.Address, &s.UserAgent,
	}
}

func scanSession(row scanner) (*core.Session, error) {
	var s core.Session
	return &s, row.Scan(sessionTargets(&s)...)
}

// ownerLive is true for an API key of an operator, or of a user who is active:
// a disabled user's credentials do not count.
func ownerLive(key string) string {
	return `(` + key + `.owner = '' OR EXISTS (SELECT 1 FROM users o WHERE o.id = ` + key + `.owner AND o.state = 'active'))`
}

// userSubject and keySubject select the live state of a user u or an API key k
// and its account a, in the order that subjectTargets takes it; a condition on
// the id completes them.
var (
	userSubject = `SELECT a.version, u.version, u.email_verified, a.id, a.shortname, a.state, u.state, u.type, u.username, u.email, u.roles, u.attributes
		FROM users u JOIN accounts a ON a.id = u.account WHERE u.id = `
	keySubject = `SELECT a.version, k.version, false, a.id, a.shortname, a.state,
		CASE WHEN k.state <> 'active' OR ` + ownerLive("k") + ` THEN k.state ELSE 'disabled' END, 'application', k.app_name, '', k.roles, '{}'
		FROM api_keys k JOIN accounts a ON a.id = k.account WHERE k.id = `
)

// subjectRow is a lateral subquery p over a session s: its subject, whichever
// kind it is, or no row.
var subjectRow = `LATERAL (` + userSubject + `s.subject AND s.subject_kind = 'user' UNION ALL ` + keySubject + `s.subject AND s.subject_kind = 'apikey')
	AS p (account_version, version, email_verified, account, shortname, account_state, state, type, username, email, roles, attributes)`

const subjectColumns = `p.account_version, p.version, p.email_verified, p.account, p.shortname, p.account_state, p.state, p.type, p.username, p.email, p.roles, p.attributes`

func subjectTargets(s *core.Subject) []any {
	return []any{
		&s.AccountVersion, &s.Version, &s.EmailVerified, &s.Account, &s.AccountShortname, (*string)(&s.AccountState), (*string)(&s.State),
		(*string)(&s.Type), &s.Username, &s.Email,
		list{&s.Roles},
		&s.Attributes,
	}
}

// loadSubject reads the live state of a user or API key. ErrNoRow.
func loadSubject(c *conn, kind core.SubjectKind, id string) (*core.Subject, error) {
	query := userSubject
	if kind == core.SubjectAPIKey {
		query = keySubject
	}
	s := &core.Subject{Kind: kind, ID: id}
	return s, c.row(query+`$1`, id).Scan(subjectTargets(s)...)
}

// withSubject selects a session and its subject; the columns of a subject that
// is not there are NULL, which there tells.
var withSubject = `SELECT ` + sessionColumns + `, p.account IS NOT NULL, coalesce(p.account_version, 0), coalesce(p.version, 0), coalesce(p.email_verified, false),
	coalesce(p.account, ''), coalesce(p.shortname, ''), coalesce(p.account_state, ''), coalesce(p.state, ''), coalesce(p.type, ''), coalesce(p.username, ''),
	coalesce(p.email, ''), coalesce(p.roles, ''), coalesce(p.attributes, '') FROM sessions s LEFT JOIN ` + subjectRow + ` ON true `

type sessionAndSubject struct {
	session *core.Session
	subject *core.Subject // nil when its row is missing
}

func scanSessionAndSubject(row scanner) (sessionAndSubject, error) {
	var r sessionAndSubject
	var there bool
	r.session, r.subject = &core.Session{}, &core.Subject{}
	err := row.Scan(append(append(sessionTargets(r.session), &there), subjectTargets(r.subject)...)...)
	if err != nil {
		return r, err
	}
	r.subject.Kind, r.subject.ID = r.session.SubjectKind, r.session.Subject
	if !there {
		r.subject = nil
	}
	return r, nil
}

// loadSession reads a session by the key alone, and its subject, which is nil
// when its row is missing. ErrNoRow.
func loadSession(c *conn, key [16]byte) (*core.Session, *core.Subject, error) {
	r, err := scanSessionAndSubject(c.row(withSubject+`WHERE s.key = $1`, key))
	if err != nil {
		return nil, nil, err
	}
	return r.session, r.subject, nil
}

// lockSession is loadSession that keeps others from changing the row until
// the step is over.
func (t *tx) lockSession(key [16]byte, how string) (*core.Session, *core.Subject, error) {
	var n int
	// Apart, because what was read before the lock was granted may be old.
	err := t.row(`SELECT 1 FROM sessions WHERE key = $1 `+how, key).Scan(&n)
	if err != nil {
		return nil, nil, err
	}
	return loadSession(t.conn, key)
}

func isNoRow(err error) bool { return errors.Is(err, core.ErrNoRow) }
