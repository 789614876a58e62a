package client

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Source gives an access token that is good now. All Sources of this package may be used by many goroutines at once.
type Source interface {
	Token(ctx context.Context) (*Token, error)
}

// Renewer is a Source that can replace a token before its time. Transport asks for it after a 401.
type Renewer interface {
	Source
	// Renew returns a token other than refused, which a server did not take.
	Renew(ctx context.Context, refused *Token) (*Token, error)
}

// Token is what a server gave. Printed, it shows none of its secrets; encoded as JSON, it shows all, for a Store.
type Token struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"` // "Bearer"
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Subject      string `json:"sub,omitempty"`   // who it is for, where the contract says it
	Scope        string `json:"scope,omitempty"` // space-separated, where the contract says it
	// IssuedAt and Expiry are in the time of this machine, so a clock that differs from the server's does no harm. A
	// zero Expiry is a token that does not end by itself.
	IssuedAt time.Time `json:"issued_at,omitzero"`
	Expiry   time.Time `json:"expiry,omitzero"`
	// Owner is a digest of the server and the credentials' name. A stored token of another owner is not used: it would
	// be sent to the wrong server, or act for the wrong user.
	Owner string `json:"owner,omitempty"`
}

// String names the token's end and nothing that is secret.
func (t Token) String() string {
	if t.Expiry.IsZero() {
		return "token without an end"
	}
	return "token until " + t.Expiry.UTC().Format(time.RFC3339)
}

// GoString is String, so that %#v shows no secret either.
func (t Token) GoString() string { return t.String() }

// LogValue is String, for log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// copied gives callers a token of their own, so that none can change another's.
func (t *Token) copied() *Token {
	c := *t
	return &c
}

type static string

// Static is a Source of one token that never changes, such as an application token from a secrets store.
func Static(accessToken string) Source { return static(accessToken) }

func (s static) Token(ctx context.Context) (*Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s == "" {
		return nil, errors.New("client: the static access token is empty")
	}
	return &Token{AccessToken: string(s), TokenType: "Bearer"}, nil
}

// String hides the token.
func (s static) String() string { return "static token" }

// GoString hides the token.
func (s static) GoString() string { return s.String() }

// Adapter is a Source in the shape of another library: its Token takes no context and returns that library's type.
// An Adapter[*oauth2.Token] is an oauth2.TokenSource of golang.org/x/oauth2.
type Adapter[T any] struct {
	ctx     context.Context
	src     Source
	convert func(*Token) T
}

// Adapt makes an Adapter. ctx bounds every call of Token.
func Adapt[T any](ctx context.Context, src Source, convert func(*Token) T) Adapter[T] {
	return Adapter[T]{ctx: ctx, src: src, convert: convert}
}

// Token asks the Source and converts what it gave.
func (a Adapter[T]) Token() (T, error) {
	t, err := a.src.Token(a.ctx)
	if err != nil {
		var none T
		return none, err
	}
	return a.convert(t), nil
}
