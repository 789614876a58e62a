package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// client says which client calls, however it proved that. Two ways at once are
// refused (RFC 6749 section 2.3): it would not be said which one counted.
func (h *Handler) client(c *call) (*core.ClientRecord, error) {
	cred, err := c.credential()
	if err != nil {
		return nil, err
	}
	if cred == nil {
		return nil, invalidClient("no client authentication")
	}
	return h.svc.AuthenticateClient(c.ctx(), cred)
}

func invalidClient(reason string) error {
	return &core.Error{
		Code: core.BadCredentials, OAuth: authserver.InvalidClient, Reason: reason,
		Message: "The client is unknown or did not prove who it is",
	}
}

// credential reads what the request says about its client; nil for nothing.
func (c *call) credential() (*authserver.ClientCredential, error) {
	var found []*authserver.ClientCredential
	id := c.form.Get("client_id")
	if headers := c.r.Header.Values("Authorization"); len(headers) > 0 {
		if len(headers) > 1 {
			return nil, invalidRequest("there are two Authorization headers")
		}
		cred, err := basic(headers[0])
		if err != nil {
			return nil, err
		}
		if id != "" && id != cred.ID {
			return nil, invalidRequest("client_id and the Authorization header name different clients")
		}
		found = append(found, cred)
	}
	if s := c.form.Get("client_secret"); s != "" {
		found = append(found, &authserver.ClientCredential{Method: core.AuthSecretPost, ID: id, Secret: s})
	}
	if c.form.Get("client_assertion") != "" || c.form.Get("client_assertion_type") != "" {
		if c.form.Get("client_assertion_type") != assertionType {
			return nil, invalidRequest("client_assertion_type must be " + assertionType)
		}
		found = append(found, &authserver.ClientCredential{Method: core.AuthPrivateKey, ID: id, Assertion: c.form.Get("client_assertion")})
	}
	switch {
	case len(found) > 1:
		return nil, invalidRequest("the client authenticates in two ways at once; use one")
	case len(found) == 0 && id != "":
		found = append(found, &authserver.ClientCredential{Method: core.AuthNone, ID: id})
	case len(found) == 0:
		return nil, nil
	}
	found[0].Client = c.from
	return found[0], nil
}

// maxBasic bounds Basic credentials, in bytes: an id of at most 100 characters
// and a secret, encoded twice.
const maxBasic = 2048

// basic reads an Authorization header. Id and secret are form-encoded before
// they are joined (RFC 6749 section 2.3.1).
func basic(header string) (*authserver.ClientCredential, error) {
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return nil, invalidClient("Authorization is not Basic")
	}
	if len(rest) > maxBasic {
		return nil, invalidClient("Basic is too long")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil || strings.ContainsAny(rest, "\r\n") {
		return nil, invalidClient("Basic is not base64")
	}
	user, pass, ok := strings.Cut(string(raw), ":")
	if !ok {
		return nil, invalidClient("Basic has no colon")
	}
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(pass)
	if err1 != nil || err2 != nil || id == "" {
		return nil, invalidClient("Basic is not form-encoded")
	}
	return &authserver.ClientCredential{Method: core.AuthSecretBasic, ID: id, Secret: secret}, nil
}
