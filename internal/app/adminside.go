package app

import (
	"context"
	"net/http"
	"os"
	"strconv"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// adminHandler publishes the administration API over core.Service. Over the
// socket the actor is the user id that the kernel vouches for; offline it is
// whoever runs the command.
func (a *App) adminHandler(running bool) http.Handler {
	return admin.New(admin.Config{
		Service: a.engine.service, Clients: a.engine.auth, Extras: &extras{a, running}, Keys: keySide{a.engine}, Log: a.opts.Logger, Backup: a.Backup,
		Actor: func(r *http.Request) string {
			uid := os.Getuid()
			if running {
				peer, ok := httpd.PeerUID(r)
				if !ok {
					return ""
				}
				uid = peer
			}
			return "operator:" + strconv.Itoa(uid)
		},
	})
}

// extras answers what core.Service doesn't know.
type extras struct {
	app     *App
	running bool
}

var _ admin.Extras = (*extras)(nil)

// Status implements admin.Extras.
func (x *extras) Status(ctx context.Context) (*admin.Status, error) {
	a, e := x.app, x.app.engine
	st := &admin.Status{
		Version: a.opts.Version, Running: x.running, PID: os.Getpid(), StartedAt: admin.Time(a.started.UnixMilli()),
		Now: admin.Time(e.now()), Data: e.dir, Dev: a.cfg.Dev, Issuer: e.service.Issuer(), Upstream: a.cfg.Upstream,
		Clock: admin.Clock{Trusted: !e.service.ClockInDoubt()},
	}
	if x.running {
		st.URLs, st.Private = []string{a.URL()}, []string{a.PrivateURL()}
	}
	if !st.Clock.Trusted {
		st.Clock.Detail = "the clock jumped; `sallyport clock confirm` says that it is right"
	}
	for _, m := range e.mounts {
		st.Mounts = append(st.Mounts, admin.Mount{ID: m.core.ID, Contract: m.core.Contract, Host: m.cfg.Host, Prefix: m.cfg.Prefix, Account: m.core.Account})
	}
	for _, k := range e.keys.List() {
		st.Keys = append(st.Keys, admin.Key{
			ID: k.ID, Mount: k.Set.Mount, Kind: string(k.Set.Kind), Algorithm: string(k.Algorithm),
			Class: string(k.Class), State: string(k.State), CreatedAt: admin.Time(k.CreatedAt), ActivatedAt: admin.Time(k.ActivatedAt),
		})
	}
	s := e.store.Stats()
	st.Store = admin.Store{Kind: e.kind(), SizeBytes: s.SizeBytes, WALBytes: s.WALBytes, Steps: s.Steps, Queue: s.Queue, LastCommit: admin.Time(s.LastCommit)}
	return st, e.store.Ping(ctx)
}

// ConfirmClock implements admin.Extras.
func (x *extras) ConfirmClock(ctx context.Context, actor core.Actor) error {
	return x.app.engine.service.ConfirmClock(ctx, actor)
}
