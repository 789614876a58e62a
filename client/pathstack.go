package client

import (
	"context"
	"encoding/json"
)

// PathStack says how to get tokens by the PathStack contract.
type PathStack struct {
	URL        string // of the server, with the mount's prefix if it has one
	Username   string // or the e-mail address
	Password   string // "" if Options.Initial or the Store has a token to go on with
	APIVersion string // x-api-version; "" leaves it to the server
}

// NewPathStack makes a Session of the PathStack contract: POST /token, then POST /refresh. To go on with a token of
// another login, set RefreshToken and Subject in Options.Initial.
func NewPathStack(cfg PathStack, o Options) (*Session, error) {
	o.fill()
	x, err := newExchanger(&o, cfg.URL)
	if err != nil {
		return nil, err
	}
	return newSession(o, &pathStack{x: x, cfg: cfg}, x.base, "pathstack", cfg.Username), nil
}

type pathStack struct {
	x   *exchanger
	cfg PathStack
}

type pathStackAnswer struct {
	Data struct {
		TokenType    string      `json:"token_type"`
		ExpiresIn    json.Number `json:"expires_in"`
		AccessToken  string      `json:"access_token"`
		RefreshToken string      `json:"refresh_token"`
		Subject      string      `json:"sub"`
	} `json:"data"`
}

func (p *pathStack) canLogin() bool { return p.cfg.Username != "" && p.cfg.Password != "" }

func (p *pathStack) login(ctx context.Context) (*Token, error) {
	return p.ask(ctx, &message{
		op: "login", path: "/token", secret: []string{p.cfg.Password},
		json: map[string]string{"username": p.cfg.Username, "password": p.cfg.Password},
	})
}

func (p *pathStack) refresh(ctx context.Context, t *Token) (*Token, error) {
	return p.ask(ctx, &message{
		op: "refresh", path: "/refresh", secret: []string{t.RefreshToken},
		json: map[string]string{"sub": t.Subject, "refresh_token": t.RefreshToken},
	})
}

func (p *pathStack) ask(ctx context.Context, m *message) (*Token, error) {
	if p.cfg.APIVersion != "" {
		m.header = map[string]string{"x-api-version": p.cfg.APIVersion}
	}
	var a pathStackAnswer
	sent, err := p.x.post(ctx, m, &a)
	if err != nil {
		return nil, err
	}
	if a.Data.AccessToken == "" {
		return nil, lacking(m.op, "access_token")
	}
	if err := bearer(m.op, a.Data.TokenType); err != nil {
		return nil, err
	}
	return &Token{
		AccessToken: a.Data.AccessToken, TokenType: a.Data.TokenType, RefreshToken: a.Data.RefreshToken,
		Subject: a.Data.Subject, IssuedAt: sent, Expiry: until(sent, a.Data.ExpiresIn),
	}, nil
}
