package app

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// Service lets tests do what no endpoint offers them.
func (a *App) Service() *core.Service { return a.engine.service }

// AuthServer lets tests do what no endpoint offers them.
func (a *App) AuthServer() *authserver.Server { return a.engine.auth }

// CloseStore takes the store away from a running server.
func (a *App) CloseStore() error { return a.engine.store.Close() }

// FeedWaiting is how many polls of the feed wait.
func FeedWaiting(a *App) int {
	a.feed.mu.Lock()
	defer a.feed.mu.Unlock()
	return a.feed.waiting
}

// TickKeys does what is due with the signing keys.
func TickKeys(ctx context.Context, a *App) error {
	return a.engine.tickKeys(ctx, a.cfg.Keys.RotateEvery)
}

// SealedBadly lists the API secrets that do not open.
func SealedBadly(ctx context.Context, a *App) (bad []string) {
	list, err := a.engine.store.ListAPIKeys(ctx, core.APIKeyQuery{Account: "ac_default", Limit: 1000})
	if err != nil {
		return []string{err.Error()}
	}
	for _, k := range list {
		for _, s := range k.Secrets {
			if _, err := a.engine.keys.Open(core.SealAPISecret, core.APISecretBinding(k.ID, k.Account, s.Number), s.Sealed); err != nil {
				bad = append(bad, k.AppName+": "+err.Error())
			}
		}
	}
	if len(list) == 0 {
		bad = append(bad, "there are no API keys")
	}
	return bad
}
