package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/store/dump"
)

// BenchmarkLoadSessions loads sessions whose keys come in no order, as a store
// that grew gives them, and says what rows and indexes cost. With keys in order,
// as PostgreSQL gives them, they cost less.
func BenchmarkLoadSessions(b *testing.B) {
	for _, n := range []int{200_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			for b.Loop() {
				s := openAt(b, b.TempDir())
				if err := s.BeginLoad(b.Context(), "bench"); err != nil {
					b.Fatal(err)
				}
				var loaded, loadedCPU time.Duration
				table := dump.Named("sessions")
				for i := 0; i < n; i += 5000 {
					rows := sessionRows(table, i, min(5000, n-i))
					began, cpu := time.Now(), cpuTime(b)
					if err := s.LoadRows(b.Context(), table, rows); err != nil {
						b.Fatal(err)
					}
					loaded, loadedCPU = loaded+time.Since(began), loadedCPU+cpuTime(b)-cpu
				}
				began, cpu := time.Now(), cpuTime(b)
				if err := s.EndLoad(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(n)/(loaded+time.Since(began)).Seconds(), "rows/s")
				b.ReportMetric(float64(loadedCPU+cpuTime(b)-cpu)/float64(n)/1000, "cpu-us/row")
				b.ReportMetric(float64(loadedCPU)/float64(n)/1000, "cpu-us/row-before-indexes")
				b.ReportMetric(float64(n)/loaded.Seconds(), "rows/s-before-indexes")
				closing(b, s)
			}
		})
	}
}

// cpuTime is what this process has had of the processor.
func cpuTime(tb testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
