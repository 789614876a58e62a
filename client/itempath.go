package client

import "context"

// ItemPath says how to get tokens by the ItemPath contract. For an application token that you have already, use
// Static.
type ItemPath struct {
	URL      string // of the server, with the mount's prefix if it has one
	Username string
	Password string // "" if Options.Initial or the Store has a token to go on with
	// ApplicationToken makes the Session mint an application token and use that: it never expires, so it is renewed
	// only when a server refuses it. The user must be of type application. Use a Store with it: each mint without one
	// leaves a token that lives until somebody revokes it, and so does a mint whose answer was lost.
	ApplicationToken bool
}

// NewItemPath makes a Session of the ItemPath contract: login, then refresh with the refresh token as bearer.
func NewItemPath(cfg ItemPath, o Options) (*Session, error) {
	o.fill()
	x, err := newExchanger(&o, cfg.URL)
	if err != nil {
		return nil, err
	}
	kind := "itempath"
	if cfg.ApplicationToken {
		kind = "itempath application token"
	}
	return newSession(o, &itemPath{x: x, cfg: cfg}, x.base, kind, cfg.Username), nil
}

type itemPath struct {
	x   *exchanger
	cfg ItemPath
}

func (p *itemPath) canLogin() bool { return p.cfg.Username != "" && p.cfg.Password != "" }

func (p *itemPath) login(ctx context.Context) (*Token, error) {
	t, err := p.ask(ctx, &message{
		op: "login", path: "/api/users/login", secret: []string{p.cfg.Password},
		json: map[string]string{"username": p.cfg.Username, "password": p.cfg.Password},
	})
	if err != nil || !p.cfg.ApplicationToken {
		return t, err
	}
	minted, err := p.mint(ctx, t.RefreshToken)
	if err != nil {
		return nil, err
	}
	return after(t, minted), nil
}

func (p *itemPath) refresh(ctx context.Context, t *Token) (*Token, error) {
	if p.cfg.ApplicationToken {
		return p.mint(ctx, t.RefreshToken)
	}
	return p.ask(ctx, &message{op: "refresh", path: "/api/users/refresh", bearer: t.RefreshToken, secret: []string{t.RefreshToken}})
}

// ask reads the lifetime from the token, since the answers don't say it.
func (p *itemPath) ask(ctx context.Context, m *message) (*Token, error) {
	var a struct {
		AccessToken  string `json:"accessToken"`
		RefreshToken string `json:"refreshToken"`
	}
	sent, err := p.x.post(ctx, m, &a)
	if err != nil {
		return nil, err
	}
	if a.AccessToken == "" {
		return nil, lacking(m.op, "accessToken")
	}
	return &Token{AccessToken: a.AccessToken, RefreshToken: a.RefreshToken, IssuedAt: sent, Expiry: untilClaims(sent, a.AccessToken)}, nil
}

func (p *itemPath) mint(ctx context.Context, refresh string) (*Token, error) {
	var a struct {
		Token string `json:"token"`
	}
	m := &message{op: "application token", path: "/api/users/application-token", bearer: refresh, secret: []string{refresh}}
	sent, err := p.x.post(ctx, m, &a)
	if err != nil {
		return nil, err
	}
	if a.Token == "" {
		return nil, lacking(m.op, "token")
	}
	return &Token{AccessToken: a.Token, IssuedAt: sent}, nil
}
