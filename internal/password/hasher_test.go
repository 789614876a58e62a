package password

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"
)

func newHasher(t testing.TB) *Hasher {
	t.Helper()
	h, err := New(Config{Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHashAndVerify(t *testing.T) {
	h := newHasher(t)
	ctx := t.Context()
	phc, err := h.Hash(ctx, Lane{}, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("not the default: %s", phc)
	}
	for _, c := range []struct {
		password    string
		ok, upgrade bool
	}{{"correct horse battery", true, false}, {"correct horse batterz", false, false}, {"correct horse batter", false, false}} {
		ok, upgrade, err := h.Verify(ctx, Lane{}, phc, c.password)
		if ok != c.ok || upgrade != c.upgrade || err != nil {
			t.Errorf("%q: %v %v %v", c.password, ok, upgrade, err)
		}
	}
	other, err := h.Hash(ctx, Lane{}, "correct horse battery")
	if err != nil || other == phc {
		t.Errorf("two hashes of one password are the same: %v", err)
	}
}

func TestSecurity49_WeakerHashesAreReplaced(t *testing.T) {
	strong, err := New(Config{Params: Params{Memory: 20000, Time: 3, Threads: 2}, Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	plain := newHasher(t)
	phc, err := plain.Hash(t.Context(), Lane{}, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	ok, upgrade, err := strong.Verify(t.Context(), Lane{}, phc, "correct horse battery")
	if !ok || !upgrade || err != nil {
		t.Errorf("%v %v %v", ok, upgrade, err)
	}
	if phc, err = strong.Hash(t.Context(), Lane{}, "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	ok, upgrade, err = plain.Verify(t.Context(), Lane{}, phc, "correct horse battery")
	if !ok || upgrade || err != nil {
		t.Errorf("a stronger hash: %v %v %v", ok, upgrade, err)
	}
}

func TestSpellingOfAPassword(t *testing.T) {
	h := newHasher(t)
	phc, err := h.Hash(t.Context(), Lane{}, "cafe\u0301\u00a0au lait") // decomposed, no-break space
	if err != nil {
		t.Fatal(err)
	}
	ok, upgrade, err := h.Verify(t.Context(), Lane{}, phc, "caf\u00e9 au lait")
	if !ok || upgrade || err != nil {
		t.Errorf("composed: %v %v %v", ok, upgrade, err)
	}
	// A system that did not normalise hashed the bytes as they came.
	raw, err := bcrypt.GenerateFromPassword([]byte("cafe\u0301"), 4)
	if err != nil {
		t.Fatal(err)
	}
	ok, upgrade, err = h.Verify(t.Context(), Lane{}, string(raw), "cafe\u0301")
	if !ok || !upgrade || err != nil {
		t.Errorf("raw bytes: %v %v %v", ok, upgrade, err)
	}
}

func TestBcryptPastItsEnd(t *testing.T) {
	h := newHasher(t)
	long := strings.Repeat("a", 72)
	stored, err := bcrypt.GenerateFromPassword([]byte(long), 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		password    string
		ok, upgrade bool
	}{{long, true, true}, {long + "tail", true, false}, {long[:71], false, false}} {
		ok, upgrade, err := h.Verify(t.Context(), Lane{}, string(stored), c.password)
		if ok != c.ok || upgrade != c.upgrade || err != nil {
			t.Errorf("%d bytes: %v %v %v", len(c.password), ok, upgrade, err)
		}
	}
}

func TestNoPassword(t *testing.T) {
	h := newHasher(t)
	for _, c := range []struct {
		password     string
		hash, verify error
	}{
		{"", ErrEmpty, ErrEmpty},
		{strings.Repeat("a", 1025), ErrTooLong, ErrTooLong},
		{"abc\xff", ErrNotText, ErrNotText},
		{"line\nbreak", ErrNotText, nil}, // somebody else's hash may be of it
		{strings.Repeat("a", 1024), nil, nil},
	} {
		if _, err := h.Hash(t.Context(), Lane{}, c.password); !errors.Is(err, c.hash) {
			t.Errorf("Hash %.10q: %v", c.password, err)
		}
		if err := h.Dummy(t.Context(), Lane{}, c.password); !errors.Is(err, c.verify) {
			t.Errorf("Dummy %.10q: %v", c.password, err)
		}
		if _, _, err := h.Verify(t.Context(), Lane{}, "$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", c.password); !errors.Is(err, c.verify) {
			t.Errorf("Verify %.10q: %v", c.password, err)
		}
	}
}

func TestSecurity49_WeakParametersAreRefused(t *testing.T) {
	for _, p := range []Params{{Memory: 19455, Time: 2}, {Memory: 19456, Time: 1}, {Memory: 1 << 30, Time: 2}, {Memory: 19456, Time: 2, Threads: 200}} {
		if _, err := New(Config{Params: p}); err == nil {
			t.Errorf("%+v accepted", p)
		}
	}
}

// ledger notes work instead of doing it: each kind in its turn, and after each
// trip how long that may take.
type ledger []due

func (l *ledger) run(jobs []job) []done {
	for _, j := range jobs {
		k := j.kdf()
		if n := len(*l) - 1; n >= 0 && (*l)[n].kind == k.kind {
			(*l)[n].work += k.work()
		} else {
			*l = append(*l, due{k.kind, k.work()})
		}
	}
	*l = append(*l, due{work: uint64(patience(jobs))})
	return make([]done, len(jobs))
}

// Every verification does the same work, kind by kind and in the same order,
// in as many trips to a worker, whoever is asked about. The order counts: after
// argon2 a worker collects garbage and asks for new pages, and with the user's
// own hash first that fell to the others of a mixed store.
func TestSameWorkInSameOrderInMixedStores(t *testing.T) {
	store := []string{
		"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7",
		"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7",
		"$argon2id$v=19$m=65536,t=1,p=4$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7",
		"pbkdf2_sha256$1000$saltsalt1234$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28=",
		"pbkdf2_sha256$600000$saltsalt1234$vCowWi1dB0WkHn96blKCnL2OG83kjxRxvy4fTd6Hm28=",
		"$pbkdf2-sha256$1000$c2FsdHNhbHQxMjM0$" + strings.Repeat("A", 86), // two blocks of output
		"scrypt:1024:8:2$saltsalt1234$027e4cbafd20ee45015ff212fe36217fc6f63ade5691fe088c2acfb4b60508d9",
		"$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
	}
	h := newHasher(t)
	for _, phc := range store {
		if err := h.Observe(phc); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.Stats().Kinds; got != 6 {
		t.Fatalf("%d kinds", got)
	}
	for _, password := range []string{"plain", "cafe\u0301", strings.Repeat("long ", 100)} {
		want := ledger{}
		h.run = want.run
		if err := h.Dummy(t.Context(), Lane{}, password); err != nil {
			t.Fatal(err)
		}
		for _, phc := range append(store, "not a hash", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW") {
			got := ledger{}
			h.run = got.run
			ok, _, err := h.Verify(t.Context(), Lane{}, phc, password)
			if ok || (err != nil) != (Check(phc) != nil) {
				t.Fatalf("%s: %v %v", phc, ok, err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %.10q:\n%v, an unknown name\n%v", phc, password, got, want)
			}
		}
		tries, err := candidates(password)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(tries) * 7; len(want) != n || want[6].work != uint64(6*late) {
			t.Errorf("%.10q: %v, want six kinds and six times the usual patience, %d times", password, want, len(tries))
		}
	}
	if err := h.Observe("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"); !errors.Is(err, ErrUnusable) {
		t.Errorf("a seventh kind: %v", err)
	}
}

func TestTopUpsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := kind{alg: bcryptKDF}
		low := rapid.IntRange(minBcryptCost, maxBcryptCost).Draw(t, "low")
		high := rapid.IntRange(low, maxBcryptCost).Draw(t, "high")
		b := bill{}
		cheap := kdf{kind: k, cost: 1 << low}
		for _, each := range []kdf{cheap, {kind: k, cost: 1 << high}} {
			if err := b.add(each); err != nil {
				t.Fatal(err)
			}
		}
		sum := uint64(0)
		list, at := b.list(&cheap)
		if at != 0 || list[at] != cheap {
			t.Fatalf("the hash at hand is %d in %v", at, list)
		}
		for _, r := range list {
			if err := r.affordable(); err != nil {
				t.Fatal(err)
			}
			sum += r.work()
		}
		if sum != 1<<high {
			t.Fatalf("%d topped up to %d of %d", cheap.work(), sum, 1<<high)
		}
	})
}

// Decoys must really run: one that fails at once takes no time.
func TestDecoysRun(t *testing.T) {
	for _, c := range foreign {
		e, err := parse(c.hash)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range e.split(e.work()) {
			j := k.decoy([]byte("x"))
			switch k.alg {
			case bcryptKDF:
				full := append(append([]byte("$2b$"+twoDigits(k.cost)+"$"), j.Salt...), j.Key...)
				if err := bcrypt.CompareHashAndPassword(full, j.Password); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
					t.Errorf("%s: %v", c.name, err)
				}
			case sha256crypt, sha512crypt:
				if err := Check(k.shaCryptString(j.Salt, j.Key)); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			default:
				if got := k.derive(j.Password, j.Salt); len(got) != len(j.Key) {
					t.Errorf("%s: derived %d bytes", c.name, len(got))
				}
			}
		}
	}
}

func TestGoneCallersCostNothing(t *testing.T) {
	h := newHasher(t)
	work := ledger{}
	h.run = work.run
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Dummy(ctx, Lane{}, "x"); !errors.Is(err, context.Canceled) || len(work) != 0 {
		t.Errorf("%v after %v", err, work)
	}
	if _, err := h.Hash(ctx, Lane{}, "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPanicGivesTheSlotBack(t *testing.T) {
	h := newHasher(t)
	h.run = func([]job) []done { panic("broken") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = h.Dummy(t.Context(), Lane{}, "x") // panics
	}()
	h.run = new(ledger).run
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.Dummy(ctx, Lane{}, "x"); err != nil {
		t.Error(err)
	}
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(b)
	for b.Loop() {
		if _, err := h.Hash(context.Background(), Lane{}, "correct horse battery"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	h := newHasher(b)
	phc, err := h.Hash(context.Background(), Lane{}, "correct horse battery")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, _, err := h.Verify(context.Background(), Lane{}, phc, "correct horse battery"); !ok {
			b.Fatal(err)
		}
	}
}

// The floor: the bare derivation with the default parameters.
func BenchmarkBareArgon2id(b *testing.B) {
	salt := make([]byte, saltBytes)
	for b.Loop() {
		argon2.IDKey([]byte("correct horse battery"), salt, 2, 19456, 1, keyBytes)
	}
}
