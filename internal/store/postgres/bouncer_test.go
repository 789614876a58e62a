package postgres

import (
	"testing"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// TestBouncerTransaction: the whole suite through pgbouncer in the mode in
// which every transaction may be on another connection.
func TestBouncerTransaction(t *testing.T) {
	pg := pgtest.Start(t)
	b := pg.NewBouncer(t, "transaction")
	storetest.Run(t, func(t *testing.T) storetest.Open {
		return place(t, Config{URL: b.DSN(pg.NewDatabase(t)), Pooler: TransactionPooler, Serve: true})
	}, harm)
}

// TestBouncerSession: session pooling is like no pooler, news included.
func TestBouncerSession(t *testing.T) {
	pg := pgtest.Start(t)
	b := pg.NewBouncer(t, "session")
	dsn := b.DSN(pg.NewDatabase(t))
	one, two := openAt(t, Config{URL: dsn, Serve: true}), openAt(t, Config{URL: dsn, Serve: true})
	defer closing(t, one)
	defer closing(t, two)
	hears(t, one, two)
}
