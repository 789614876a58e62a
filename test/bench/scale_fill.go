package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/token"
	"github.com/sallyport/sallyport/test/sut"
)

// fillable is a store that can be loaded and purged.
type fillable interface {
	core.Store
	dump.Target
}

// plant opens the chains in a small store, by request tokens, which cost no
// password hash.
func (s *scale) plant(ctx context.Context) (err error) {
	s.upstream = &sut.Process{Probe: "http://127.0.0.1:9/"} // never asked
	if s.seed, err = s.newServer(ctx, "seed", "--issuer", "https://auth.example", "--sessions-max-per-subject", "1000"); err != nil {
		return err
	}
	appliances, err := s.appliances(ctx, s.chains/perAppliance+1)
	if err != nil {
		return err
	}
	s.say("opening %d sessions", s.chains)
	s.names = make([]string, s.chains)
	errs := make([]error, s.n)
	var all sync.WaitGroup
	for c := range s.n {
		all.Go(func() {
			for i := c; i < s.chains && errs[c] == nil; i += s.n {
				jwt, err := appliances[i/perAppliance].request(i)
				if err == nil {
					var got map[string]any
					got, err = ask(ctx, http.MethodPost, s.seed.URL+"/bench/key", "", jsonType, fmt.Sprintf(`{"jwt":%q}`, jwt))
					s.names[i] = text(got, "refresh_token")
				}
				errs[c] = err
			}
		})
	}
	all.Wait()
	s.seed.Stop()
	return errors.Join(errs...)
}

// perAppliance is how many sessions are opened with one API key: opening one
// counts those that are there.
const perAppliance = 500

// appliance is an API key, decoded.
type appliance struct {
	*core.Netosecret
	key *token.Key
}

func (a appliance) request(i int) (string, error) {
	return token.MintRequest(a.key, &token.RequestToken{AppName: a.AppName, AppKey: a.AppKey, ShortName: a.Shortname, IssuedAt: time.Now().Unix(), ID: fmt.Sprint(i)})
}

// appliances makes API keys in the seed.
func (s *scale) appliances(ctx context.Context, n int) ([]appliance, error) {
	all := make([]appliance, n)
	for i := range all {
		var made struct {
			Netosecret string `json:"netosecret"`
		}
		err := s.seed.Admin().Post(ctx, "/api-keys", map[string]any{"appname": fmt.Sprint("scale-", i)}, &made)
		if err == nil {
			all[i].Netosecret, err = core.DecodeNetosecret(made.Netosecret)
		}
		if err == nil {
			all[i].key, err = token.NewRequestKey([]byte(all[i].SharedSecret))
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// raise makes a store of one size.
func (s *scale) raise(ctx context.Context, one *sized) (err error) {
	began := time.Now()
	one.dir = filepath.Join(s.dir, fmt.Sprint("store-", one.Sessions))
	data := filepath.Join(one.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"master.key", "facts.journal"} {
		b, err := os.ReadFile(filepath.Join(s.seed.Data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(data, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	if s.pg != nil {
		name, err := s.pg.CreateDatabase(ctx)
		if err != nil {
			return err
		}
		one.dsn = s.pg.DSN(name)
		if name, err = s.pg.CreateDatabase(ctx); err != nil {
			return err
		}
		one.floorDSN = s.pg.DSN(name)
	}
	if err := s.load(ctx, one); err != nil {
		return err
	}
	one.FillSeconds = time.Since(began).Seconds()
	return nil
}

func (s *scale) open(ctx context.Context, dir, dsn string) (fillable, error) {
	now := func() int64 { return time.Now().UnixMilli() }
	if dsn != "" {
		return postgres.Open(ctx, postgres.Config{URL: dsn, Now: now, StatementTimeout: 10 * time.Minute})
	}
	return sqlite.Open(ctx, sqlite.Config{Dir: dir, Create: true, Now: now})
}

// weight is what a store takes on disk, closed.
func (s *scale) weight(ctx context.Context, one *sized) (float64, error) {
	if one.dsn == "" {
		fi, err := os.Stat(filepath.Join(one.dir, "data", sqlite.FileName))
		if err != nil {
			return 0, err
		}
		return float64(fi.Size()), nil
	}
	st, err := s.open(ctx, "", one.dsn)
	if err != nil {
		return 0, err
	}
	size := st.Stats().SizeBytes
	return float64(size), st.Close()
}

// load fills a store table by table, closing it after users and after sessions
// to see what they take. Their indexes are built at the end, and added to it.
func (s *scale) load(ctx context.Context, one *sized) error {
	from, err := s.open(ctx, s.seed.Data, "")
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read
	view, err := from.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = view.Close() }() // as above
	people := func(n string) bool { return n == "users" || n == "login_names" }
	sessions := func(n string) bool { return n == "sessions" }
	at := 0.0
	for _, part := range []struct {
		tables  func(name string) bool
		perItem *float64
		items   int64
		last    bool
	}{
		{tables: func(n string) bool { return !people(n) && !sessions(n) && !later(n) }}, // what each store has
		{tables: people, perItem: &one.UserBytes, items: s.usersOf(one)},
		{tables: sessions, perItem: &one.SessionBytes, items: one.Sessions},
		{tables: later, last: true},
	} {
		if err := s.loadPart(ctx, one, view, part.tables, part.last); err != nil {
			return err
		}
		size, err := s.weight(ctx, one)
		if err != nil {
			return err
		}
		if part.perItem != nil && part.items > 0 {
			*part.perItem = (size - at) / float64(part.items)
		}
		at, one.DiskMB = size, size/1e6
	}
	if one.Sessions == 0 {
		return nil
	}
	indexes, err := s.indexWeights(ctx, one)
	one.UserBytes += float64(indexes["users"]+indexes["login_names"]) / float64(s.usersOf(one))
	one.SessionBytes += float64(indexes["sessions"]) / float64(one.Sessions)
	return err
}

// later are tables that refer to users or sessions.
func later(name string) bool {
	switch name {
	case "known_networks", "app_tokens", "oauth_codes", "oauth_sessions", "oauth_consents":
		return true
	}
	return false
}

func (s *scale) usersOf(one *sized) int64 {
	if one.Sessions == 0 {
		return 0
	}
	return s.users
}

func (s *scale) loadPart(ctx context.Context, one *sized, view dump.Snapshot, want func(string) bool, last bool) (err error) {
	to, err := s.open(ctx, filepath.Join(one.dir, "data"), one.dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := to.BeginLoad(ctx, "scale"); err != nil {
		return err
	}
	for _, t := range dump.Tables() {
		if !want(t.Name) {
			continue
		}
		p := &pouring{s: s, to: to, table: t, what: fmt.Sprintf("filling the store of %d: %s", one.Sessions, t.Name)}
		var real [][]any
		err := view.Rows(ctx, t, 0, func(row []any) error {
			real = append(real, cloneRow(row))
			return nil
		})
		if err != nil {
			return err
		}
		p.total = int64(len(real))
		switch t.Name {
		case "users", "login_names":
			err = p.people(ctx, real, s.usersOf(one))
		case "sessions":
			err = p.sessions(ctx, real, one.Sessions, s.usersOf(one))
		default:
			for _, row := range real {
				if err = p.pour(ctx, row); err != nil {
					break
				}
			}
		}
		if err = errors.Join(err, p.flush(ctx)); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	if !last {
		return nil
	}
	if err := to.EndLoad(ctx, nil); err != nil {
		return err
	}
	if pg, ok := to.(*postgres.Store); ok {
		return pg.Analyze(ctx)
	}
	return nil
}

func cloneRow(row []any) []any {
	own := slices.Clone(row)
	for i, v := range own {
		if b, ok := v.([]byte); ok {
			own[i] = bytes.Clone(b)
		}
	}
	return own
}

// pouring fills one table.
type pouring struct {
	s           *scale
	to          fillable
	table       *dump.Table
	what        string
	done, total int64
	rows        [][]any
}

func (p *pouring) pour(ctx context.Context, row []any) error {
	p.rows = append(p.rows, row)
	if p.done++; len(p.rows) < 5000 {
		return ctx.Err()
	}
	p.s.say("%s, %d%% of %d", p.what, 100*p.done/max(1, p.total), p.total)
	return p.flush(ctx)
}

func (p *pouring) flush(ctx context.Context) error {
	if len(p.rows) == 0 {
		return nil
	}
	err := p.to.LoadRows(ctx, p.table, p.rows)
	p.rows = nil
	return err
}

func (p *pouring) set(row []any, column string, v any) { row[p.table.Column(column)] = v }

// userID ascends with the number, so that a table is filled in its order.
func userID(i, n int64) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(i)*(^uint64(0)/uint64(n+1)))
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%x-%x-4%x-8%x-%x", b[:4], b[4:6], sum[:2], sum[2:4], sum[4:10])[:36]
}

// people adds users like the first one to the seed's.
func (p *pouring) people(ctx context.Context, real [][]any, n int64) error {
	p.total += n
	for _, row := range real {
		if err := p.pour(ctx, row); err != nil {
			return err
		}
	}
	for i := range n {
		row, name := slices.Clone(real[0]), fmt.Sprintf("user-%09d", i)
		if p.table.Name == "users" {
			p.set(row, "id", userID(i, n))
			p.set(row, "username", name)
			p.set(row, "username_canon", name)
			p.set(row, "type", "user")
		} else {
			p.set(row, "name", name)
			p.set(row, "user", userID(i, n))
		}
		if err := p.pour(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// sessions adds sessions like the seed's, of all users in turn, and puts the
// seed's among them, by their keys.
func (p *pouring) sessions(ctx context.Context, real [][]any, n, users int64) error {
	p.total += n
	at := p.table.Column("key")
	slices.SortFunc(real, func(a, b []any) int { return bytes.Compare(a[at].([]byte), b[at].([]byte)) })
	now := time.Now().UnixMilli()
	next := 0
	for i := range n {
		key, sum := sessionKey(i, n)
		for ; next < len(real) && bytes.Compare(real[next][at].([]byte), key) < 0; next++ {
			if err := p.pour(ctx, real[next]); err != nil {
				return err
			}
		}
		row := slices.Clone(real[0])
		p.set(row, "key", key)
		p.set(row, "subject_kind", "user")
		p.set(row, "subject", userID(i%users, users))
		p.set(row, "login_name", fmt.Sprintf("user-%09d", i%users))
		p.set(row, "status", int64(0))
		created := now - int64(binary.BigEndian.Uint32(sum[8:])%uint32(30*86400))*1000
		p.set(row, "created_at", created)
		p.set(row, "last_used_at", created)
		p.set(row, "user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		if p.s.over(sum) {
			p.set(row, "refresh_expires", now-10*86400_000)
		}
		if err := p.pour(ctx, row); err != nil {
			return err
		}
	}
	for ; next < len(real); next++ {
		if err := p.pour(ctx, real[next]); err != nil {
			return err
		}
	}
	return nil
}

// sessionKey ascends with the number; sum is chance that is the same each time.
func sessionKey(i, n int64) (key []byte, sum [32]byte) {
	key = binary.BigEndian.AppendUint64(nil, uint64(i)*(^uint64(0)/uint64(n+1)))
	sum = sha256.Sum256(key)
	return append(key, sum[:8]...), sum
}

// over says which of the sessions are.
func (s *scale) over(sum [32]byte) bool { return int(binary.BigEndian.Uint16(sum[12:]))%100 < s.ended }

// dress describes the server of a store and its clients.
func (s *scale) dress(one *sized) (err error) {
	mounts := s.seed.Args[slices.Index(s.seed.Args, "--mounts")+1]
	args := []string{"--mounts", mounts, "--issuer", "https://auth.example", "--sessions-max-per-subject", "1000"}
	if one.server, err = sut.NewServer(s.binaries["sallyport"], one.dir, args...); err != nil {
		return err
	}
	if one.dsn != "" {
		one.server.Env = []string{"SALLYPORT_STORE=" + one.dsn}
	}
	one.rovers = clientsOf(s.n, func(c int) client {
		r := &rover{}
		for i := c; i < s.chains; i += s.n {
			r.chains = append(r.chains, &chain{path: "/bench/refresh", token: []byte(s.names[i]), must: []byte(`"access_token":"ey`)})
		}
		return r
	})
	return nil
}

// floorRovers are clients of a floor whose table has so many rows.
func (s *scale) floorRovers(rows int64) []client {
	return clientsOf(s.n, func(c int) client {
		r := &rover{}
		for i := c; i < s.chains; i += s.n {
			r.chains = append(r.chains, &chain{path: "/rotate", token: fmt.Appendf(nil, "new.%d", int64(i)*rows/int64(s.chains)), must: []byte(`"access_token":"`)})
		}
		return r
	})
}

// rover follows many chains in turn.
type rover struct {
	chains []*chain
	at     int
}

func (r *rover) request(dst []byte) []byte { return r.chains[r.at].request(dst) }

func (r *rover) answer(status int, body []byte) error {
	err := r.chains[r.at].answer(status, body)
	r.at = (r.at + 7) % len(r.chains)
	return err
}

// byValue is the median of figures.
func byValue(all []figure) figure {
	s := slices.SortedFunc(slices.Values(all), func(a, b figure) int { return cmp.Compare(a.Value, b.Value) })
	return s[len(s)/2]
}
