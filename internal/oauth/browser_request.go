package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// maxRequest bounds the parameters of an authorization or logout request, in
// bytes: they must fit into the URL that a form leads back to.
const maxRequest = 8 << 10

// request is an authorization request whose client and redirect URI are known
// to belong together. Only then may anything be sent there.
type request struct {
	params   url.Values // as they came, one value each
	client   *core.ClientRecord
	redirect string
	state    string

	scope     []string // as asked for
	audience  []string
	challenge string
	prompt    []string
	maxAge    int64  // seconds; -1 = not given
	subject   string // whom id_token_hint names, "" = nobody
}

// answer is an error that the client is told of by a redirect (RFC 6749
// section 4.1.2.1).
type answer struct {
	req         *request
	name        string
	description string
	err         error // for the log
}

func (a *answer) Error() string { return a.name + ": " + a.description }
func (a *answer) Unwrap() error { return a.err }

func (q *request) refuse(name, description string) error {
	return &answer{req: q, name: name, description: description}
}

// Names of errors of the authorization endpoint (RFC 6749 section 4.1.2.1,
// OpenID Connect Core section 3.1.2.6).
const (
	errAccessDenied    = "access_denied"
	errResponseType    = "unsupported_response_type"
	errServer          = "server_error"
	errUnavailable     = "temporarily_unavailable"
	errLoginRequired   = "login_required"
	errConsentRequired = "consent_required"
	errNoRequest       = "request_not_supported"
	errNoRequestURI    = "request_uri_not_supported"
	errNoRegistration  = "registration_not_supported"
)

// parameters splits a query or form. Names that come twice are told apart from
// the rest: whether they are shown or sent to the client depends on which.
func parameters(raw string) (one url.Values, twice []string, err error) {
	if len(raw) > maxRequest || strings.Count(raw, "&") >= maxParams {
		return nil, nil, invalidRequest("The request is too long")
	}
	all, err := url.ParseQuery(raw)
	if err != nil {
		return nil, nil, invalidRequest("The parameters of the request are not well-formed")
	}
	one = url.Values{}
	for name, values := range all {
		if len(values) > 1 {
			twice = append(twice, name)
			continue
		}
		if v := values[0]; v != "" { // without a value: as if left out
			if !utf8.ValidString(v) || !utf8.ValidString(name) || strings.ContainsRune(v, 0) {
				return nil, nil, invalidRequest("A parameter of the request is not text")
			}
			one[name] = values
		}
	}
	slices.Sort(twice)
	return one, twice, nil
}

// readRequest reads an authorization request. What is wrong before client and
// redirect URI are trusted is an error to show (an open redirector otherwise);
// what is wrong after that is an *answer.
func (b *browser) readRequest(ctx context.Context, raw string) (*request, error) {
	params, twice, err := parameters(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		if slices.Contains(twice, name) {
			return nil, invalidRequest("The application sent " + name + " twice")
		}
		if params.Get(name) == "" {
			return nil, invalidRequest("The application did not send " + name)
		}
	}
	q := &request{params: params, redirect: params.Get("redirect_uri"), maxAge: -1}
	q.client, err = b.svc.PublicClient(ctx, params.Get("client_id"))
	if core.CodeOf(err).Is(core.Unauthorized) {
		return nil, invalidRequest("The application is not known here. Ask its makers to check the client_id")
	}
	if err != nil {
		return nil, err
	}
	if !authserver.RedirectAllowed(q.client.RedirectURIs, q.redirect) {
		return nil, invalidRequest("The application asked to be answered at an address that is not registered for it")
	}
	if !slices.Contains(twice, "state") {
		q.state = params.Get("state")
	}
	if len(twice) > 0 {
		return nil, q.refuse(authserver.InvalidRequest, "a parameter is given twice: "+clip(twice[0]))
	}
	return q, b.readRest(q)
}

// readRest reads what the client is told of when it is wrong.
func (b *browser) readRest(q *request) error {
	get := q.params.Get
	for _, unserved := range []struct{ param, name string }{
		{"request", errNoRequest}, {"request_uri", errNoRequestURI}, {"registration", errNoRegistration},
	} {
		if get(unserved.param) != "" {
			return q.refuse(unserved.name, "the parameter "+unserved.param+" is not served here")
		}
	}
	switch typ := get("response_type"); {
	case typ == "":
		return q.refuse(authserver.InvalidRequest, "response_type is missing")
	case typ != "code":
		return q.refuse(errResponseType, "the only response_type here is code")
	case !q.client.MayUse(core.GrantCode):
		return q.refuse(authserver.UnauthorizedClient, "this client may not use authorization codes")
	}
	if m := get("response_mode"); m != "" && m != "query" {
		return q.refuse(authserver.InvalidRequest, "the only response_mode here is query")
	}
	q.challenge = get("code_challenge")
	if q.challenge == "" || get("code_challenge_method") != "S256" {
		// Left out, the method would be plain (RFC 7636 section 4.3), which whoever
		// sees the request defeats.
		return q.refuse(authserver.InvalidRequest, "PKCE is needed: send code_challenge and code_challenge_method=S256")
	}
	var err error
	if q.scope, err = authserver.ParseScope(get("scope")); err != nil {
		return q.refuse(authserver.InvalidScope, "the scope is malformed")
	}
	if res, aud := get("resource"), get("audience"); res != "" && aud != "" && res != aud {
		return q.refuse(authserver.InvalidRequest, "audience and resource differ; give one")
	} else if res != "" || aud != "" {
		q.audience = []string{max(res, aud)} // equal, or one is empty
	}
	return b.readLogin(q)
}

// readLogin reads what the client wants of the login itself (OpenID Connect
// Core section 3.1.2.1).
func (b *browser) readLogin(q *request) error {
	q.prompt = strings.Fields(q.params.Get("prompt"))
	for _, p := range q.prompt {
		if p != "none" && p != "login" && p != "consent" {
			return q.refuse(authserver.InvalidRequest, "prompt may be none, login or consent")
		}
	}
	if q.prompts("none") && len(q.prompt) > 1 {
		return q.refuse(authserver.InvalidRequest, "prompt=none stands alone")
	}
	if text := q.params.Get("max_age"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			return q.refuse(authserver.InvalidRequest, "max_age is a number of seconds")
		}
		q.maxAge = n
	}
	if hint := q.params.Get("id_token_hint"); hint != "" {
		client, user, _, err := b.svc.IDTokenHint(hint)
		if err != nil || client != q.client.ID {
			return q.refuse(authserver.InvalidRequest, "id_token_hint is no id token that this client was given")
		}
		q.subject = user
	}
	return nil
}

func (q *request) prompts(word string) bool { return slices.Contains(q.prompt, word) }

// encode gives the parameters back, to be carried by a form.
func (q *request) encode() string { return q.params.Encode() }

// loggedIn gives the parameters for the way on after a login: what asked for
// it has been done.
func (q *request) loggedIn() string {
	next := url.Values{}
	for k, v := range q.params {
		next[k] = v
	}
	next.Del("max_age")
	next.Del("prompt")
	if q.prompts("consent") {
		next.Set("prompt", "consent")
	}
	return next.Encode()
}

// fits reports whether a login will do for the request; now in milliseconds.
func (q *request) fits(login *authserver.BrowserLogin, now int64) bool {
	switch {
	case login == nil, login.Subject.Account != q.client.Account:
		return false
	case q.subject != "" && q.subject != login.Subject.ID:
		return false
	}
	return !q.prompts("login") && (q.maxAge < 0 || now-login.AuthTime <= q.maxAge*1000)
}

// withQuery puts parameters behind a redirect URI. The URI stays the text that
// was registered.
func withQuery(uri string, params url.Values) string {
	switch {
	case len(params) == 0:
		return uri
	case !strings.Contains(uri, "?"):
		return uri + "?" + params.Encode()
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return uri + params.Encode()
	}
	return uri + "&" + params.Encode()
}

// refusalOf makes an error of the engine one that the client is told of.
func (q *request) refusalOf(err error) error {
	var e *core.Error
	if !errors.As(err, &e) {
		e = &core.Error{Code: core.CodeOf(err)}
	}
	a := &answer{req: q, err: err}
	switch {
	case e.OAuth != "":
		a.name, a.description = e.OAuth, describable(e.Message)
	case e.Code.Is(core.Unavailable), e.Code == core.TooMany:
		a.name, a.description = errUnavailable, "the server cannot answer now; try again"
	case e.Code.Is(core.Unauthorized), e.Code.Is(core.Forbidden):
		a.name, a.description = errAccessDenied, "the login or the client changed meanwhile"
	default:
		a.name = errServer
	}
	return a
}
