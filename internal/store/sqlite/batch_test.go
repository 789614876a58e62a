package sqlite

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestSecurity57_Batches: however many steps wait, a transaction takes so many
// at most, so that none holds up the others for long; all of them are done.
func TestSecurity57_Batches(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer closing(t, s)
	const n = 3*batchMax + 1
	entered, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := s.single(t.Context(), func(*tx) error {
			close(entered)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	before := s.Stats()
	for i := range n {
		all.Go(func() {
			if _, err := s.CreateUser(t.Context(), user(fmt.Sprint("user", i))); err != nil {
				t.Error(err)
			}
		})
	}
	for began := time.Now(); s.Stats().Queue < min(n, cap(s.queue)) && time.Since(began) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	close(release)
	all.Wait()
	after := s.Stats()
	steps, batches := after.Steps-before.Steps, after.Batches-before.Batches
	t.Logf("%d steps in %d transactions", steps, batches)
	if steps < n || batches < 4 || batches > n/2 {
		t.Errorf("%d steps in %d transactions of %d at most", steps, batches, batchMax)
	}
}
