package sqlite

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// Rows of sessions and their subjects are on every hot path, and the driver
// spends more on a column (its name, its type, an interface value) than SQLite
// on the row. So they travel as one text value each: numbers followed by a
// space, then texts as LENGTH:BYTES, composed by format() in SQL. Fifty
// microseconds a refresh became ten.

// pack gives the SQL expression that packs integer and text columns.
func pack(ints, texts []string) string {
	f := strings.Repeat("%d ", len(ints)) + strings.Repeat("%d:%s", len(texts))
	args := append([]string{"'" + f + "'"}, ints...)
	for _, t := range texts {
		args = append(args, "octet_length("+t+")", t)
	}
	return "format(" + strings.Join(args, ", ") + ")"
}

// unpacker reads what pack wrote. The first mistake sticks.
type unpacker struct {
	rest string
	bad  bool
}

func (u *unpacker) until(sep byte) int64 {
	i := strings.IndexByte(u.rest, sep)
	if i < 0 {
		u.bad = true
		return 0
	}
	n, err := strconv.ParseInt(u.rest[:i], 10, 64)
	u.bad = u.bad || err != nil
	u.rest = u.rest[i+1:]
	return n
}

func (u *unpacker) int() int64 { return u.until(' ') }

func (u *unpacker) bool() bool { return u.int() != 0 }

func (u *unpacker) text() string {
	n := u.until(':')
	if u.bad || n < 0 || n > int64(len(u.rest)) {
		u.bad = true
		return ""
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

func (u *unpacker) list() []string {
	l, err := decodeList(u.text())
	u.bad = u.bad || err != nil
	return l
}

// done reports a value that was not read exactly to its end.
func (u *unpacker) done(what string) error {
	if u.bad || u.rest != "" {
		return fmt.Errorf("a %s in the store is damaged", what)
	}
	return nil
}

// sessionRow is a row of sessions, packed. The table goes by its own name here,
// because RETURNING knows no alias.
var sessionRow = pack(
	[]string{
		"sessions.epoch", "sessions.issuer", "sessions.generation", "sessions.move0", "sessions.move1", "sessions.move2", "sessions.move3", "sessions.refresh_expires", "sessions.created_at", "sessions.last_used_at",
		"sessions.rotates", "sessions.grace_ms", "sessions.idle_ms", "sessions.absolute_ms", "sessions.revoked_at", "sessions.status",
	},
	[]string{
		"hex(sessions.key)", "sessions.mount", "sessions.account", "sessions.subject_kind", "sessions.subject", "sessions.credential", "sessions.login_name", "sessions.refresh_key",
		"sessions.revoked_reason", "sessions.address", "sessions.user_agent",
	})

func unpackSession(row string) (*core.Session, error) {
	u := unpacker{rest: row}
	s := &core.Session{ID: core.SessionID{Epoch: u.int()}, Issuer: u.int(), Generation: u.int()}
	for i := range s.Moves {
		s.Moves[i] = u.int()
	}
	s.RefreshExpires, s.CreatedAt, s.LastUsedAt = u.int(), u.int(), u.int()
	s.Rotates, s.GraceMS, s.IdleMS, s.AbsoluteMS, s.RevokedAt, s.Status = u.bool(), u.int(), u.int(), u.int(), u.int(), u.int()
	key, err := hex.DecodeString(u.text())
	u.bad = u.bad || err != nil || copy(s.ID.Key[:], key) != len(s.ID.Key)
	s.Mount, s.Account, s.SubjectKind, s.Subject = u.text(), u.text(), core.SubjectKind(u.text()), u.text()
	s.Credential, s.LoginName, s.RefreshKey = u.text(), u.text(), u.text()
	s.RevokedReason, s.Address, s.UserAgent = u.text(), u.text(), u.text()
	return s, u.done("session")
}

// userSubject and keySubject are the live state of a user u or an API key k
// and its account a, packed alike. They are scalar queries to be completed by
// the condition on the id.
var (
	userSubject = `SELECT ` + pack(
		[]string{"a.version", "u.version", "u.email_verified"},
		[]string{"a.id", "a.shortname", "a.state", "u.state", "u.type", "u.username", "u.email", "u.roles", "u.attributes"}) +
		` FROM users u JOIN accounts a ON a.id = u.account WHERE u.id = `
	keySubject = `SELECT ` + pack(
		[]string{"a.version", "k.version", "0"},
		[]string{"a.id", "a.shortname", "a.state", "CASE WHEN k.state <> 'active' OR " + ownerLive("k") + " THEN k.state ELSE 'disabled' END", "'application'", "k.app_name", "''", "k.roles", "'{}'"}) +
		` FROM api_keys k JOIN accounts a ON a.id = k.account WHERE k.id = `
	// subjectOfSession is NULL when the subject's row is missing.
	subjectOfSession = `CASE sessions.subject_kind WHEN 'user' THEN (` + userSubject + `sessions.subject) ELSE (` + keySubject + `sessions.subject) END`
)

func unpackSubject(kind core.SubjectKind, id, row string) (*core.Subject, error) {
	u := unpacker{rest: row}
	s := &core.Subject{
		Kind: kind, ID: id, AccountVersion: u.int(), Version: u.int(), EmailVerified: u.bool(),
		Account: u.text(), AccountShortname: u.text(), AccountState: core.State(u.text()),
		State: core.State(u.text()), Type: core.UserType(u.text()), Username: u.text(), Email: u.text(),
	}
	s.Roles, s.Attributes = u.list(), []byte(u.text())
	return s, u.done("subject")
}

// nullText scans a text that may be NULL, without a detour.
type nullText struct{ s string }

func (n *nullText) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		n.s = ""
	case string:
		n.s = v
	case []byte:
		n.s = string(v)
	default:
		return fmt.Errorf("a text in the store is %T", src)
	}
	return nil
}

// scanSessionAndSubject reads a row of sessionRow and subjectOfSession. The
// subject is nil when its row is missing.
func scanSessionAndSubject(row scanner) (*core.Session, *core.Subject, error) {
	var packed string
	var subject nullText
	if err := row.Scan(&packed, &subject); err != nil {
		return nil, nil, noRow(err)
	}
	s, err := unpackSession(packed)
	if err != nil || subject.s == "" {
		return s, nil, err
	}
	subj, err := unpackSubject(s.SubjectKind, s.Subject, subject.s)
	return s, subj, err
}

var sessionByKey = `SELECT ` + sessionRow + `, ` + subjectOfSession + ` FROM sessions WHERE key = ?`

// loadSession reads a session by the key alone, and its subject, which is nil
// when its row is missing. ErrNoRow.
func loadSession(c *conn, key [16]byte) (*core.Session, *core.Subject, error) {
	return scanSessionAndSubject(c.row(sessionByKey, key[:]))
}

// loadSubject reads the live state of a user or API key. ErrNoRow.
func loadSubject(c *conn, kind core.SubjectKind, id string) (*core.Subject, error) {
	query := userSubject + `?`
	if kind == core.SubjectAPIKey {
		query = keySubject + `?`
	}
	var packed string
	if err := c.row(query, id).Scan(&packed); err != nil {
		return nil, noRow(err)
	}
	return unpackSubject(kind, id, packed)
}
