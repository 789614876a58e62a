package verify_test

import (
	"testing"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// TestSeenBeforeAllocatesNothing measures the steady state: a token that was accepted before, with the feed followed.
func TestSeenBeforeAllocatesNothing(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api"})
	v := issuer.Verifier(t)
	raw := issuer.Mint(verifytest.Token{Scope: "read"})
	ctx := t.Context()
	if _, err := v.Verify(ctx, raw); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := v.Verify(ctx, raw); err != nil {
			t.Fatal(err)
		}
	}); n >= 0.1 { // the feed is polled in the meantime
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSeenBefore is the steady state. Other libraries are in the module verify/bench.
func BenchmarkSeenBefore(b *testing.B) {
	issuer := verifytest.Start(b, verifytest.Options{Audience: "api"})
	for name, change := range map[string]func(*verify.Config){"feed": func(*verify.Config) {}, "no feed": feedless} {
		b.Run(name, func(b *testing.B) {
			v := issuer.Verifier(b, change)
			raw := issuer.Mint(verifytest.Token{Scope: "read"})
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(ctx, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
