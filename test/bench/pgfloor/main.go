// Command pgfloor is what PostgreSQL allows on this machine: an HTTP server
// that moves one row and adds another for each request, durable before the
// answer, and does nothing else.
//
//	pgfloor -listen ADDR -db DSN [-conns 16] [-rows 100000]
//	pgfloor -db DSN [-conns 16] [-rows 100000] [-fill] -loop 10s [-n 16] [-chains 1000]
//
// POST /one does it in one statement a request, over a pool of connections.
// POST /group sends what waits as one statement over arrays, one at a time.
// Both read the form's refresh_token, "new.N", whose number names the row.
// With -loop there is no server: rows with keys of 16 bytes, which it makes if
// they are not there, are moved by one conditional update, in groups. With
// -fill it makes them and no more.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	db := flag.String("db", "", "DSN of an empty database")
	conns := flag.Int("conns", 16, "connections")
	rows := flag.Int("rows", 100_000, "rows in the table")
	length := flag.Duration("loop", 0, "move rows for so long, without a server, and end")
	n := flag.Int("n", 16, "moves at once")
	chains := flag.Int("chains", 1000, "rows that are moved")
	only := flag.Bool("fill", false, "make the rows of a loop and end")
	flag.Parse()
	if *only || *length > 0 {
		ctx := context.Background()
		k, err := openKeyed(ctx, *db, *conns, int64(*rows))
		if err == nil && *length > 0 {
			err = k.loop(ctx, *length, *n, *chains, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "pgfloor:", err)
			os.Exit(1)
		}
		return
	}
	f, err := open(context.Background(), *db, *conns, *rows)
	if err == nil {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("POST /one", f.handler(f.one))
		mux.HandleFunc("POST /group", f.handler(f.group))
		err = http.ListenAndServe(*listen, mux)
	}
	fmt.Fprintln(os.Stderr, "pgfloor:", err)
	os.Exit(1)
}

type floor struct {
	pool  *pgxpool.Pool
	queue chan *move
	count atomic.Int64
	body  string
}

type move struct {
	row  int64
	hash []byte
	done chan error
}

func open(ctx context.Context, dsn string, conns, rows int) (*floor, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(conns)
	f := &floor{queue: make(chan *move, 1024), body: `{"access_token":"ey` + strings.Repeat("x", 300) + `","refresh_token":"new.%d"}`}
	if f.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	for _, q := range []string{
		`CREATE TABLE sessions (id bigint PRIMARY KEY, current bytea, generation bigint NOT NULL DEFAULT 0, moved bigint NOT NULL) WITH (fillfactor = 70)`,
		`CREATE TABLE tokens (hash bytea PRIMARY KEY, session bigint NOT NULL, created bigint NOT NULL, expires bigint NOT NULL)`,
		fmt.Sprintf(`INSERT INTO sessions SELECT n, decode(repeat('00', 32), 'hex'), 0, 0 FROM generate_series(0, %d) n`, rows),
		`VACUUM ANALYZE`,
	} {
		if _, err := f.pool.Exec(ctx, q); err != nil {
			return nil, err
		}
	}
	go f.write(ctx)
	return f, nil
}

func (f *floor) handler(do func(context.Context, *move) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		row, err := strconv.ParseInt(strings.TrimPrefix(r.FormValue("refresh_token"), "new."), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails
		hash := sha256.Sum256(secret[:])
		if err := do(r.Context(), &move{row: row % 100_000, hash: hash[:], done: make(chan error, 1)}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// The next request is for the next row of this client's: never the same.
		fmt.Fprintf(w, f.body, row+101)
		f.count.Add(1)
	}
}

const oneSQL = `WITH u AS (UPDATE sessions SET current = $1, generation = generation + 1, moved = $2 WHERE id = $3 RETURNING id)
	INSERT INTO tokens (hash, session, created, expires) SELECT $1, id, $2, $4 FROM u`

func (f *floor) one(ctx context.Context, m *move) error {
	now := time.Now().Unix()
	_, err := f.pool.Exec(ctx, oneSQL, m.hash, now, m.row, now+86_400)
	return err
}

const groupSQL = `WITH i AS (SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS t (hash, row)),
	u AS (UPDATE sessions SET current = i.hash, generation = generation + 1, moved = $3 FROM i WHERE id = i.row RETURNING id)
	INSERT INTO tokens (hash, session, created, expires) SELECT hash, row, $3, $4 FROM i`

func (f *floor) group(_ context.Context, m *move) error {
	f.queue <- m
	return <-m.done
}

func (f *floor) write(ctx context.Context) {
	const most = 256
	for m := range f.queue {
		batch := []*move{m}
	fill:
		for len(batch) < most {
			select {
			case m := <-f.queue:
				batch = append(batch, m)
			default:
				break fill
			}
		}
		hashes, rows := make([][]byte, len(batch)), make([]int64, len(batch))
		for i, m := range batch {
			hashes[i], rows[i] = m.hash, m.row
		}
		now := time.Now().Unix()
		_, err := f.pool.Exec(ctx, groupSQL, hashes, rows, now, now+86_400)
		for _, m := range batch {
			m.done <- err
		}
	}
}
