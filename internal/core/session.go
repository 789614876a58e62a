package core

import "context"

// SubjectKind says what a session's subject is.
type SubjectKind string

// The kinds.
const (
	SubjectUser   SubjectKind = "user"
	SubjectAPIKey SubjectKind = "apikey"
	SubjectClient SubjectKind = "client" // of tokens alone: it has no session rows
)

// Subject is the live state of who a token speaks for: a snapshot of a user or
// an API key and its account, read in the same step as the session.
type Subject struct {
	Kind             SubjectKind
	ID               string
	Account          string // account id
	AccountShortname string
	AccountState     State
	AccountVersion   int64
	State            State
	Version          int64
	Type             UserType // TypeApplication for an API key
	Username         string   // the appname for an API key
	Email            string
	EmailVerified    bool
	Roles            []string
	Attributes       []byte // JSON object
}

// Live reports whether subject and account may be given tokens.
func (s *Subject) Live() bool { return s.State == Active && s.AccountState == Active }

// MovesKept is how many move times a session row keeps.
const MovesKept = 4

// Session is what a successful login opens: one row, one refresh chain.
type Session struct {
	ID          SessionID
	Mount       string // mount id; only that mount answers its refresh token
	Account     string
	SubjectKind SubjectKind
	Subject     string
	Credential  string // "password", "request_token", "code"; with a colon and the name of the session's variant, if it has one
	LoginName   string // the name as issued: refresh tokens repeat it whatever is edited since
	Issuer      int64  // number of the issuer string at opening (see Meta)

	Generation     int64            // counter of the chain; the first refresh token has 0
	Moves          [MovesKept]int64 // Moves[0]: when Generation was issued; Moves[1]: when Generation-1 was; 0 = none
	RefreshKey     string           // id of the key that signed the current refresh token; "" when there is none
	RefreshExpires int64            // exp of the current refresh token

	CreatedAt  int64
	LastUsedAt int64
	// Policy as of the last move. The deadlines in force are the earlier of the
	// row's and those of the mount's policy now (see Deadline).
	Rotates    bool
	GraceMS    int64
	IdleMS     int64 // a refresh token unused this long is dead; 0 = none
	AbsoluteMS int64 // the session ends this long after CreatedAt; 0 = none

	RevokedAt     int64 // 0 = alive
	RevokedReason string
	Address       string // client address at opening
	UserAgent     string // at most 200 bytes
	Status        int64  // number in the status lists; 0 = none
}

// Deadline is when the session ends if it isn't used again, given the mount's
// policy now: a shortened lifetime counts at once, a longer one at the next
// move.
func (s *Session) Deadline(p *Rotation) int64 {
	d := s.RefreshExpires
	if s.AbsoluteMS > 0 {
		d = min(d, s.CreatedAt+s.AbsoluteMS)
	}
	if p != nil {
		if p.AbsoluteMS > 0 {
			d = min(d, s.CreatedAt+p.AbsoluteMS)
		}
		if p.IdleMS > 0 {
			d = min(d, s.Moves[0]+p.IdleMS)
		}
	}
	return d
}

// Rotation is a mount's refresh policy now.
type Rotation struct {
	Rotates    bool
	GraceMS    int64 // 0–600,000; default 120,000
	IdleMS     int64 // lifetime of one refresh token, from its issue
	AbsoluteMS int64 // lifetime of the session, from its opening; 0 = IdleMS alone
}

// Sessions is the part of Store that knows sessions.
type Sessions interface {
	// OpenSession inserts p.Session, its epoch set to the highest fact number,
	// if the gate holds in the same statement: subject and account active and
	// at the versions read before the credential was checked. Beyond
	// p.MaxPerSubject live sessions the longest idle ones end, with a fact each.
	// It settles the login attempt p.Attempt, records the network as known and
	// the last login. ErrStale when the gate refuses. Repeating it with the
	// same Session.ID.Key returns the row that is there.
	OpenSession(ctx context.Context, p *OpenSessionParams) (*OpenResult, error)
	// SessionByID returns the row and its live subject. ErrNoRow.
	SessionByID(ctx context.Context, id SessionID) (*Session, *Subject, error)
	// RefreshSession moves, replays, or judges and revokes, in one step, as
	// JudgeRefresh says. It returns the row after the step.
	RefreshSession(ctx context.Context, p *RefreshParams) (*RefreshResult, error)
	// TouchSessions sets last_used for a batch; unknown ids are ignored.
	TouchSessions(ctx context.Context, now int64, touches []Touch) error
	// ListSessions returns live sessions, newest first.
	ListSessions(ctx context.Context, q SessionQuery) ([]*Session, error)
	// RevokeSessions ends the sessions selected, adding a fact for each, and
	// returns how many. Zero is no error.
	RevokeSessions(ctx context.Context, p *RevokeSessionsParams) (int, error)
}

// Gate is what must still hold, in the same statement, when something is
// issued: the versions read before the credential was checked.
type Gate struct {
	SubjectKind    SubjectKind
	Subject        string
	Version        int64
	Account        string
	AccountVersion int64
}

// OpenSessionParams is one step.
type OpenSessionParams struct {
	Session       Session // Epoch is filled in by the store
	Gate          Gate
	MaxPerSubject int   // 0 = no cap
	FactPurgeAt   int64 // for facts on sessions ended by the cap
	Attempt       *SettleParams
	Now           int64
	Event         Event
}

// OpenResult is the session as stored and its subject.
type OpenResult struct {
	Session *Session
	Subject *Subject
}

// RefreshParams is one step. Presented is the generation the token carries.
type RefreshParams struct {
	ID          SessionID
	Mount       string
	Subject     string // subject id the caller claims besides the token; "" = not asked
	Presented   int64
	PresentedAt int64 // iat of the presented token
	Policy      Rotation
	RefreshKey  string // key that will sign the next refresh token
	FactPurgeAt int64
	Now         int64
	ReuseEvent  Event // written when the family is revoked
	BehindEvent Event // written when the store had lost a commit
}

// RefreshResult is the outcome of a refresh step. Session and Subject are nil
// when Verdict is RefreshNoSession.
type RefreshResult struct {
	Verdict RefreshVerdict
	Session *Session // after the step
	Subject *Subject
}

// Touch is one last use.
type Touch struct {
	ID      SessionID
	At      int64
	Address string
}

// SessionQuery selects live sessions. Zero values mean "any".
type SessionQuery struct {
	Account string
	Subject string
	Mount   string
	Before  int64 // created before, for paging; 0 = now
	Limit   int   // at most 1000; 0 = 100
	Now     int64 // sessions past their deadline are left out
}

// RevokeSessionsParams is one step. Exactly one of ID, Subject is set.
type RevokeSessionsParams struct {
	ID          *SessionID
	Subject     string // all sessions of this subject
	Mount       string // either on this mount only, "" = all mounts
	Spare       string // sid that stays alive
	Reason      string
	FactPurgeAt int64
	Now         int64
	Event       Event // written when at least one session ended
}
