package contract

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport/sallyport/internal/core"
)

// scope says in which templates a value exists.
type scope uint16

const (
	inClaims    scope = 1 << iota // claims of access, id and application tokens
	inRefresh                     // claims of refresh tokens: session values and constants alone
	inGranted                     // answers of grants that issue tokens
	inPrincipal                   // answers of verify and whoami
	inLogout                      // answers of logout
	inError                       // refusals
	inEach                        // inside $each over violations
	inEntry                       // inside $each over a list
)

const (
	inAnswers = inGranted | inPrincipal | inLogout
	inSubject = inClaims | inGranted | inPrincipal
)

// env is what a template draws from; members that do not apply are nil.
type env struct {
	now       int64
	granted   *core.Granted
	principal *core.Principal
	token     *core.TokenValues
	refusal   *refusal
	item      *core.Violation
	entry     *string
	req       *request
}

func (e *env) subject() *core.Subject {
	switch {
	case e.granted != nil:
		return e.granted.Subject
	case e.principal != nil:
		return &e.principal.Subject
	case e.token != nil:
		return e.token.Subject
	}
	return nil
}

func (e *env) session() *core.Session {
	switch {
	case e.granted != nil:
		return e.granted.Session
	case e.token != nil:
		return e.token.Session
	}
	return nil
}

// known is a value an author may name.
type known struct {
	name  string // "access_token"; one ending in "." takes any path behind it
	t     valueType
	in    scope
	about string
	get   func(e *env, path []string) value
}

func ofGranted(f func(g *core.Granted) value) func(*env, []string) value {
	return func(e *env, _ []string) value {
		if e.granted == nil {
			return value{}
		}
		return f(e.granted)
	}
}

func ofSubject(f func(s *core.Subject) value) func(*env, []string) value {
	return func(e *env, _ []string) value {
		s := e.subject()
		if s == nil {
			return value{}
		}
		return f(s)
	}
}

func ofSession(f func(s *core.Session) value) func(*env, []string) value {
	return func(e *env, _ []string) value {
		s := e.session()
		if s == nil {
			return value{}
		}
		return f(s)
	}
}

func ofRefusal(f func(r *refusal) value) func(*env, []string) value {
	return func(e *env, _ []string) value {
		if e.refusal == nil {
			return value{}
		}
		return f(e.refusal)
	}
}

// until is the time left, null for what was not issued or never expires.
func until(now, at int64) value {
	if at == 0 {
		return value{}
	}
	return duration(max(0, at-now))
}

var allValues = []known{
	{"access_token", tText, inGranted, "the access token", ofGranted(func(g *core.Granted) value { return textOrNull(g.AccessToken) })},
	{"refresh_token", tText, inGranted, "the refresh token", ofGranted(func(g *core.Granted) value { return textOrNull(g.RefreshToken) })},
	{"id_token", tText, inGranted, "the id token", ofGranted(func(g *core.Granted) value { return textOrNull(g.IDToken) })},
	{"application_token", tText, inGranted, "the application token", ofGranted(func(g *core.Granted) value { return textOrNull(g.ApplicationToken) })},
	{"application_token_id", tText, inGranted, "its id (jti), by which it is listed and revoked", ofGranted(func(g *core.Granted) value { return textOrNull(g.ApplicationID) })},
	{"expires_in", tDuration, inGranted | inPrincipal, "time left of the access token", func(e *env, _ []string) value {
		if e.principal != nil {
			return until(e.now, e.principal.ExpiresAt)
		}
		return ofGranted(func(g *core.Granted) value { return until(g.Now, g.AccessExpires) })(e, nil)
	}},
	{"refresh_expires_in", tDuration, inGranted, "time left of the refresh token", ofGranted(func(g *core.Granted) value { return until(g.Now, g.RefreshExpires) })},
	{"id_expires_in", tDuration, inGranted, "time left of the id token", ofGranted(func(g *core.Granted) value { return until(g.Now, g.IDExpires) })},
	{"access_expires", tTime, inGranted, "when the access token expires", ofGranted(func(g *core.Granted) value { return instantOrNull(g.AccessExpires) })},
	{"refresh_expires", tTime, inGranted, "when the refresh token expires", ofGranted(func(g *core.Granted) value { return instantOrNull(g.RefreshExpires) })},
	{"id_expires", tTime, inGranted, "when the id token expires", ofGranted(func(g *core.Granted) value { return instantOrNull(g.IDExpires) })},
	{"session_id", tText, inRefresh | inSubject, "the session's id (sid)", sessionID},
	{"session_started", tTime, inRefresh | inClaims | inGranted, "when the session was opened", ofSession(func(s *core.Session) value { return instantOrNull(s.CreatedAt) })},
	{"login_name", tText, inRefresh | inClaims | inGranted, "the user name as it was when the session was opened", ofSession(func(s *core.Session) value { return text(s.LoginName) })},
	{"subject", tText, inRefresh | inSubject, "the id of the user or API key (sub)", subjectID},
	{"scope", tText, inSubject, "the roles, joined by spaces", func(e *env, _ []string) value { return text(strings.Join(scopesOf(e), " ")) }},
	{"scopes", tList, inSubject, "the roles, narrowed where the token is", func(e *env, _ []string) value { return list(scopesOf(e)) }},
	{"user.id", tText, inSubject, "the user's or API key's id", ofSubject(func(s *core.Subject) value { return text(s.ID) })},
	{"user.username", tText, inSubject, "the user name now; the app name of an API key", ofSubject(func(s *core.Subject) value { return text(s.Username) })},
	{"user.email", tText, inSubject, "the e-mail address, null when there is none", ofSubject(func(s *core.Subject) value { return textOrNull(s.Email) })},
	{"user.email_verified", tBool, inSubject, "whether the e-mail address was verified", ofSubject(func(s *core.Subject) value { return boolean(s.EmailVerified) })},
	{"user.type", tText, inSubject, "user or application", ofSubject(func(s *core.Subject) value { return text(string(s.Type)) })},
	{"user.roles", tList, inSubject, "the roles", ofSubject(func(s *core.Subject) value { return list(s.Roles) })},
	{"user.account", tText, inSubject, "the shortname of the account", ofSubject(func(s *core.Subject) value { return text(s.AccountShortname) })},
	{"user.attributes", tJSON, inSubject, "all attributes, as a JSON object", ofSubject(func(s *core.Subject) value { return rawOrNull(s.Attributes) })},
	{"user.attributes.", tJSON, inSubject, "one attribute; dots go deeper; null when it is not there", func(e *env, path []string) value {
		s := e.subject()
		if s == nil {
			return value{}
		}
		return lookup(s.Attributes, path)
	}},
	{"token_id", tText, inClaims | inPrincipal, "the token's id (jti)", func(e *env, _ []string) value {
		if e.token != nil {
			return text(e.token.TokenID)
		}
		return ofPrincipal(e, func(p *core.Principal) value { return textOrNull(p.TokenID) })
	}},
	{"token_kind", tText, inPrincipal, "access, refresh, id or application", func(e *env, _ []string) value {
		return ofPrincipal(e, func(p *core.Principal) value { return text(string(p.Kind)) })
	}},
	{"issued_at", tTime, inClaims | inPrincipal, "when the token was issued", func(e *env, _ []string) value {
		if e.token != nil {
			return instant(e.token.IssuedAt)
		}
		return ofPrincipal(e, func(p *core.Principal) value { return instantOrNull(p.IssuedAt) })
	}},
	{"expires_at", tTime, inClaims | inPrincipal, "when the token expires, null for never", func(e *env, _ []string) value {
		if e.token != nil {
			return instantOrNull(e.token.ExpiresAt)
		}
		return ofPrincipal(e, func(p *core.Principal) value { return instantOrNull(p.ExpiresAt) })
	}},
	{"claims", tJSON, inPrincipal, "the token's whole payload", func(e *env, _ []string) value {
		return ofPrincipal(e, func(p *core.Principal) value { return rawOrNull(p.Claims) })
	}},
	{"claims.", tJSON, inPrincipal, "one claim of the token; dots go deeper", func(e *env, path []string) value {
		return ofPrincipal(e, func(p *core.Principal) value { return lookup(p.Claims, path) })
	}},
	{"issuer", tText, inClaims, "the token's issuer (iss)", func(e *env, _ []string) value {
		if e.token == nil {
			return value{}
		}
		return text(e.token.Issuer)
	}},
	{"now", tTime, inClaims | inAnswers | inError, "the time of the answer", func(e *env, _ []string) value { return instant(nowOf(e)) }},
	{"uuid", tText, inClaims | inAnswers | inError, "a new random UUID, another at each place", func(*env, []string) value { return text(core.NewUUID()) }},
	{"request_id", tText, inAnswers | inError, "the request's id, as in the log", func(e *env, _ []string) value {
		if e.req == nil {
			return value{}
		}
		return textOrNull(e.req.id)
	}},
	{"path", tText, inAnswers | inError, "the path asked for", func(e *env, _ []string) value {
		if e.req == nil || e.req.http == nil {
			return value{}
		}
		return text(e.req.http.URL.Path)
	}},
	{"method", tText, inAnswers | inError, "the method of the request", func(e *env, _ []string) value {
		if e.req == nil || e.req.http == nil {
			return value{}
		}
		return text(e.req.http.Method)
	}},
	{"entry", tText, inEntry, "the member of the list that `$each` is at", func(e *env, _ []string) value {
		if e.entry == nil {
			return value{}
		}
		return text(*e.entry)
	}},
	{"status", tInt, inError, "the HTTP status", ofRefusal(func(r *refusal) value { return number(int64(r.status)) })},
	{"status_text", tText, inError, "its standard text, such as Unauthorized", ofRefusal(func(r *refusal) value { return text(http.StatusText(r.status)) })},
	{"code", tText, inError, "the error kind, such as token_expired", ofRefusal(func(r *refusal) value { return text(string(r.code)) })},
	{"message", tText, inError | inEach, "what is wrong, in the contract's or our words", func(e *env, _ []string) value {
		if e.item != nil {
			return text(e.item.Message)
		}
		return ofRefusal(func(r *refusal) value { return text(r.message) })(e, nil)
	}},
	{"field", tText, inError | inEach, "the wrong input's name, nested names joined by dots; null when there is none", ofViolation(func(v *core.Violation) value { return textOrNull(fieldOf(v)) })},
	{"loc", tList, inError | inEach, `where the wrong input is: ["body","username"]; null when there is none`, ofViolation(func(v *core.Violation) value { return list(v.Loc) })},
	{"type", tText, inError | inEach, "what is wrong with it, one word; null when there is none", ofViolation(func(v *core.Violation) value { return textOrNull(v.Type) })},
	{"violations", tViolations, inError, `every wrong input, as [{"loc","msg","type"}]`, ofRefusal(func(r *refusal) value { return value{t: tViolations, viol: r.violations} })},
	{"retry_after", tInt, inError, "seconds until a retry can help; null when it is not known", ofRefusal(func(r *refusal) value {
		if r.retryAfter == 0 {
			return value{}
		}
		return number(r.retryAfter)
	})},
}

func ofPrincipal(e *env, f func(p *core.Principal) value) value {
	if e.principal == nil {
		return value{}
	}
	return f(e.principal)
}

func ofViolation(f func(v *core.Violation) value) func(*env, []string) value {
	return func(e *env, _ []string) value {
		switch {
		case e.item != nil:
			return f(e.item)
		case e.refusal != nil && len(e.refusal.violations) > 0:
			return f(&e.refusal.violations[0])
		}
		return value{}
	}
}

func sessionID(e *env, _ []string) value {
	if s := e.session(); s != nil {
		return text(s.ID.String())
	}
	return ofPrincipal(e, func(p *core.Principal) value { return text(p.Session.String()) })
}

// subjectID prefers the session: a refresh token has nothing else.
func subjectID(e *env, _ []string) value {
	if s := e.session(); s != nil {
		return text(s.Subject)
	}
	return ofSubject(func(s *core.Subject) value { return text(s.ID) })(e, nil)
}

func scopesOf(e *env) []string {
	switch {
	case e.principal != nil:
		return e.principal.Scopes
	case e.token != nil && e.token.Scopes != nil:
		return e.token.Scopes
	}
	if s := e.subject(); s != nil {
		return s.Roles
	}
	return nil
}

// nowOf is the core's time where the core took one, so that an answer and its
// tokens agree.
func nowOf(e *env) int64 {
	switch {
	case e.granted != nil:
		return e.granted.Now
	case e.token != nil:
		return e.token.IssuedAt
	}
	return e.now
}

func rawOrNull(raw []byte) value {
	if len(raw) == 0 {
		return value{}
	}
	return value{t: tJSON, raw: raw}
}

// lookup walks a JSON object by names; null when a step is not there.
func lookup(raw []byte, path []string) value {
	for _, name := range path {
		raw = member(raw, name)
		if raw == nil {
			return value{}
		}
	}
	return rawOrNull(raw)
}

func member(raw []byte, name string) []byte {
	dec := jsontext.NewDecoder(newBuffer(raw))
	if dec.PeekKind() != '{' {
		return nil
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		hit := tok.String() == name
		val, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		if hit {
			return append([]byte(nil), val...)
		}
	}
	return nil
}

// findValue finds a name; rest is the path behind an open-ended one.
func findValue(name string) (k *known, rest []string) {
	for i := range allValues {
		k = &allValues[i]
		if k.name == name {
			return k, nil
		}
		if tail, ok := strings.CutPrefix(name, k.name); ok && strings.HasSuffix(k.name, ".") && tail != "" {
			return k, strings.Split(tail, ".")
		}
	}
	return nil, nil
}

func valueNames(in scope) []string {
	var names []string
	for i := range allValues {
		if allValues[i].in&in != 0 {
			names = append(names, "$"+strings.TrimSuffix(allValues[i].name, "."))
		}
	}
	return names
}
