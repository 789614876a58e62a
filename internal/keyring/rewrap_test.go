package keyring

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

const (
	secondKey = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
	thirdKey  = "ff02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f21"
)

// reopen opens the rows under another master key.
func reopen(t *testing.T, rows *memRows, key string) (*Keyring, error) {
	t.Helper()
	return Open(t.Context(), Config{
		Rows: rows, Meta: rows, Master: testMaster(t, key), Now: func() int64 { return 50 }, Logger: slog.New(slog.DiscardHandler),
	})
}

// TestRewrap changes the master key twice: what was sealed opens, what was
// derived stays, and the old keys open the store no more.
func TestRewrap(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 10)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}, {refreshSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	kid, err := r.ImportShared(t.Context(), core.KeySet{Mount: "m2", Kind: token.Access}, longSecret, ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	shared, _, _ := r.Sign(core.KeySet{Mount: "m2", Kind: token.Access}, token.Header{OmitKeyID: true}, payload)
	tok, _, _ := r.Sign(accessSet, token.Header{}, payload)
	first := r.MasterID()
	derived := r.Derive("x")
	sealed, _ := r.Seal(core.SealAPISecret, "row 1", []byte("secret"))
	rows.secrets = map[string][]byte{"row 1": sealed}

	wantCode(t, r.Rewrap(t.Context(), testMaster(t, hexKey), "operator:0"), core.Conflict)
	for i, key := range []string{secondKey, thirdKey} {
		if err := r.Rewrap(t.Context(), testMaster(t, key), "operator:0"); err != nil {
			t.Fatal(i, err)
		}
		fresh, err := reopen(t, rows, key)
		if err != nil {
			t.Fatal(i, err)
		}
		for _, k := range []*Keyring{r.Keyring, fresh} {
			if k.MasterID() != testMaster(t, key).ID() || k.Derive("x") != derived {
				t.Errorf("%d: id %s, or another derived key", i, k.MasterID())
			}
			if _, err := token.VerifyGroups(tok, k.Verifying(accessSet), &accessRules, 1500); err != nil {
				t.Error(i, err)
			}
			if _, err := token.VerifyGroups(shared, k.Verifying(core.KeySet{Mount: "m2", Kind: token.Access}), &accessRules, 1500); err != nil {
				t.Error("under the shared secret "+kid, i, err)
			}
			if plain, err := k.Open(core.SealAPISecret, "row 1", rows.secrets["row 1"]); err != nil || string(plain) != "secret" {
				t.Error(i, string(plain), err)
			}
		}
		for _, row := range rows.rows {
			if row.MasterKey != r.MasterID() {
				t.Errorf("%d: row %s is under %s", i, row.ID, row.MasterKey)
			}
		}
	}
	for _, old := range []string{hexKey, secondKey} {
		if _, err := reopen(t, rows, old); err == nil {
			t.Error("an old key opens the store")
		} else {
			wantText(t, err, r.MasterID())
		}
		wantCode(t, r.Rewrap(t.Context(), testMaster(t, old), "operator:0"), core.Conflict)
	}
	n := 0
	for _, e := range rows.events {
		if e.Kind == "key.rewrap" {
			n++
			if n == 1 && (e.Detail["from"] != first || e.Actor != "operator:0") {
				t.Errorf("event %+v", e)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d events", n)
	}
}

// TestRewrapLeavesNobodyBehind seals values all the while the key changes; each
// opens, at the end under the new key alone.
func TestRewrapLeavesNobodyBehind(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 10)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	rows.secrets = map[string][]byte{}
	var wg sync.WaitGroup
	begun := make(chan struct{}, 4)
	stop := make(chan struct{})
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				binding := strings.Repeat("x", g+1) + string(rune('a'+i%20))
				sealed, err := r.Seal(core.SealAPISecret, binding, []byte(binding))
				if err != nil {
					t.Error(err)
					return
				}
				if plain, err := r.Open(core.SealAPISecret, binding, sealed); err != nil || string(plain) != binding {
					t.Error(string(plain), err)
					return
				}
				rows.mu.Lock()
				rows.secrets[binding] = sealed
				rows.mu.Unlock()
				if i == 5 {
					begun <- struct{}{}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	if err := r.Rewrap(t.Context(), testMaster(t, secondKey), "operator:0"); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	// One that was sealed before the change and is stored after it.
	late, err := testMaster(t, hexKey).sealer(core.SealAPISecret)
	if err != nil {
		t.Fatal(err)
	}
	rows.secrets["late"] = late.seal("late", []byte("late"))
	if plain, err := r.Open(core.SealAPISecret, "late", rows.secrets["late"]); err != nil || string(plain) != "late" {
		t.Fatal("the old key is forgotten too early: ", err)
	}
	if err := r.Tick(t.Context(), &Plan{}); err != nil {
		t.Fatal(err)
	}
	only, err := testMaster(t, secondKey).sealer(core.SealAPISecret)
	if err != nil {
		t.Fatal(err)
	}
	for binding, sealed := range rows.secrets {
		if plain, err := only.open(binding, sealed); err != nil || string(plain) != binding {
			t.Errorf("%q: %v", binding, err)
		}
	}
	// A process that died before it looked leaves it to the next.
	rows.secrets["later"] = late.seal("later", []byte("later"))
	fresh, err := reopen(t, rows, secondKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Tick(t.Context(), &Plan{}); err != nil {
		t.Fatal(err)
	}
	if _, err := only.open("later", rows.secrets["later"]); err != nil {
		t.Error(err)
	}
}

// TestRewrapRefused leaves everything as it was when the store refuses.
func TestRewrapRefused(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 10)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	was := r.MasterID()
	rows.secrets = map[string][]byte{"row": []byte("this opens under no key whatever it may be, long enough")}
	err := r.Rewrap(t.Context(), testMaster(t, secondKey), "operator:0")
	wantCode(t, err, core.Unavailable)
	if r.MasterID() != was || rows.meta[core.MetaMasterKeyID] != was || rows.rows[0].MasterKey != was {
		t.Error("half a change")
	}
	rows.meta[core.MetaMasterKeyID], rows.secrets = "mk_other", nil
	wantCode(t, r.Rewrap(t.Context(), testMaster(t, secondKey), "operator:0"), core.Conflict)
}
