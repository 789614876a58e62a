package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// store is one table of sessions and one goroutine that writes, many moves in
// one transaction: by one conditional update that gives back where the row
// stands, through database/sql, with SQLite as it comes.
type store struct {
	moves chan move
	table
}

// table says what a store's table is like.
type table struct {
	rows int64
	keys bool // of 16 bytes, in an index; else numbers
	// cache, in KiB, and log, in pages, are what SQLite is told of its page cache
	// and of the log's length before it is carried over; 0 leaves what it has by
	// itself, 2000 KiB and 1000 pages.
	cache, log int
}

// id is what the table knows a row by: its number, or a key of 16 bytes that
// ascends with it, so that the table can be filled in order.
func (s *store) id(row int64) any {
	if !s.keys {
		return row
	}
	step := ^uint64(0) / uint64(s.rows+1)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(row)))
	return append(binary.BigEndian.AppendUint64(nil, uint64(row)*step), sum[:8]...)
}

// fill makes the rows, some ten thousand in one transaction.
func (s *store) fill(ctx context.Context, c *sql.Conn) error {
	var there int
	if err := c.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sessions)").Scan(&there); err != nil || there != 0 {
		return err // the file was made before
	}
	const part = 50_000
	for from := int64(0); from <= s.rows; from += part {
		tx, err := c.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		st, err := tx.PrepareContext(ctx, "INSERT INTO sessions VALUES (?, zeroblob(32), 0, 0)")
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		for row := from; row < min(from+part, s.rows+1); row++ {
			if _, err := st.ExecContext(ctx, s.id(row)); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

type move struct {
	session
	done chan error
}

var errStale = errors.New("the session stands elsewhere")

func openStore(file string, t table) (*store, error) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	setUp := []string{
		"PRAGMA journal_mode=wal", "PRAGMA synchronous=full",
		"CREATE TABLE IF NOT EXISTS sessions (id " + map[bool]string{false: "INTEGER", true: "BLOB"}[t.keys] +
			" NOT NULL PRIMARY KEY, cur BLOB NOT NULL, gen INTEGER NOT NULL, moved INTEGER NOT NULL)",
	}
	if t.cache > 0 {
		setUp = append(setUp, fmt.Sprintf("PRAGMA cache_size=-%d", t.cache))
	}
	if t.log > 0 {
		setUp = append(setUp, fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", t.log))
	}
	for _, q := range setUp {
		if _, err := c.ExecContext(ctx, q); err != nil {
			return nil, fmt.Errorf("%s: %w", q, err)
		}
	}
	s := &store{moves: make(chan move, 1024), table: t}
	if err := s.fill(ctx, c); err != nil {
		return nil, err
	}
	var level int
	if err := c.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil || level != 2 {
		return nil, fmt.Errorf("synchronous is %d, want 2 (full): %w", level, err)
	}
	stmts := make([]*sql.Stmt, 3)
	for i, q := range []string{"BEGIN IMMEDIATE", "UPDATE sessions SET gen = gen+1, moved = ?1 WHERE id = ?2 AND gen <= ?3 RETURNING gen", "COMMIT"} {
		if stmts[i], err = c.PrepareContext(ctx, q); err != nil {
			return nil, err
		}
	}
	go s.write(stmts[0], stmts[1], stmts[2])
	return s, nil
}

func (s *store) move(at session) error {
	m := move{at, make(chan error, 1)}
	s.moves <- m
	return <-m.done
}

// write commits what has gathered while the last commit ran.
func (s *store) write(begin, update, commit *sql.Stmt) {
	for first := range s.moves {
		batch := []move{first}
		for len(s.moves) > 0 && len(batch) < 256 {
			batch = append(batch, <-s.moves)
		}
		results := make([]error, len(batch))
		_, err := begin.Exec()
		for i := range batch {
			if err != nil {
				break
			}
			var gen int64
			err = update.QueryRow(time.Now().UnixMilli(), s.id(batch[i].row), batch[i].gen).Scan(&gen)
			if errors.Is(err, sql.ErrNoRows) {
				results[i], err = errStale, nil
			}
		}
		if err == nil {
			_, err = commit.Exec()
		}
		for i := range batch {
			batch[i].done <- errors.Join(err, results[i])
		}
	}
}
