package verify_test

import (
	"testing"

	"github.com/sallyport/sallyport/verify"
	"github.com/sallyport/sallyport/verify/verifytest"
)

// TestSeenBeforeAllocatesNothing measures the steady state: a token that was accepted before, with feed and status list
// followed.
func TestSeenBeforeAllocatesNothing(t *testing.T) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api", StatusLists: true})
	v := issuer.Verifier(t, func(c *verify.Config) { c.Accept = verify.ContractTokens | verify.OAuthTokens })
	for name, tok := range map[string]verifytest.Token{"contract": {Scope: "read"}, "OAuth": {OAuth: true}} {
		raw := issuer.Mint(tok)
		ctx := t.Context()
		if _, err := v.Verify(ctx, raw); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := v.Verify(ctx, raw); err != nil {
				t.Fatal(err)
			}
		}); n >= 0.5 { // feed and list are asked for in the meantime
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkSeenBefore is the steady state. Other libraries are in the module verify/bench.
func BenchmarkSeenBefore(b *testing.B) {
	issuer := verifytest.Start(b, verifytest.Options{Audience: "api", StatusLists: true})
	for name, change := range map[string]func(*verify.Config){
		"feed":          func(c *verify.Config) { c.StatusLists = nil },
		"status list":   listsOnly,
		"feed and list": func(*verify.Config) {},
		"neither":       func(c *verify.Config) { feedless(c); c.StatusLists = nil },
	} {
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
