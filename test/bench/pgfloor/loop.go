package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sallyport/sallyport/test/figures"
)

// keyed is a table of sessions known by keys of 16 bytes, moved by one
// conditional update, in groups: the least a rotation is in PostgreSQL.
type keyed struct {
	pool  *pgxpool.Pool
	rows  int64
	queue chan *keyedMove
}

type keyedMove struct {
	key  []byte
	done chan error
}

// key ascends with the row, and is as long as that of a session.
func (k *keyed) key(row int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(row)*(^uint64(0)/uint64(k.rows+1)))
	sum := sha256.Sum256(b)
	return append(b, sum[:8]...)
}

// openKeyed makes the table, if it is not there.
func openKeyed(ctx context.Context, dsn string, conns int, rows int64) (*keyed, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(conns)
	k := &keyed{rows: rows, queue: make(chan *keyedMove, 1024)}
	if k.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	var there bool
	if err := k.pool.QueryRow(ctx, `SELECT to_regclass('keyed') IS NOT NULL`).Scan(&there); err != nil || there {
		return k, err
	}
	if _, err := k.pool.Exec(ctx, `CREATE TABLE keyed (id bytea PRIMARY KEY, gen bigint NOT NULL, moved bigint NOT NULL) WITH (fillfactor = 70)`); err != nil {
		return nil, err
	}
	_, err = k.pool.CopyFrom(ctx, []string{"keyed"}, []string{"id", "gen", "moved"}, pgx.CopyFromFunc(k.next()))
	if err == nil {
		_, err = k.pool.Exec(ctx, `VACUUM ANALYZE keyed`)
	}
	return k, err
}

// next gives row after row, and nil at the end.
func (k *keyed) next() func() ([]any, error) {
	at := int64(-1)
	return func() ([]any, error) {
		if at++; at >= k.rows {
			return nil, nil
		}
		return []any{k.key(at), int64(0), int64(0)}, nil
	}
}

const moveKeyed = `UPDATE keyed SET gen = gen + 1, moved = $2 FROM unnest($1::bytea[]) AS t (key) WHERE id = t.key AND gen <= $3 RETURNING id`

func (k *keyed) write(ctx context.Context) {
	const most = 256
	for m := range k.queue {
		batch := []*keyedMove{m}
		for len(k.queue) > 0 && len(batch) < most {
			batch = append(batch, <-k.queue)
		}
		keys := make([][]byte, len(batch))
		for i, m := range batch {
			keys[i] = m.key
		}
		_, err := k.pool.Exec(ctx, moveKeyed, keys, time.Now().UnixMilli(), int64(1)<<40)
		for _, m := range batch {
			m.done <- err
		}
	}
}

// loop moves rows for some time, n at once: its chains are spread evenly over
// the table.
func (k *keyed) loop(ctx context.Context, length time.Duration, n, chains int, out io.Writer) error {
	go k.write(ctx)
	found, err := figures.Loop(length, n, chains, func(chain int) error {
		m := &keyedMove{k.key(int64(chain) * k.rows / int64(chains)), make(chan error, 1)}
		k.queue <- m
		return <-m.done
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(found)
}
