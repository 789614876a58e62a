package sqlite

import "github.com/sallyport/sallyport/internal/core"

// sessionColumns are the columns of a row of sessions that scanSession wants.
const sessionColumns = `sessions.key, sessions.epoch, sessions.issuer, sessions.generation,
	sessions.move0, sessions.move1, sessions.move2, sessions.move3, sessions.refresh_expires, sessions.created_at, sessions.last_used_at,
	sessions.rotates, sessions.grace_ms, sessions.idle_ms, sessions.absolute_ms, sessions.revoked_at, sessions.status,
	sessions.mount, sessions.account, sessions.subject_kind, sessions.subject, sessions.credential, sessions.login_name, sessions.refresh_key,
	sessions.revoked_reason, sessions.address, sessions.user_agent`

func sessionTargets(s *core.Session) []any {
	return []any{
		fixed(s.ID.Key[:]), &s.ID.Epoch, &s.Issuer, &s.Generation,
		&s.Moves[0], &s.Moves[1], &s.Moves[2], &s.Moves[3], &s.RefreshExpires, &s.CreatedAt, &s.LastUsedAt,
		&s.Rotates, &s.GraceMS, &s.IdleMS, &s.AbsoluteMS, &s.RevokedAt, &s.Status,
		&s.Mount, &s.Account, (*string)(&s.SubjectKind), &s.Subject, &s.Credential, &s.LoginName, &s.RefreshKey,
		&s.RevokedReason, &s.Address, &s.UserAgent,
	}
}

// subjectColumns are the live state of a user u or an API key k, whichever is
// there, and its account a; the id is empty when neither is. They stand in a
// statement with the session, so that what is read is of one moment.
var subjectColumns = `coalesce(u.id, k.id, ''), coalesce(a.version, 0), coalesce(u.version, k.version, 0), coalesce(u.email_verified, 0),
	coalesce(a.id, ''), coalesce(a.shortname, ''), coalesce(a.state, ''),
	CASE WHEN u.id IS NOT NULL THEN u.state WHEN k.id IS NULL THEN '' WHEN k.state <> 'active' OR ` + ownerLive("k") + ` THEN k.state ELSE 'disabled' END,
	coalesce(u.type, 'application'), coalesce(u.username, k.app_name, ''), coalesce(u.email, ''), coalesce(u.roles, k.roles, ''), coalesce(u.attributes, '{}')`

// joinSubject finds the rows of subjectColumns, given what the kind and the id
// of a subject are called. What is of another kind is not even looked for.
func joinSubject(kind, id string) string {
	return ` LEFT JOIN users u ON u.id = CASE ` + kind + ` WHEN 'user' THEN ` + id + ` END
		LEFT JOIN api_keys k ON k.id = CASE ` + kind + ` WHEN 'apikey' THEN ` + id + ` END
		LEFT JOIN accounts a ON a.id = coalesce(u.account, k.account)`
}

// subjectRow is where subjectColumns go.
type subjectRow struct {
	core.Subject
	roles string
}

func (s *subjectRow) targets() []any {
	return []any{
		&s.ID, &s.AccountVersion, &s.Version, &s.EmailVerified,
		&s.Account, &s.AccountShortname, (*string)(&s.AccountState),
		(*string)(&s.State), (*string)(&s.Type), &s.Username, &s.Email, &s.roles, &s.Attributes,
	}
}

// subject is nil when the row of the subject, or of its account, is missing.
func (s *subjectRow) subject(kind core.SubjectKind) (_ *core.Subject, err error) {
	if s.ID == "" || s.Account == "" {
		return nil, nil
	}
	s.Kind = kind
	s.Roles, err = decodeList(s.roles)
	return &s.Subject, err
}

var sessionByKey = `SELECT sessions.rowid, ` + sessionColumns + `, ` + subjectColumns + `
	FROM sessions` + joinSubject("sessions.subject_kind", "sessions.subject") + ` WHERE sessions.key = ?`

// found is a session as it stands, with its subject, which is nil when its row
// is missing.
type found struct {
	row     int64
	session *core.Session
	subject *core.Subject
}

// findSession reads a session by the key alone. ErrNoRow.
func findSession(c *conn, key *[16]byte) (f found, err error) {
	var sess core.Session
	var subj subjectRow
	err = c.row(sessionByKey, key[:]).Scan(append(append([]any{&f.row}, sessionTargets(&sess)...), subj.targets()...)...)
	if err != nil {
		return f, noRow(err)
	}
	f.session = &sess
	f.subject, err = subj.subject(sess.SubjectKind)
	return f, err
}

// loadSession is findSession for those who do not write.
func loadSession(c *conn, key [16]byte) (*core.Session, *core.Subject, error) {
	f, err := findSession(c, &key)
	return f.session, f.subject, err
}

var subjectByID = `SELECT ` + subjectColumns + ` FROM (SELECT ?1 AS kind, ?2 AS id) s` + joinSubject("s.kind", "s.id")

// loadSubject reads the live state of a user or API key. ErrNoRow.
func loadSubject(c *conn, kind core.SubjectKind, id string) (*core.Subject, error) {
	var row subjectRow
	if err := c.row(subjectByID, string(kind), id).Scan(row.targets()...); err != nil {
		return nil, noRow(err)
	}
	subj, err := row.subject(kind)
	if err == nil && subj == nil {
		err = core.ErrNoRow
	}
	return subj, err
}
