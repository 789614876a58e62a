package authserver

import "github.com/sallyport/sallyport/internal/core"

// oauthError makes an error that has a name of its own in RFC 6749 section 5.2
// or a sibling of it.
func oauthError(name, reason, format string, args ...any) *core.Error {
	e := core.Errorf(core.BadRequest, format, args...)
	e.OAuth, e.Reason = name, reason
	return e
}

// Names of errors (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
const (
	InvalidRequest       = "invalid_request"
	InvalidClient        = "invalid_client"
	InvalidGrant         = "invalid_grant"
	UnauthorizedClient   = "unauthorized_client"
	UnsupportedGrantType = "unsupported_grant_type"
	InvalidScope         = "invalid_scope"
	InvalidTarget        = "invalid_target"
)

// refuse makes an error with an internal reason and no message of its own.
func refuse(code core.Code, reason string) *core.Error {
	return &core.Error{Code: code, Reason: reason}
}

func invalidGrant(reason string) *core.Error {
	e := oauthError(InvalidGrant, reason, "The grant is not valid, has expired, was used or belongs to another client")
	e.Code = core.TokenInvalid
	return e
}

// mayUse refuses a grant that the client was not given.
func mayUse(c *core.OAuthClient, grant string) error {
	if c.MayUse(grant) {
		return nil
	}
	return oauthError(UnauthorizedClient, "grant not allowed", "This client may not use the grant type %s", grant)
}
