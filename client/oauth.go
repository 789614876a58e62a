package client

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The ways in which an OAuth client proves who it is (RFC 7591 section 2).
const (
	AuthBasic         = "client_secret_basic" // the default with a secret
	AuthPost          = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt" // the default with a key
	AuthNone          = "none"            // the default with neither: a public client
)

// OAuth says how to get tokens from the OAuth token endpoint.
type OAuth struct {
	Issuer       string // the server's issuer URL
	TokenURL     string // "" is Issuer + "/oauth2/token"
	ClientID     string
	ClientSecret string
	Auth         string        // one of the Auth constants; "" chooses by what is there
	Key          crypto.Signer // for private_key_jwt: P-256 or Ed25519
	KeyID        string        // kid of Key in the client's registered JWKS
	Scopes       []string      // nil asks for what the client may have
	Audience     string        // resource to ask for (RFC 8707); "" is the client's default
}

// NewClientCredentials makes a Session of a client that speaks for itself.
func NewClientCredentials(cfg OAuth, o Options) (*Session, error) { return newOAuth(cfg, o, true) }

// NewOAuthUser makes a Session that goes on with a user's login: Options.Initial, or the Store, has its refresh token.
// A Store is for one user. The Session never gets a token of the client itself; when the refresh token is refused, Token says ErrLoginRequired.
func NewOAuthUser(cfg OAuth, o Options) (*Session, error) {
	if o.Store == nil && (o.Initial == nil || o.Initial.RefreshToken == "") {
		return nil, errors.New("client: give Options.Initial with a refresh token, or a Store that has one")
	}
	return newOAuth(cfg, o, false)
}

func newOAuth(cfg OAuth, o Options, machine bool) (*Session, error) {
	o.fill()
	if cfg.TokenURL == "" {
		cfg.TokenURL = strings.TrimRight(cfg.Issuer, "/") + "/oauth2/token"
	}
	x, err := newExchanger(&o, cfg.TokenURL)
	if err != nil {
		return nil, err
	}
	if err := cfg.choose(); err != nil {
		return nil, err
	}
	if machine && cfg.Auth == AuthNone {
		return nil, errors.New("client: a client without secret or key can't speak for itself; set ClientSecret or Key")
	}
	cfg.Scopes = slices.Clone(cfg.Scopes)
	kind := "oauth user"
	if machine {
		kind = "client credentials"
	}
	return newSession(o, &oauth{x: x, cfg: cfg, machine: machine}, x.base, kind, cfg.ClientID, strings.Join(cfg.Scopes, " "), cfg.Audience), nil
}

// choose settles and checks the way of authentication.
func (c *OAuth) choose() error {
	if c.ClientID == "" {
		return errors.New("client: ClientID is missing")
	}
	if c.Auth == "" {
		switch {
		case c.Key != nil:
			c.Auth = AuthPrivateKeyJWT
		case c.ClientSecret != "":
			c.Auth = AuthBasic
		default:
			c.Auth = AuthNone
		}
	}
	switch c.Auth {
	case AuthBasic, AuthPost:
		if c.ClientSecret == "" {
			return fmt.Errorf("client: %s needs ClientSecret", c.Auth)
		}
	case AuthPrivateKeyJWT:
		if c.Key == nil || c.Issuer == "" {
			return errors.New("client: private_key_jwt needs Key, and Issuer as the assertion's audience")
		}
		_, err := algorithm(c.Key)
		return err
	case AuthNone:
	default:
		return fmt.Errorf("client: Auth %q is not known; use one of %s, %s, %s, %s", c.Auth, AuthBasic, AuthPost, AuthPrivateKeyJWT, AuthNone)
	}
	return nil
}

type oauth struct {
	x       *exchanger
	cfg     OAuth
	machine bool
}

func (p *oauth) canLogin() bool { return p.machine }

func (p *oauth) login(ctx context.Context) (*Token, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	p.ask(form)
	return p.post(ctx, &message{op: "login", form: form})
}

func (p *oauth) refresh(ctx context.Context, t *Token) (*Token, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.RefreshToken}}
	p.ask(form)
	return p.post(ctx, &message{op: "refresh", form: form, secret: []string{t.RefreshToken}})
}

// ask adds what the token should be for.
func (p *oauth) ask(form url.Values) {
	if len(p.cfg.Scopes) > 0 {
		form.Set("scope", strings.Join(p.cfg.Scopes, " "))
	}
	if p.cfg.Audience != "" {
		form.Set("resource", p.cfg.Audience)
	}
}

// post authenticates the client in one way, as the server demands, and sends.
func (p *oauth) post(ctx context.Context, m *message) (*Token, error) {
	m.path = p.cfg.TokenURL
	m.secret = append(m.secret, p.cfg.ClientSecret)
	switch p.cfg.Auth {
	case AuthBasic:
		m.basic = [2]string{url.QueryEscape(p.cfg.ClientID), url.QueryEscape(p.cfg.ClientSecret)}
	case AuthPost:
		m.form.Set("client_id", p.cfg.ClientID)
		m.form.Set("client_secret", p.cfg.ClientSecret)
	case AuthPrivateKeyJWT:
		// A new one for each attempt: the server counts each once.
		signed, err := assertion(&p.cfg, p.x.now())
		if err != nil {
			return nil, err
		}
		m.form.Set("client_id", p.cfg.ClientID)
		m.form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		m.form.Set("client_assertion", signed)
		m.secret = append(m.secret, signed)
	default:
		m.form.Set("client_id", p.cfg.ClientID)
	}
	return askOAuth(ctx, p.x, m)
}
