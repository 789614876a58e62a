package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/sut"
)

// Groups that need PostgreSQL run when they are named. The server is a
// throw-away cluster that waits for the disk as one in production does.

var postgresGroup = group{
	name: "postgres", title: "Refreshing on PostgreSQL: answers a second", unit: "1/s",
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		pg, err := b.postgres(ctx)
		if err != nil {
			return nil, err
		}
		floor, err := b.postgresFloor(ctx, pg)
		if err != nil {
			return nil, err
		}
		coalesced, err := b.onPostgres(ctx, pg, "coalesced", b.newDSN(ctx, pg))
		if err != nil {
			return nil, err
		}
		alone, err := b.onPostgres(ctx, pg, "alone", b.newDSN(ctx, pg), "-one")
		if err != nil {
			return nil, err
		}
		chains := map[*sut.Server][]client{}
		for _, s := range []*sut.Server{coalesced, alone} {
			if chains[s], err = b.chains(ctx, s, "/bench/token", "/bench/refresh"); err != nil {
				return nil, err
			}
		}
		const one, ours = "floor: one statement a request", "ours, one statement a refresh"
		return []probe{
			b.probeOf(one, "", floor, b.floorChains("/one", 0)),
			b.probeOf("floor: what waits in one statement", one, floor, b.floorChains("/group", 50_000)),
			b.probeOf(ours, "", &alone.Process, chains[alone]),
			b.probeOf("ours, coalesced", ours, &coalesced.Process, chains[coalesced]),
		}, nil
	},
}

var newsGroup = group{
	name: "news", title: "From a revocation's answer on one node to its refusal on another: milliseconds", unit: "ms", less: true,
	probes: func(ctx context.Context, b *bench) ([]probe, error) {
		pg, err := b.postgres(ctx)
		if err != nil {
			return nil, err
		}
		var probes []probe
		for _, way := range []struct {
			name string
			args []string
		}{
			{"told by NOTIFY", nil},
			{"NOTIFY blocked, polling", []string{"--postgres-pooler", "transaction"}},
		} {
			dsn := b.newDSN(ctx, pg)
			var nodes []*sut.Server
			for i := range 2 {
				s, err := b.onPostgres(ctx, pg, fmt.Sprintf("%s-%d", strings.Fields(way.name)[0], i), dsn, way.args...)
				if err != nil {
					return nil, err
				}
				nodes = append(nodes, s)
			}
			probes = append(probes, probe{way.name, "", func(ctx context.Context) (figure, error) { return b.revokeAcross(ctx, nodes) }})
		}
		return probes, nil
	},
}

// postgres starts the cluster that the groups share.
func (b *bench) postgres(ctx context.Context) (*pgtest.Server, error) {
	if b.pg != nil {
		return b.pg, nil
	}
	b.say("making a PostgreSQL cluster")
	var err error
	if b.pg, err = pgtest.Run(ctx, pgtest.Config{Durable: true, Settings: map[string]string{"shared_buffers": "'256MB'", "max_wal_size": "'2GB'"}}); err != nil {
		return nil, err
	}
	b.cleanup = append(b.cleanup, func() { _ = b.pg.Close() }) // its directory is a temporary one
	return b.pg, nil
}

func (b *bench) newDSN(ctx context.Context, pg *pgtest.Server) string {
	name, err := pg.CreateDatabase(ctx)
	if err != nil {
		b.say("making a database: %v\n", err) // who connects to it fails
	}
	return pg.DSN(name)
}

func (b *bench) build(ctx context.Context, pkg string) error {
	name := filepath.Base(pkg)
	if b.binaries[name] != "" {
		return nil
	}
	b.say("building %s", pkg)
	path, err := sut.Build(ctx, b.dir, pkg)
	b.binaries[name] = path
	return err
}

func (b *bench) postgresFloor(ctx context.Context, pg *pgtest.Server) (*sut.Process, error) {
	if err := b.build(ctx, "test/bench/pgfloor"); err != nil {
		return nil, err
	}
	ports, err := sut.FreePorts(1)
	if err != nil {
		return nil, err
	}
	p := b.process("pgfloor", ports[0], "-listen", ports[0], "-db", b.newDSN(ctx, pg))
	return p, b.run(ctx, p)
}

// onPostgres starts a node; several on one DSN serve one store.
func (b *bench) onPostgres(ctx context.Context, pg *pgtest.Server, name, dsn string, args ...string) (*sut.Server, error) {
	if err := b.build(ctx, "test/bench/pgserver"); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	contract, key := filepath.Join(b.dir, "rotating.yaml"), filepath.Join(b.dir, "master.key")
	if err := os.WriteFile(contract, rotatingContract, 0o600); err != nil {
		return nil, err
	}
	if _, err := os.Stat(key); errors.Is(err, os.ErrNotExist) {
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails
		if err := os.WriteFile(key, fmt.Appendf(nil, "%x\n", secret), 0o600); err != nil {
			return nil, err
		}
	}
	args = append(args, "--log-access=false", "--issuer", "https://bench.example", "--mounts", `["itempath", `+strconv.Quote(contract)+`]`,
		"--master-key-file", key, "--upstream", "http://"+b.address(b.upstream))
	if b.profile != "" {
		args = append(args, "--pprof")
	}
	s, err := sut.NewServer(b.binaries["pgserver"], dir, args...)
	if err != nil {
		return nil, err
	}
	s.Env = []string{"SALLYPORT_STORE=" + dsn}
	b.nodes = append(b.nodes, s)
	if err := b.run(ctx, &s.Process); err != nil {
		return nil, err
	}
	return s, b.addUsersOnce(ctx, s, dsn)
}

func (b *bench) addUsersOnce(ctx context.Context, s *sut.Server, dsn string) error {
	if slices.Contains(b.peopled, dsn) {
		return nil
	}
	b.peopled = append(b.peopled, dsn)
	return b.addUsers(ctx, s)
}

// revokeAcross revokes sessions on one node and asks the other until it
// refuses. The value is the median; p99 is of all of them.
func (b *bench) revokeAcross(ctx context.Context, nodes []*sut.Server) (figure, error) {
	adm := nodes[0].Admin()
	var took []time.Duration
	for began := time.Now(); time.Since(began) < b.warm+b.length || len(took) < 100; {
		login, err := ask(ctx, http.MethodPost, nodes[0].URL+"/api/users/login", "", jsonType, fmt.Sprintf(`{"username":%q,"password":%q}`, userName(0), userPassword))
		if err != nil {
			return figure{}, err
		}
		access := text(login, "accessToken")
		if status, err := call(ctx, nodes[1].URL+"/stations", access); err != nil || status != http.StatusOK {
			return figure{}, fmt.Errorf("a new token: status %d, %w", status, err)
		}
		if err := adm.Post(ctx, "/sessions/revoke", map[string]any{"session": sidOf(access)}, nil); err != nil {
			return figure{}, err
		}
		answered := time.Now()
		for status := http.StatusOK; status == http.StatusOK; {
			if status, err = call(ctx, nodes[1].URL+"/stations", access); err != nil {
				return figure{}, err
			}
		}
		took = append(took, time.Since(answered))
	}
	slices.Sort(took)
	return figure{Value: ms(took[len(took)/2]), P50MS: ms(took[len(took)/2]), P99MS: ms(took[len(took)*99/100])}, nil
}

// sidOf reads the session's id from a token.
func sidOf(tok string) string {
	var claims struct {
		SID string `json:"sid"`
	}
	if parts := strings.Split(tok, "."); len(parts) == 3 {
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil {
			_ = json.Unmarshal(raw, &claims) // without a sid the revocation fails and says so
		}
	}
	return claims.SID
}

// call sends a token to the gateway and gives the status of the answer.
func call(ctx context.Context, url, bearer string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}
