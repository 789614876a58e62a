package core

import "context"

// Grants is what the edges need of Service; an edge declares the part it uses.
// It stands here so that both sides are written to one text.
type Grants interface {
	Login(ctx context.Context, r *LoginRequest) (*Granted, error)
	Refresh(ctx context.Context, r *RefreshRequest) (*Granted, error)
	Renew(ctx context.Context, r *RenewRequest) (*Granted, error)
	ExchangeRequestToken(ctx context.Context, r *ExchangeRequest) (*Granted, error)
	MintApplicationToken(ctx context.Context, r *MintRequest) (*Granted, error)
	Verify(ctx context.Context, r *VerifyRequest) (*Principal, error)
	Logout(ctx context.Context, r *LogoutRequest) error
	Authenticate(ctx context.Context, r *AuthenticateRequest) (*Principal, error)
}
