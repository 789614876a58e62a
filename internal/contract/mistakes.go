package contract

import (
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing wrong in a contract file: where, what, and what would
// be right.
type Mistake struct {
	File      string
	Line, Col int
	Text      string
}

// String gives "FILE:LINE:COL: what is wrong; what would be right".
func (m Mistake) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Col, m.Text)
}

// Mistakes are all that is wrong in a file, in the order of the file.
type Mistakes []Mistake

// Error gives one line each.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// pos is a place in a contract file, counted from 1.
type pos struct{ Line, Col int }

// report collects mistakes while a file is read.
type report struct {
	file string
	list Mistakes
}

func (r *report) add(at pos, format string, args ...any) {
	r.list = append(r.list, Mistake{File: r.file, Line: max(at.Line, 1), Col: max(at.Col, 1), Text: fmt.Sprintf(format, args...)})
}

// err gives what was collected, sorted and without repeats, or nil.
func (r *report) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b Mistake) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	return slices.Compact(r.list)
}

// suggest ends a message about an unknown name: the nearest known one, or the
// whole list when none is near.
func suggest(name string, known []string) string {
	if k := otherWord(name, known); k != "" {
		return fmt.Sprintf("did you mean %s?", k)
	}
	best, bestAt := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k); d <= bestAt && (best == "" || d < bestAt) {
			best, bestAt = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	sorted := slices.Clone(known)
	slices.Sort(sorted)
	return "want one of " + strings.Join(sorted, ", ")
}

// otherWords are words that people bring along from elsewhere, and ours.
var otherWords = map[string]string{
	"email": "username", "mail": "username", "login": "username", "user": "username", "identifier": "username", "user_name": "username",
	"pass": "password", "pwd": "password", "passwd": "password", "secret": "password", "refresh": "refresh_token", "access": "access_token",
	"signin": "password", "sign_in": "password", "token": "password", "client_credentials": "request_token",
	"userinfo": "whoami", "me": "whoami", "introspect": "verify", "validate": "verify", "revoke": "logout", "signout": "logout",
	"ms": "milliseconds", "millis": "milliseconds", "s": "seconds", "sec": "seconds", "iso": "rfc3339", "iso8601": "rfc3339", "date": "layout",
	"timestamp": "unix", "epoch": "unix", "format": "layout", "lowercase": "lower", "uppercase": "upper", "str": "string", "text": "string",
	"string": "text", "bool": "boolean", "int": "integer", "number": "integer", "array": "list", "any": "scalar",
	"user.name": "user.username", "user.login": "user.username", "user.mail": "user.email", "user.sub": "user.id", "role": "user.roles",
	"roles": "user.roles", "expires": "expires_in", "exp": "access_expires", "expires_at": "access_expires", "user_id": "user.id", "jti": "token_id",
	"sub": "subject", "sid": "session_id", "user.role": "user.roles", "user.tenant": "user.account", "timeout": "lifetime", "ttl": "lifetime", "expiry": "lifetime",
	"path": "route", "url": "route", "response": "answer", "request": "accept", "type": "grant", "params": "query", "body": "json", "headers": "header", "cookies": "cookie",
	"invalid_credentials": "bad_credentials", "expired_token": "token_expired", "invalid_token": "token_invalid", "rate_limited": "too_many", "server_error": "internal",
}

// otherWord finds the known name that is the same in another case, or the one
// that people call so elsewhere.
func otherWord(name string, known []string) string {
	bare := strings.ToLower(strings.TrimPrefix(name, "$"))
	for _, k := range known {
		if strings.EqualFold(k, name) || otherWords[bare] != "" && strings.TrimPrefix(k, "$") == otherWords[bare] {
			return k
		}
	}
	if bare == "login" && slices.Contains(known, "password") { // a grant
		return "password"
	}
	return ""
}

// distance is the number of edits (insert, delete, replace, swap neighbours)
// between two names. Long input is cut: it is no typing mistake.
func distance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	prev2, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, cur
	}
	return prev[len(b)]
}
