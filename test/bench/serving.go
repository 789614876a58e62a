package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/test/sut"
	"golang.org/x/crypto/argon2"
)

// probeOf measures clients against a process.
func (b *bench) probeOf(name, floor string, p *sut.Process, clients []client) probe {
	return probe{name, floor, func(ctx context.Context) (figure, error) { return b.under(ctx, p, clients) }}
}

func form(values ...string) string {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return v.Encode()
}

// logIn gets tokens by user name and password for each client.
func (b *bench) logIn(ctx context.Context, s *sut.Server, path, media string) ([]map[string]any, error) {
	b.say("logging %d users in at %s", b.n, path)
	all := make([]map[string]any, b.n)
	for i := range all {
		body := form("username", userName(i), "password", userPassword)
		if media == jsonType {
			raw, err := json.Marshal(map[string]string{"username": userName(i), "password": userPassword})
			if err != nil {
				return nil, err
			}
			body = string(raw)
		}
		var err error
		if all[i], err = ask(ctx, http.MethodPost, s.URL+path, "", media, body); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// chains are clients that rotate on a server.
func (b *bench) chains(ctx context.Context, s *sut.Server, login, refresh string) ([]client, error) {
	tokens, err := b.logIn(ctx, s, login, formType)
	if err != nil {
		return nil, err
	}
	return clientsOf(b.n, func(i int) client {
		return &chain{path: refresh, token: []byte(text(tokens[i], "refresh_token")), must: []byte(`"access_token":"ey`)}
	}), nil
}

// floorChains are clients that rotate on the floor, from a row of their own on.
func (b *bench) floorChains(path string, from int) []client {
	return clientsOf(b.n, func(i int) client {
		return &chain{path: path, token: fmt.Appendf(nil, "new.%d", from+i)}
	})
}

var refreshGroup = group{
	name: "refresh", title: "Refreshing: answers a second", unit: "1/s",
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		hs, err := b.chains(ctx, b.server, "/bench/token", "/bench/refresh")
		if err != nil {
			return nil, err
		}
		quiet, err := b.chains(ctx, b.quiet, "/bench/token", "/bench/refresh")
		if err != nil {
			return nil, err
		}
		neto, err := b.chains(ctx, b.server, "/api/auth/bearer/token", "/api/auth/bearer/refresh")
		if err != nil {
			return nil, err
		}
		path, item, err := b.plainRefreshes(ctx)
		if err != nil {
			return nil, err
		}
		const fixedName, mac, rotate, rotateES = "floor: fixed 600 bytes", "floor: one HMAC checked, one made", "floor: rotation of one row, HMACs", "floor: … and two ES256 signatures"
		return []probe{
			b.probeOf(fixedName, "", b.floor, clientsOf(b.n, func(int) client { return post("/fixed", formType, "refresh_token=x", "xxx") })),
			b.probeOf(rotate, "", b.floor, b.floorChains("/rotate", 0)),
			b.probeOf("rotating, HS256", rotate, &b.server.Process, hs),
			b.probeOf("rotating, HS256, no access log", rotate, &b.quiet.Process, quiet),
			b.probeOf(rotateES, "", b.floor, b.floorChains("/rotate-es256", 200)),
			b.probeOf("Netography: rotating, 2 ES256", rotateES, &b.server.Process, neto),
			b.probeOf(mac, "", b.floor, b.floorChains("/mac", 400)),
			b.probeOf("PathStack: not rotating, HS256", mac, &b.server.Process, path),
			b.probeOf("ItemPath: not rotating, HS256", mac, &b.server.Process, item),
		}, nil
	},
}

// plainRefreshes are clients of the contracts that do not rotate: they send
// the same token each time.
func (b *bench) plainRefreshes(ctx context.Context) (path, item []client, err error) {
	tokens, err := b.logIn(ctx, b.server, "/token", jsonType)
	if err != nil {
		return nil, nil, err
	}
	path = clientsOf(b.n, func(i int) client {
		body := fmt.Sprintf(`{"sub":%q,"refresh_token":%q}`, text(tokens[i], "data", "sub"), text(tokens[i], "data", "refresh_token"))
		return post("/refresh", jsonType, body, `"access_token":"ey`)
	})
	if tokens, err = b.logIn(ctx, b.server, "/api/users/login", jsonType); err != nil {
		return nil, nil, err
	}
	item = clientsOf(b.n, func(i int) client {
		return get("/api/users/refresh", text(tokens[i], "refreshToken"), `"accessToken":"ey`)
	})
	return path, item, nil
}

func (b *bench) logins() []client {
	return clientsOf(b.n, func(i int) client {
		return post("/api/auth/bearer/token", formType, form("username", userName(i), "password", userPassword), `"access_token":"ey`)
	})
}

var loginGroup = group{
	name: "login", title: "Logging in (argon2id, 19 MiB, 2 passes): logins a second", unit: "1/s",
	probes: func(_ context.Context, b *bench) ([]probe, error) {
		slots := hashSlots()
		bare := fmt.Sprintf("floor: bare argon2id, %d at once", slots)
		return []probe{
			{bare, "", func(context.Context) (figure, error) { return bareHashes(slots, b.length), nil }},
			b.probeOf("Netography login", bare, &b.server.Process, b.logins()),
		}, nil
	},
}

// hashSlots is how many passwords the server hashes at once unless told.
func hashSlots() int { return max(1, runtime.NumCPU()-1) }

// bareHashes counts hashes in as many loops as the server has slots.
func bareHashes(loops int, length time.Duration) figure {
	var count atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range loops {
		all.Go(func() {
			salt := make([]byte, 16)
			for time.Since(began) < length {
				argon2.IDKey([]byte(userPassword), salt, 2, 19*1024, 1, 32)
				count.Add(1)
			}
		})
	}
	all.Wait()
	return figure{Value: float64(count.Load()) / time.Since(began).Seconds()}
}

var floodGroup = group{
	name: "flood", title: "Refreshing beside a flood of logins: refreshes a second", unit: "1/s",
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		chains, err := b.chains(ctx, b.server, "/bench/token", "/bench/refresh")
		if err != nil {
			return nil, err
		}
		hashes := clientsOf(b.n, func(int) client { return post("/hash", formType, form("password", userPassword), "xxx") })
		floorChains := b.floorChains("/rotate", 600)
		beside := func(p *sut.Process, refreshing, flooding []client) func(context.Context) (figure, error) {
			return func(ctx context.Context) (figure, error) {
				flood := load{addr: b.address(p), clients: flooding, length: b.warm + b.length}
				done := make(chan error, 1)
				go func() {
					_, err := flood.run()
					done <- err
				}()
				f, err := b.under(ctx, p, refreshing)
				return f, errors.Join(err, <-done)
			}
		}
		const bare, bareBeside = "floor: rotation of one row, alone", "floor: … beside bare argon2id in slots"
		const alone = "rotating, HS256, alone"
		return []probe{
			b.probeOf(bare, "", b.floor, floorChains),
			b.probeOf(alone, bare, &b.server.Process, chains),
			{bareBeside, bare, beside(b.floor, floorChains, hashes)},
			{fmt.Sprintf("rotating, HS256, beside %d login loops", b.n), bareBeside, beside(&b.server.Process, chains, b.logins())},
		}, nil
	},
}

var gatewayGroup = group{
	name: "gateway", title: "Calling an API: answers a second", unit: "1/s",
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		item, err := b.logIn(ctx, b.server, "/api/users/login", jsonType)
		if err != nil {
			return nil, err
		}
		neto, err := b.logIn(ctx, b.server, "/api/auth/bearer/token", formType)
		if err != nil {
			return nil, err
		}
		quiet, err := b.logIn(ctx, b.quiet, "/api/users/login", jsonType)
		if err != nil {
			return nil, err
		}
		minted := make([]string, b.n)
		for i := range minted {
			made, err := ask(ctx, http.MethodPost, b.server.URL+"/api/users/application-token", text(item[i], "refreshToken"), "", "")
			if err != nil {
				return nil, err
			}
			minted[i] = text(made, "token")
		}
		calls := func(path string, bearer func(i int) string) []client {
			return clientsOf(b.n, func(i int) client { return get(path, bearer(i), `"access_token":"xxx`) })
		}
		none := func(int) string { return "" }
		const direct, bare = "floor: straight to the API", "floor: bare httputil.ReverseProxy"
		return []probe{
			b.probeOf(direct, "", b.upstream, calls("/stations", none)),
			b.probeOf(bare, direct, b.floor, calls("/proxied", none)),
			b.probeOf("gateway, access token HS256", bare, &b.server.Process, calls("/stations", func(i int) string { return text(item[i], "accessToken") })),
			b.probeOf("gateway, access token ES256", bare, &b.server.Process, calls("/stations", func(i int) string { return text(neto[i], "access_token") })),
			b.probeOf("gateway, application token", bare, &b.server.Process, calls("/stations", func(i int) string { return minted[i] })),
			b.probeOf("gateway, HS256, no access log", bare, &b.quiet.Process, calls("/stations", func(i int) string { return text(quiet[i], "accessToken") })),
		}, nil
	},
}
