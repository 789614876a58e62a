package core_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/limit"
	"github.com/sallyport/sallyport/internal/password"
)

// TestSecurity54_GuessesOverTwoNodes: 500 guesses at once, half on each of two nodes over
// one store. The passwords compared never exceed the budget, not by one, and
// the budget can be used up to the last.
func TestSecurity54_GuessesOverTwoNodes(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	hasher := func() *password.Hasher {
		h, err := password.New(password.Config{Slots: 2, Queue: 60})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	const budget = 30
	w := newWorldWith(t, core.Config{Stranger: limit.Policy{Burst: budget, Interval: 10 * minute}}, hasher(), m)
	w.user("ann")
	other, err := core.New(w.ctx, core.Config{
		Store: w.store, Keys: w.keys, Passwords: hasher(), Now: w.clock.Load, Issuer: issuer,
		Stranger: limit.Policy{Burst: budget, Interval: 10 * minute},
	})
	w.must(err)
	w.must(other.RegisterMount(m))
	nodes := []*core.Service{w.svc, other}
	guess := func(i int) (*core.Granted, error) {
		name := []string{"ann", "ANN", "ａｎｎ"}[i%3]
		return nodes[i%2].Login(w.ctx, &core.LoginRequest{Mount: m, Username: name, Password: fmt.Sprint("guess number ", i), Client: from(network(i))})
	}
	compared := 0
	judge := func(err error) (locked bool) {
		t.Helper()
		e, ok := err.(*core.Error)
		switch {
		case ok && e.Code == core.BadCredentials && e.Reason == "wrong password":
			compared++
		case ok && e.Code == core.BadCredentials:
			return e.Reason == "locked"
		case ok && e.Code == core.TooMany:
		default:
			t.Fatal(err)
		}
		return false
	}
	_, errs := atOnce(500, guess)
	for _, err := range errs {
		judge(err)
	}
	if compared == 0 || compared > budget {
		t.Fatalf("%d passwords were compared, the budget is %d", compared, budget)
	}
	for i := 500; ; i++ {
		if _, err := guess(i); judge(err) {
			break
		}
	}
	if compared != budget {
		t.Fatalf("%d passwords were compared, the budget is %d", compared, budget)
	}
	for i, node := range nodes { // the right one, too late on both
		_, err := node.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: right, Client: from(network(700 + i))})
		wantCode(t, err, core.BadCredentials)
	}
}
