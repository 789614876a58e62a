package verify_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// TestRevocationLatency measures, over a real connection, how long after a revocation a token is still accepted that
// was accepted a moment before. The bound is five seconds.
func TestRevocationLatency(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{})
	v := issuer.Verifier(t, func(c *verify.Config) { c.AllowApplicationTokens = true })
	var took []time.Duration
	for n := range 200 {
		id := fmt.Sprint("j", n)
		raw := issuer.Mint(verifytest.Token{ID: id, Application: n%2 == 0})
		expect(t, v, "before", raw, nil)
		start := time.Now()
		issuer.RevokeToken(id)
		for {
			if _, err := v.Verify(t.Context(), raw); errors.Is(err, verify.ErrRevoked) {
				break
			}
			if time.Since(start) > 10*time.Second {
				t.Fatal("not heard in ten seconds")
			}
			time.Sleep(100 * time.Microsecond)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("revoked until refused, access and application tokens: median %s, p99 %s, most %s", took[len(took)/2], p99, took[len(took)-1])
	if p99 > 5*time.Second {
		t.Errorf("p99 is %s", p99)
	}
}
