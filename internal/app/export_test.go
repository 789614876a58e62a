package app

import "github.com/sallyport/sallyport/internal/core"

// Service lets tests do what no endpoint offers them.
func (a *App) Service() *core.Service { return a.engine.service }

// CloseStore takes the store away from a running server.
func (a *App) CloseStore() error { return a.engine.store.Close() }

// FeedWaiting is how many polls of the feed wait.
func FeedWaiting(a *App) int {
	a.feed.mu.Lock()
	defer a.feed.mu.Unlock()
	return a.feed.waiting
}
