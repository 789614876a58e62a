package client

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrLoginRequired says that the refresh token is no good any more, or missing, and that the Session has no credentials
// to log in with. Somebody has to log in and make a new Session.
var ErrLoginRequired = errors.New("client: a new login is needed")

// ErrClosed says that a Session was closed and its token is over.
var ErrClosed = errors.New("client: the session is closed")

// Error is a failed exchange with the server. Its text holds what the server said, never what was sent.
type Error struct {
	Op         string        // "login", "refresh" or "application token"
	Status     int           // HTTP status; 0 when no answer came
	Code       string        // OAuth's error code, where there is one
	Message    string        // what the server said, shortened
	RetryAfter time.Duration // how long the server asks to wait; 0 when it does not
	Err        error         // the cause, when no usable answer came
}

// Error says what failed and how.
func (e *Error) Error() string {
	s := "client: " + e.Op + " failed"
	if e.Status != 0 {
		s += fmt.Sprintf(": status %d", e.Status)
	}
	if e.Code != "" {
		s += ": " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (the server asks to wait %v)", e.RetryAfter)
	}
	return s
}

// Unwrap gives the cause, such as a *net.OpError.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same request may be answered later: no answer came, an unusable one, or one that says
// so. It may have had its effect on the server all the same.
func (e *Error) Temporary() bool {
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500 || e.Status == http.StatusOK
}

func temporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Temporary()
}

// refused reports whether the server judged the credential and found it dead. A 404 or 405 comes from a proxy that
// sends the request to the wrong place, a 403 from a rule about who may what: no reason to give a refresh token up.
func refused(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest:
		return e.Code == "" || e.Code == "invalid_grant"
	case http.StatusUnauthorized:
		return e.Code != "invalid_client" // then the client is wrong, not its token
	case http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func retryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
