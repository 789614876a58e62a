package core

import (
	"errors"
	"fmt"
)

// Code names a kind of refusal. The codes form a closed tree (see Parent): an
// edge that has no words for a code uses those of its parent, and the roots
// are the codes every contract must have words for.
type Code string

// The roots of the tree.
const (
	BadRequest   Code = "bad_request"  // the request itself is wrong
	Unauthorized Code = "unauthorized" // no valid credential
	Forbidden    Code = "forbidden"    // a valid credential that may not do this
	NotFound     Code = "not_found"    // no such thing or route
	Conflict     Code = "conflict"     // the thing exists already, or changed meanwhile
	TooMany      Code = "too_many"     // a limit; try again later
	Unavailable  Code = "unavailable"  // the store or a key does not answer; fail closed
	Internal     Code = "internal"     // a defect of ours
)

// Children of BadRequest.
const (
	BodyMalformed        Code = "body_malformed"         // no JSON, no form, invalid UTF-8
	BodyTooLarge         Code = "body_too_large"         //
	MediaTypeUnsupported Code = "media_type_unsupported" // 415
	MethodNotAllowed     Code = "method_not_allowed"     // 405 with Allow
	FieldMissing         Code = "field_missing"          // a required input is absent
	FieldInvalid         Code = "field_invalid"          // mistyped, too long, not an enum value
	FieldUnknown         Code = "field_unknown"          // where unknown fields are refused
	FieldRepeated        Code = "field_repeated"         // duplicate JSON member or parameter
)

// Children of Unauthorized. BadCredentials covers a wrong password, an
// unknown, a disabled and a locked user alike: a contract that could tell them
// apart would tell a stranger who exists.
const (
	BadCredentials      Code = "bad_credentials"
	TokenMissing        Code = "token_missing"
	TokenInvalid        Code = "token_invalid" // parent of those below
	TokenMalformed      Code = "token_malformed"
	TokenWrongKind      Code = "token_wrong_kind"
	TokenExpired        Code = "token_expired"
	TokenRevoked        Code = "token_revoked"
	TokenReused         Code = "token_reused"          // a refresh token used late again
	LoginTooOld         Code = "login_too_old"         // the token is good, but its login too long ago for this (RFC 9470)
	SubjectMismatch     Code = "subject_mismatch"      // the sub given is not the token's
	RequestTokenInvalid Code = "request_token_invalid" // unknown, disabled or wrong API key, out of window, replayed
)

// Children of Unavailable, for the gateway alone.
const (
	UpstreamFailed  Code = "upstream_failed"  // the protected API does not answer: 502
	UpstreamTimeout Code = "upstream_timeout" // … not in time: 504
)

// Children of Forbidden.
const (
	UserTypeForbidden Code = "user_type_forbidden" // e.g. application token for a plain user
	ScopeInsufficient Code = "scope_insufficient"
	NetworkForbidden  Code = "network_forbidden"
	TokenLimit        Code = "token_limit" // too many application tokens
)

var parents = map[Code]Code{
	BodyMalformed: BadRequest, BodyTooLarge: BadRequest, MediaTypeUnsupported: BadRequest,
	MethodNotAllowed: BadRequest, FieldMissing: FieldInvalid, FieldInvalid: BadRequest,
	FieldUnknown: FieldInvalid, FieldRepeated: FieldInvalid,
	BadCredentials: Unauthorized, TokenMissing: Unauthorized, LoginTooOld: Unauthorized, TokenInvalid: Unauthorized,
	TokenMalformed: TokenInvalid, TokenWrongKind: TokenInvalid, TokenExpired: TokenInvalid,
	TokenRevoked: TokenInvalid, TokenReused: TokenRevoked, SubjectMismatch: TokenInvalid,
	RequestTokenInvalid: BadCredentials,
	UserTypeForbidden:   Forbidden, ScopeInsufficient: Forbidden, NetworkForbidden: Forbidden,
	TokenLimit: Forbidden, UpstreamFailed: Unavailable, UpstreamTimeout: Unavailable,
}

// Roots lists the codes without a parent, in a fixed order.
func Roots() []Code {
	return []Code{BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooMany, Unavailable, Internal}
}

// Codes lists every code of the tree.
func Codes() []Code {
	all := Roots()
	for c := range parents {
		all = append(all, c)
	}
	return all
}

// Parent is the code whose words serve when c has none; "" for a root or an
// unknown code.
func (c Code) Parent() Code { return parents[c] }

// Is reports whether c is, or stands below, ancestor.
func (c Code) Is(ancestor Code) bool {
	for ; c != ""; c = c.Parent() {
		if c == ancestor {
			return true
		}
	}
	return false
}

// Error is the one error type that leaves this package on purpose. Edges show
// Code in their own words, plus Message where their surface has room for it;
// Reason and Err are for the log and never leave the machine.
type Error struct {
	Code       Code
	OAuth      string      // name of the error on OAuth endpoints (RFC 6749 section 5.2), "" = by Code
	Message    string      // safe to show; says what to do
	Reason     string      // the precise internal reason, for logs and audit
	Violations []Violation // which inputs are wrong, for BadRequest
	RetryAfter int64       // milliseconds until a retry can help, or 0
	Principal  *Principal  // whose token it was, when its signature verified
	Err        error
}

// Violation points at one wrong input.
type Violation struct {
	Loc     []string // where: {"body","refresh_token"}, {"header","x-api-version"}
	Message string   // what is wrong, e.g. "Field required"
	Type    string   // a stable word: missing, type, value, unknown, repeated, json, too_long
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose message is safe to show.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// refuse makes an Error with an internal reason and no message of its own.
func refuse(code Code, reason string) *Error { return &Error{Code: code, Reason: reason} }

// CodeOf gives the code of err; Internal for an error that is not ours.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if errors.Is(err, ErrStoreUnavailable) || errors.Is(err, ErrUnknownOutcome) {
		return Unavailable
	}
	return Internal
}

// Errors a Store returns beside *Error. Anything else it returns is treated
// as ErrStoreUnavailable: fail closed, never "invalid token".
var (
	// ErrNoRow: the row asked for does not exist.
	ErrNoRow = errors.New("no such row")
	// ErrExists: a row with this id or name exists already.
	ErrExists = errors.New("exists already")
	// ErrStale: a version read before the step is no longer the current one.
	ErrStale = errors.New("changed meanwhile")
	// ErrUnknownOutcome: the caller's context ended after the step was handed
	// to the writer; it may have happened. Repeat it with the same ids.
	ErrUnknownOutcome = errors.New("outcome unknown: the step was handed to the store and may have happened")
	// ErrStoreUnavailable: the store does not answer (disk full, closed, …).
	ErrStoreUnavailable = errors.New("the store does not answer")
)
