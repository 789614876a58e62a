package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// BenchmarkRefresh measures rotating refreshes by so many clients at once, each
// following its own chain, over so many session rows.
func BenchmarkRefresh(b *testing.B) {
	for _, rows := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := openAt(b, b.TempDir())
			ids := fill(b, s, rows)
			for _, clients := range []int{16, 64} {
				b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { benchRefresh(b, s, ids, clients) })
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fill opens so many sessions for a thousand users and gives them back.
func fill(tb testing.TB, s *Store, rows int) []*core.Session {
	tb.Helper()
	var wg sync.WaitGroup
	out := make([]*core.Session, rows)
	users := make([]string, 1000)
	for i := range users {
		users[i] = core.NewUUID()
	}
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < len(users); i += 64 {
				name := fmt.Sprintf("user%d", i)
				u := core.User{
					ID: users[i], Account: "ac_default", Type: core.TypeUser, State: core.Active, Username: name, UsernameCanon: name,
					Roles: []string{"reader"}, PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", Version: 1,
				}
				if _, err := s.CreateUser(context.Background(), &core.CreateUserParams{User: u, Now: testNow}); err != nil {
					tb.Errorf("creating a user: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for w := range 256 {
		wg.Go(func() {
			for i := w; i < rows; i += 256 {
				res, err := s.OpenSession(context.Background(), &core.OpenSessionParams{
					Session: core.Session{
						ID: core.SessionID{Key: core.NewSessionKey()}, Mount: "mt_netography", Credential: "password", LoginName: "user@example.com",
						Issuer: 1, RefreshKey: core.NewID(""), RefreshExpires: testNow + 1<<40, CreatedAt: testNow, LastUsedAt: testNow,
						Moves: [core.MovesKept]int64{testNow}, Rotates: true, GraceMS: 120_000, IdleMS: 1 << 40,
						Address: "192.0.2.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
					},
					Gate: core.Gate{SubjectKind: core.SubjectUser, Subject: users[i%len(users)], Version: 1, Account: "ac_default", AccountVersion: 1},
					Now:  testNow,
				})
				if err != nil {
					tb.Errorf("opening a session: %v", err)
					return
				}
				out[i] = res.Session
			}
		})
	}
	wg.Wait()
	return out
}

func benchRefresh(b *testing.B, s *Store, ids []*core.Session, clients int) {
	before := s.Stats()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			for i := c; left.Add(-1) >= 0; i = (i + 7*clients) % len(ids) {
				sess := ids[i]
				if i%clients != c { // the ring does not divide evenly: stay with one's own
					i = c
					sess = ids[c]
				}
				res, err := s.RefreshSession(context.Background(), &core.RefreshParams{
					ID: sess.ID, Mount: "mt_netography", Presented: sess.Generation, RefreshKey: sess.RefreshKey, Now: testNow,
					Policy: core.Rotation{Rotates: true, GraceMS: 120_000, IdleMS: 1 << 40},
				})
				if err != nil || res.Verdict != core.RefreshMoved {
					b.Errorf("refresh: %+v, %v", res, err)
					return
				}
				ids[i] = res.Session
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refresh/s")
	after := s.Stats()
	b.ReportMetric(float64(after.Steps-before.Steps)/float64(max(after.Batches-before.Batches, 1)), "steps/commit")
}
