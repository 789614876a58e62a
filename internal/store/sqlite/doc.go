// Package sqlite keeps a Sallyport installation in one SQLite file of a data
// directory. It implements core.Store.
//
// How the pieces move. A mutating method wraps its work into a step and hands
// it to the one writer goroutine. The writer takes whatever steps wait, runs
// them one after the other inside one transaction, appends their audit events
// to the hash chain, commits once with synchronous=FULL, and only then answers
// them all: one fsync serves many. A step of several statements runs inside a
// savepoint, so one that fails undoes itself alone; a step whose failure puts
// the transaction itself in doubt (disk full, I/O error) and a failed COMMIT
// fail the whole batch with core.ErrStoreUnavailable. Nothing in memory (audit
// head, news for followers, counters) changes before COMMIT.
//
// Reading methods use a small pool of connections of their own and see what is
// committed. Refreshes that need no write are answered there.
//
// Parameter structs belong to the store from the call on: a step whose caller
// went away still runs, so what they point at must not be changed afterwards.
//
// Only one process works on a directory at a time (flock on DIR/lock), which
// is why the next audit sequence may be kept in memory.
//
// Schema versions. Migrations run at Open. A store that a newer binary has
// migrated still opens as long as its meta value schema_usable_since, which
// every incompatible migration raises, is not above this binary's schema.
//
// Connections call SQLite's own interface (conn.go, stmt.go) and not
// database/sql, which cost a refresh more than SQLite did; migrations alone use
// that. The package decides no rule of the domain: it asks core.JudgeRefresh,
// core.NextMove and core.JudgeTwin inside the writer's transaction.
package sqlite
