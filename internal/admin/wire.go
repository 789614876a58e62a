package admin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// Time is a point in time in Unix milliseconds, 0 for none. In JSON it is an
// RFC 3339 string in UTC with milliseconds, or null.
type Time int64

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the string or null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(t.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a time is a string: %w", err)
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("a time is written as in RFC 3339: %w", err)
	}
	*t = Time(at.UnixMilli())
	return nil
}

// String is the RFC 3339 form, "" for none.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return time.UnixMilli(int64(t)).UTC().Format(timeLayout)
}

// Page is one page of a list. Next is the cursor of the page after it, "" at
// the end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Account is a customer.
type Account struct {
	ID        string `json:"id"`
	Shortname string `json:"shortname"`
	State     string `json:"state"`
	CreatedAt Time   `json:"created_at"`
}

func accountOf(a *core.Account) Account {
	return Account{ID: a.ID, Shortname: a.Shortname, State: string(a.State), CreatedAt: Time(a.CreatedAt)}
}

// User is somebody, or some program, that logs in with a password. The hash
// is never shown; PasswordSet says whether there is one.
type User struct {
	ID                string          `json:"id"`
	Account           string          `json:"account"`
	Username          string          `json:"username"`
	Email             string          `json:"email"`
	EmailVerified     bool            `json:"email_verified"`
	Type              string          `json:"type"`
	State             string          `json:"state"`
	Roles             []string        `json:"roles"`
	Attributes        json.RawMessage `json:"attributes"`
	PasswordSet       bool            `json:"password_set"`
	CreatedAt         Time            `json:"created_at"`
	UpdatedAt         Time            `json:"updated_at"`
	PasswordChangedAt Time            `json:"password_changed_at"`
	LastLoginAt       Time            `json:"last_login_at"`
	LastLoginFrom     string          `json:"last_login_from"`
	// Password is set once, in the answer to a request that had it generated.
	Password string `json:"password,omitempty"`
}

func userOf(u *core.User, account string) User {
	attrs := json.RawMessage(u.Attributes)
	if len(attrs) == 0 {
		attrs = json.RawMessage("{}")
	}
	return User{
		ID: u.ID, Account: account, Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified,
		Type: string(u.Type), State: string(u.State), Roles: orEmpty(u.Roles), Attributes: attrs,
		PasswordSet: u.PasswordHash != "", CreatedAt: Time(u.CreatedAt), UpdatedAt: Time(u.UpdatedAt),
		PasswordChangedAt: Time(u.PasswordAt), LastLoginAt: Time(u.LastLoginAt), LastLoginFrom: u.LastLoginFrom,
	}
}

// Session is a login that still counts.
type Session struct {
	ID          string `json:"id"` // the sid of its tokens
	Account     string `json:"account"`
	SubjectKind string `json:"subject_kind"` // user or apikey
	Subject     string `json:"subject"`
	LoginName   string `json:"login_name"`
	Mount       string `json:"mount"`
	Credential  string `json:"credential"`
	Rotates     bool   `json:"rotates"`
	Generation  int64  `json:"generation"`
	CreatedAt   Time   `json:"created_at"`
	LastUsedAt  Time   `json:"last_used_at"`
	ExpiresAt   Time   `json:"expires_at"`
	RevokedAt   Time   `json:"revoked_at"`
	Reason      string `json:"revoked_reason"` // "" while it lives
	Address     string `json:"address"`
	UserAgent   string `json:"user_agent"`
}

func sessionOf(s *core.Session, account string) Session {
	return Session{
		ID: s.ID.String(), Account: account, SubjectKind: string(s.SubjectKind), Subject: s.Subject,
		LoginName: s.LoginName, Mount: s.Mount, Credential: s.Credential, Rotates: s.Rotates,
		Generation: s.Generation, CreatedAt: Time(s.CreatedAt), LastUsedAt: Time(s.LastUsedAt),
		ExpiresAt: Time(s.Deadline(nil)), RevokedAt: Time(s.RevokedAt),
		Reason: s.RevokedReason, Address: s.Address, UserAgent: s.UserAgent,
	}
}

// ApplicationToken is a token that never expires. The token itself is not
// kept and cannot be shown.
type ApplicationToken struct {
	ID        string   `json:"id"` // the jti
	Account   string   `json:"account"`
	User      string   `json:"user"`
	Username  string   `json:"username"`
	Mount     string   `json:"mount"`
	Session   string   `json:"session"`
	Label     string   `json:"label"`
	State     string   `json:"state"` // active, suspended or revoked
	Networks  []string `json:"networks"`
	Scopes    []string `json:"scopes"`
	CreatedAt Time     `json:"created_at"`
	CreatedBy string   `json:"created_from"`
	LastUsed  Time     `json:"last_used_at"`
	LastFrom  string   `json:"last_used_from"`
}

func applicationTokenOf(t *core.ApplicationToken, account, username string) ApplicationToken {
	state := "active"
	switch {
	case t.RevokedAt != 0:
		state = "revoked"
	case t.Suspended:
		state = "suspended"
	}
	return ApplicationToken{
		ID: t.ID, Account: account, User: t.User, Username: username, Mount: t.Mount, Session: t.Session,
		Label: t.Label, State: state, Networks: orEmpty(t.Networks), Scopes: orEmpty(t.Scopes),
		CreatedAt: Time(t.CreatedAt), CreatedBy: t.CreatedBy, LastUsed: Time(t.LastUsed), LastFrom: t.LastFrom,
	}
}

// APIKey signs request tokens. Secret and Netosecret are set once, in the
// answer that made them.
type APIKey struct {
	ID          string      `json:"id"`
	Account     string      `json:"account"`
	AppName     string      `json:"appname"`
	AppKey      string      `json:"appkey"`
	Description string      `json:"description"`
	Roles       []string    `json:"roles"`
	State       string      `json:"state"`
	Owner       string      `json:"owner"`
	Secrets     []APISecret `json:"secrets"`
	CreatedAt   Time        `json:"created_at"`
	UpdatedAt   Time        `json:"updated_at"`
	LastLoginAt Time        `json:"last_login_at"`
	LastFrom    string      `json:"last_login_from"`
	Secret      string      `json:"secret,omitempty"`
	Netosecret  string      `json:"netosecret,omitempty"`
}

// APISecret says that a secret exists and until when; not what it is.
type APISecret struct {
	Number    int64 `json:"number"`
	CreatedAt Time  `json:"created_at"`
	ExpiresAt Time  `json:"expires_at"`
}

func apiKeyOf(k *core.APIKey, account string) APIKey {
	secrets := make([]APISecret, len(k.Secrets))
	for i, s := range k.Secrets {
		secrets[i] = APISecret{Number: s.Number, CreatedAt: Time(s.CreatedAt), ExpiresAt: Time(s.ExpiresAt)}
	}
	return APIKey{
		ID: k.ID, Account: account, AppName: k.AppName, AppKey: k.AppKey, Description: k.Description,
		Roles: orEmpty(k.Roles), State: string(k.State), Owner: k.Owner, Secrets: secrets,
		CreatedAt: Time(k.CreatedAt), UpdatedAt: Time(k.UpdatedAt), LastLoginAt: Time(k.LastLogin), LastFrom: k.LastFrom,
	}
}

func madeAPIKeyOf(m *core.MadeAPIKey) APIKey {
	k := apiKeyOf(m.Key, m.Account)
	k.Secret, k.Netosecret = m.Secret, m.Netosecret
	return k
}

// AuditRecord is one event of the audit log. Hash and PrevHash are hex.
type AuditRecord struct {
	Node      string            `json:"node"`
	Sequence  int64             `json:"sequence"`
	At        Time              `json:"at"`
	Kind      string            `json:"kind"`
	Actor     string            `json:"actor"`
	Account   string            `json:"account"` // account id
	Subject   string            `json:"subject"`
	Session   string            `json:"session"`
	Mount     string            `json:"mount"`
	Address   string            `json:"address"`
	RequestID string            `json:"request_id"`
	Detail    map[string]string `json:"detail"`
	PrevHash  string            `json:"prev_hash"`
	Hash      string            `json:"hash"`
}

// AuditRecordOf gives a record its wire form.
func AuditRecordOf(r *core.AuditRecord) AuditRecord {
	detail := r.Event.Detail
	if detail == nil {
		detail = map[string]string{}
	}
	return AuditRecord{
		Node: r.Node, Sequence: r.Sequence, At: Time(r.At), Kind: r.Event.Kind, Actor: r.Event.Actor,
		Account: r.Event.Account, Subject: r.Event.Subject, Session: r.Event.Session, Mount: r.Event.Mount,
		Address: r.Event.Address, RequestID: r.Event.RequestID, Detail: detail,
		PrevHash: fmt.Sprintf("%x", r.PrevHash), Hash: fmt.Sprintf("%x", r.Hash),
	}
}

// Core gives the record back as the core hashes it.
func (r *AuditRecord) Core() (core.AuditRecord, error) {
	out := core.AuditRecord{
		Node: r.Node, Sequence: r.Sequence, At: int64(r.At),
		Event: core.Event{
			Kind: r.Kind, Actor: r.Actor, Account: r.Account, Subject: r.Subject, Session: r.Session, Mount: r.Mount,
			Address: r.Address, RequestID: r.RequestID, Detail: r.Detail,
		},
	}
	for text, into := range map[string]*[32]byte{r.PrevHash: &out.PrevHash, r.Hash: &out.Hash} {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(into) {
			return out, fmt.Errorf("record %d of node %s: %q is no hash", r.Sequence, r.Node, text)
		}
		copy(into[:], raw)
	}
	return out, nil
}

// Inspection explains a token.
type Inspection struct {
	Valid   bool              `json:"valid"`
	Verdict string            `json:"verdict"`
	Kind    string            `json:"kind"`
	Mount   string            `json:"mount"`
	KeyID   string            `json:"key_id"`
	Header  json.RawMessage   `json:"header"`
	Claims  json.RawMessage   `json:"claims"`
	Checks  []Check           `json:"checks"`
	Session *Session          `json:"session"`
	Subject *Subject          `json:"subject"`
	Token   *ApplicationToken `json:"application_token"`
}

// Check is one step of verification.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Subject is whom a token speaks for, as of now.
type Subject struct {
	Kind    string   `json:"kind"`
	ID      string   `json:"id"`
	Account string   `json:"account"`
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	State   string   `json:"state"`
	Roles   []string `json:"roles"`
}

func inspectionOf(i *core.Inspection) Inspection {
	out := Inspection{
		Valid: i.Valid, Verdict: i.Verdict, Kind: strings.ToLower(fmt.Sprint(i.Kind)), Mount: i.Mount, KeyID: i.KeyID,
		Header: rawOrNull(i.Header), Claims: rawOrNull(i.Payload), Checks: make([]Check, len(i.Checks)),
	}
	for n, c := range i.Checks {
		out.Checks[n] = Check(c)
	}
	account, name := "", ""
	if s := i.Subject; s != nil {
		account, name = s.AccountShortname, s.Username
		out.Subject = &Subject{
			Kind: string(s.Kind), ID: s.ID, Account: account, Name: name,
			Type: string(s.Type), State: string(s.State), Roles: orEmpty(s.Roles),
		}
	}
	if i.Session != nil {
		s := sessionOf(i.Session, account)
		out.Session = &s
	}
	if i.Token != nil {
		t := applicationTokenOf(i.Token, account, name)
		out.Token = &t
	}
	return out
}

// rawOrNull passes JSON on as it was sent; a token's text may be anything, so
// what is not JSON is shown as a string.
func rawOrNull(s string) json.RawMessage {
	switch {
	case s == "":
		return json.RawMessage("null")
	case json.Valid([]byte(s)):
		return json.RawMessage(s)
	}
	b, _ := json.Marshal(s) // a string always encodes
	return b
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
