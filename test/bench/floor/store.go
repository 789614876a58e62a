package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// store is one table of sessions and one goroutine that writes, many moves in
// one transaction.
type store struct {
	moves chan move
}

type move struct {
	session
	done chan error
}

var errStale = errors.New("the session stands elsewhere")

func openStore(file string, rows int) (*store, error) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range []string{
		"PRAGMA journal_mode=wal", "PRAGMA synchronous=full", "PRAGMA cache_size=-16384",
		"CREATE TABLE sessions (id INTEGER PRIMARY KEY, gen INTEGER NOT NULL, moved INTEGER NOT NULL)",
		fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < %d) INSERT INTO sessions SELECT i, 0, 0 FROM n", rows),
	} {
		if _, err := c.ExecContext(ctx, q); err != nil {
			return nil, fmt.Errorf("%s: %w", q, err)
		}
	}
	var level int
	if err := c.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil || level != 2 {
		return nil, fmt.Errorf("synchronous is %d, want 2 (full): %w", level, err)
	}
	s := &store{moves: make(chan move, 1024)}
	stmts := make([]*sql.Stmt, 3)
	for i, q := range []string{"BEGIN IMMEDIATE", "UPDATE sessions SET gen = gen+1, moved = ?1 WHERE id = ?2 AND gen <= ?3", "COMMIT"} {
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
			var res sql.Result
			if res, err = update.Exec(time.Now().UnixMilli(), batch[i].row, batch[i].gen); err == nil {
				if n, _ := res.RowsAffected(); n != 1 { // this driver always knows
					results[i] = errStale
				}
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
