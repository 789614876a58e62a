package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// indexesIn lists a database's indexes.
func indexesIn(t *testing.T, s *Store) (all []string) {
	t.Helper()
	err := s.view(t.Context(), func(c *conn) (err error) {
		all, err = collect(c, one[string], `SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLoadIndexes: a loading that ends, cut off and gone on with by another
// process or not, leaves the indexes of a new store.
func TestLoadIndexes(t *testing.T) {
	pg := pgtest.Start(t)
	fresh := openAt(t, Config{URL: pg.NewDatabase(t)})
	want := indexesIn(t, fresh)
	closing(t, fresh)
	table, loose := dump.Named("sessions"), 0
	for _, cut := range []func() int{func() int { return 0 }, func() int { return 1 }, func() int { return loose / 2 }, func() int { return loose - 1 }, func() int { return loose }} {
		dsn := pg.NewDatabase(t)
		s := openAt(t, Config{URL: dsn})
		again := func() {
			closing(t, s)
			s = openAt(t, Config{URL: dsn})
			if err := s.BeginLoad(t.Context(), "m"); err != nil {
				t.Fatal(err)
			}
		}
		again()
		if have := indexesIn(t, s); len(have) > len(want)-10 {
			t.Fatalf("%d of %d are there while loading", len(have), len(want))
		}
		if err := s.LoadRows(t.Context(), table, sessionRows(table, 0, 300)); err != nil {
			t.Fatal(err)
		}
		again()
		ctx, cancel := context.WithCancel(t.Context())
		at := cut()
		err := s.BuildIndexes(ctx, func(_ string, done, total int64) {
			if loose = int(total); int(done) == at {
				cancel()
			}
		})
		cancel()
		if at < loose && err == nil {
			t.Fatalf("cut off at index %d: no error", at)
		}
		again()
		if err := s.EndLoad(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got := indexesIn(t, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut off at index %d, the store has\n%s\nand a new one\n%s", at, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if v, err := s.MetaGet(t.Context(), metaIndexes); err == nil {
			t.Fatalf("a note of a loading is left: %s", v)
		}
		closing(t, s)
	}
}

// BenchmarkLoadSessions loads sessions whose keys come in no order.
func BenchmarkLoadSessions(b *testing.B) {
	pg := pgtest.Start(b)
	for _, n := range []int{200_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			for b.Loop() {
				s := openAt(b, Config{URL: pg.NewDatabase(b)})
				if err := s.BeginLoad(b.Context(), "bench"); err != nil {
					b.Fatal(err)
				}
				var took time.Duration
				table := dump.Named("sessions")
				for i := 0; i < n; i += 5000 {
					rows := sessionRows(table, i, min(5000, n-i))
					began := time.Now()
					if err := s.LoadRows(b.Context(), table, rows); err != nil {
						b.Fatal(err)
					}
					took += time.Since(began)
				}
				b.ReportMetric(float64(n)/took.Seconds(), "rows/s-before-indexes")
				began := time.Now()
				if err := s.EndLoad(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(n)/(took+time.Since(began)).Seconds(), "rows/s")
				closing(b, s)
			}
		})
	}
}

// sessionRows are sessions like those of browsers.
func sessionRows(t *dump.Table, from, n int) [][]any {
	rows := make([][]any, n)
	for i := range rows {
		sum := sha256.Sum256(binary.AppendVarint(nil, int64(from+i)))
		row := make([]any, len(t.Columns))
		for c, col := range t.Columns {
			row[c] = map[dump.Type]any{dump.Int: int64(0), dump.Bool: true, dump.Text: "", dump.Bytes: []byte(nil)}[col.Type]
		}
		created := testNow - int64(binary.BigEndian.Uint32(sum[16:])%(30*86400))*1000
		for name, v := range map[string]any{
			"key": sum[:16], "epoch": int64(1), "mount": "mt_netography", "account": "ac_default", "subject_kind": "user",
			"subject": fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]), "credential": "password",
			"login_name": fmt.Sprintf("user-%08x@example.com", sum[:4]), "issuer": int64(1), "generation": int64(3), "move0": created, "move1": created - 1, "move2": created - 2,
			"refresh_key": "rk_0123456789abcdef", "refresh_expires": created + 1<<31, "created_at": created, "last_used_at": created,
			"grace_ms": int64(120_000), "idle_ms": int64(1 << 31), "absolute_ms": int64(1 << 33),
			"address": "192.0.2.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "status": int64(from + i + 1),
		} {
			row[t.Column(name)] = v
		}
		rows[i] = row
	}
	return rows
}
