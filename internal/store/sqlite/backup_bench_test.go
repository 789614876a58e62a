package sqlite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/dump"
)

// BenchmarkBackup measures a backup of 200,000 sessions while 16 clients
// refresh, and what the clients notice: how long refreshes take beside it, in
// the second after it, and at rest.
func BenchmarkBackup(b *testing.B) {
	s := openAt(b, b.TempDir())
	defer closing(b, s)
	ids := fill(b, s, 200_000)
	c := &refreshing{s: s, ids: ids}
	c.start(16)
	defer c.stop()
	time.Sleep(2 * time.Second)
	b.ResetTimer()
	rows, bytes := int64(0), int64(0)
	rest := c.take()
	for b.Loop() {
		view, err := s.Snapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		out := &lengthOf{}
		sum, err := dump.Write(b.Context(), out, view, dump.Header{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		rows += sum.Rows()
		bytes += out.n
		if err := view.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	beside := c.take()
	time.Sleep(time.Second)
	after := c.take()
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(bytes)/float64(rows), "B/row")
	for name, all := range map[string][]time.Duration{"rest": rest, "beside": beside, "after": after} {
		slices.Sort(all)
		if len(all) > 0 {
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, name+"-p99-ms")
			b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, name+"-max-ms")
		}
	}
}

type lengthOf struct{ n int64 }

func (l *lengthOf) Write(p []byte) (int, error) {
	l.n += int64(len(p))
	return len(p), nil
}

var _ io.Writer = (*lengthOf)(nil)

// refreshing are clients that refresh until they are stopped.
type refreshing struct {
	s    *Store
	ids  []*core.Session
	end  atomic.Bool
	all  sync.WaitGroup
	mu   sync.Mutex
	took []time.Duration
}

func (r *refreshing) start(clients int) {
	for c := range clients {
		r.all.Go(func() {
			own := r.ids[c*1000 : (c+1)*1000]
			gen := make([]int64, len(own))
			for i := 0; !r.end.Load(); i = (i + 1) % len(own) {
				began := time.Now()
				_, err := r.s.RefreshSession(context.Background(), &core.RefreshParams{
					ID: own[i].ID, Mount: own[i].Mount, Presented: gen[i], PresentedAt: testNow, RefreshKey: "k",
					Policy: core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: 1 << 40}, Now: testNow,
				})
				if err != nil {
					return
				}
				gen[i]++
				took := time.Since(began)
				r.mu.Lock()
				r.took = append(r.took, took)
				r.mu.Unlock()
			}
		})
	}
}

func (r *refreshing) take() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.took
	r.took = nil
	return t
}

func (r *refreshing) stop() {
	r.end.Store(true)
	r.all.Wait()
}

// BenchmarkLoad measures how fast a store is filled from a dump.
func BenchmarkLoad(b *testing.B) {
	s := openAt(b, b.TempDir())
	defer closing(b, s)
	fill(b, s, 50_000)
	view, err := s.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var file bytes.Buffer
	sum, err := dump.Write(b.Context(), &file, view, dump.Header{}, nil)
	if err = errors.Join(err, view.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		to := openAt(b, b.TempDir())
		r, err := dump.NewReader(bytes.NewReader(file.Bytes()))
		if err == nil {
			err = to.BeginLoad(b.Context(), "bench")
		}
		if err == nil {
			_, err = r.Each(func(t *dump.Table, rows [][]any) error { return to.LoadRows(b.Context(), t, rows) })
		}
		if err == nil {
			err = to.EndLoad(b.Context(), nil)
		}
		if err != nil {
			b.Fatal(err)
		}
		closing(b, to)
	}
	b.ReportMetric(float64(sum.Rows())*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
