package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"
)

// resend is for how long a signed request token may be sent again when its answer was lost: the server takes it for
// the same client's retry during five seconds.
const resend = 4 * time.Second

// Netography says how to get tokens by the Netography contract: with an API key, or as a user.
type Netography struct {
	URL        string // of the server; "" takes the one in the NETOSECRET
	Netosecret string // an API key, or
	Username   string // a user
	Password   string
}

// NewNetography makes a Session of the Netography contract. Refresh tokens rotate; with an API key, the Session signs a
// new request token when a refresh is refused.
func NewNetography(cfg Netography, o Options) (*Session, error) {
	o.fill()
	g := &netography{cfg: cfg}
	name := []string{"netography", cfg.Username}
	if cfg.Netosecret != "" {
		if cfg.Username != "" || cfg.Password != "" {
			return nil, errors.New("client: give a NETOSECRET, or user name and password, not both")
		}
		key, err := ParseNetosecret(cfg.Netosecret)
		if err != nil {
			return nil, err
		}
		g.key = key
		name = []string{"netography key", key.Shortname, key.AppName, key.AppKey}
		if cfg.URL == "" {
			cfg.URL = key.BaseURL()
		}
	}
	x, err := newExchanger(&o, cfg.URL)
	if err != nil {
		return nil, err
	}
	g.x = x
	return newSession(o, g, x.base, name...), nil
}

type netography struct {
	x   *exchanger
	cfg Netography
	key *Netosecret

	signed   string // the request token whose answer has not come
	signedAt time.Time
}

func (p *netography) canLogin() bool {
	return p.key != nil || p.cfg.Username != "" && p.cfg.Password != ""
}

func (p *netography) login(ctx context.Context) (*Token, error) {
	if p.key == nil {
		return p.ask(ctx, &message{
			op: "login", path: "/api/auth/bearer/token", secret: []string{p.cfg.Password},
			form: url.Values{"username": {p.cfg.Username}, "password": {p.cfg.Password}},
		})
	}
	if now := p.x.now(); p.signed == "" || now.Sub(p.signedAt) >= resend || now.Before(p.signedAt) {
		signed, err := p.key.RequestToken(now)
		if err != nil {
			return nil, err
		}
		p.signed, p.signedAt = signed, now
	}
	t, err := p.ask(ctx, &message{
		op: "login", path: "/api/v1/auth/token", secret: []string{p.signed, p.key.SharedSecret},
		json: map[string]string{"jwt": p.signed},
	})
	if err == nil || !temporary(err) {
		p.signed = ""
	}
	return t, err
}

func (p *netography) refresh(ctx context.Context, t *Token) (*Token, error) {
	return p.ask(ctx, &message{
		op: "refresh", path: "/api/auth/bearer/refresh", secret: []string{t.RefreshToken},
		form: url.Values{"refresh_token": {t.RefreshToken}},
	})
}

func (p *netography) ask(ctx context.Context, m *message) (*Token, error) {
	return askOAuth(ctx, p.x, m)
}

// askOAuth reads the answer of RFC 6749 section 5.1, which Netography's resembles.
func askOAuth(ctx context.Context, x *exchanger, m *message) (*Token, error) {
	var a struct {
		TokenType    string      `json:"token_type"`
		ExpiresIn    json.Number `json:"expires_in"`
		AccessToken  string      `json:"access_token"`
		RefreshToken string      `json:"refresh_token"`
		IDToken      string      `json:"id_token"`
		Scope        string      `json:"scope"`
	}
	sent, err := x.post(ctx, m, &a)
	if err != nil {
		return nil, err
	}
	if a.AccessToken == "" {
		return nil, lacking(m.op, "access_token")
	}
	if err := bearer(m.op, a.TokenType); err != nil {
		return nil, err
	}
	t := &Token{
		AccessToken: a.AccessToken, TokenType: a.TokenType, RefreshToken: a.RefreshToken, IDToken: a.IDToken,
		Scope: a.Scope, IssuedAt: sent, Expiry: until(sent, a.ExpiresIn),
	}
	return t, nil
}
