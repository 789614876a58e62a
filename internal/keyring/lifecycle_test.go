package keyring

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

var longSecret = []byte("q8Zt-Vw3xN_0aPfR7sLk2uYcEj6hBm9d")

var accessRules = token.Rules{Kind: token.Access, Issuers: []string{"https://x"}, MaxLifetime: 60}

func verify(r *ring, set core.KeySet, tok string) error {
	_, err := token.VerifyGroups(tok, r.Verifying(set), &accessRules, 1500)
	return err
}

func TestRotatePublicKeysInTwoSteps(t *testing.T) {
	r := openRing(t, newRows(), 10)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	old, first, err := r.Sign(accessSet, token.Header{}, payload)
	if err != nil {
		t.Fatal(err)
	}
	step, err := r.Rotate(t.Context(), accessSet, "operator:0")
	if err != nil || step.Published == "" || step.Activated != "" || r.ActiveKey(accessSet) != first {
		t.Fatal(step, err)
	}
	if strings.Count(string(r.JWKS()), `"kid"`) != 2 {
		t.Fatal("the next key is not published: " + string(r.JWKS()))
	}
	_, err = r.Rotate(t.Context(), accessSet, "operator:0")
	wantCode(t, err, core.Conflict)
	r.now = 10 + defaultPublishMS
	next, err := r.Rotate(t.Context(), accessSet, "operator:0")
	if err != nil || next.Activated != step.Published || next.Retired != first || r.ActiveKey(accessSet) != step.Published {
		t.Fatal(next, err)
	}
	if err := verify(r, accessSet, old); err != nil {
		t.Fatal("the old token died at the rotation: ", err)
	}
	wantCode(t, r.Drop(t.Context(), next.Activated, "operator:0"), core.Conflict)
	wantCode(t, r.Drop(t.Context(), "nope", "operator:0"), core.NotFound)
	if err := r.Drop(t.Context(), first, "operator:0"); err != nil {
		t.Fatal(err)
	}
	if err := verify(r, accessSet, old); !errors.Is(err, token.ErrSignature) {
		t.Fatal("a token of a dropped key: ", err)
	}
	if _, ok := r.Inspect(first); ok || r.rows.rows[0].Sealed != nil {
		t.Fatal("the dropped key is still there")
	}
	var kinds []string
	for _, e := range r.rows.events {
		kinds = append(kinds, e.Kind+" "+e.Actor)
	}
	want := "key.create system|key.create operator:0|key.activate operator:0|key.drop operator:0"
	if got := strings.Join(kinds, "|"); got != want {
		t.Fatalf("events %s", got)
	}
}

func TestRotateHMACInOneStepAndSignAgain(t *testing.T) {
	r := openRing(t, newRows(), 10)
	if err := r.Ensure(t.Context(), []Need{{refreshSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	tok, first, _ := r.Sign(refreshSet, token.Header{}, payload)
	step, err := r.Rotate(t.Context(), refreshSet, "operator:0")
	if err != nil || step.Activated == "" || step.Retired != first {
		t.Fatal(step, err)
	}
	again, err := r.SignWith(refreshSet, first, token.Header{}, payload)
	if err != nil || again != tok {
		t.Fatal("a retired key must issue again what it issued: ", err)
	}
	info, ok := r.Inspect(first)
	if !ok || info.State != core.KeyVerifyOnly || info.RetiredAt != 10 || info.Set != refreshSet || len(r.List()) != 2 {
		t.Fatal(info, ok)
	}
	_, err = r.Rotate(t.Context(), idSet, "operator:0")
	wantCode(t, err, core.NotFound)
}

func TestEnsureChangesPublicAlgorithm(t *testing.T) {
	r := openRing(t, newRows(), 10)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	old, _, _ := r.Sign(accessSet, token.Header{}, payload)
	for range 2 {
		if err := r.Ensure(t.Context(), []Need{{accessSet, token.EdDSA}}); err != nil {
			t.Fatal(err)
		}
	}
	info, _ := r.Inspect(r.ActiveKey(accessSet))
	if info.Algorithm != token.EdDSA || len(r.rows.rows) != 2 {
		t.Fatal(info)
	}
	if err := verify(r, accessSet, old); err != nil {
		t.Fatal(err)
	}
}

func TestSharedSecretSignsWithOurMAC(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 10)
	need := []Need{{accessSet, token.HS256}}
	if err := r.Ensure(t.Context(), need); err != nil {
		t.Fatal(err)
	}
	own, _, _ := r.Sign(accessSet, token.Header{}, payload)
	kid, err := r.ImportShared(t.Context(), accessSet, longSecret, ImportOptions{Actor: "operator:0"})
	if err != nil || r.ActiveKey(accessSet) != kid {
		t.Fatal(kid, err)
	}
	again, err := r.ImportShared(t.Context(), accessSet, longSecret, ImportOptions{})
	if err != nil || again != kid || rows.active(accessSet) != 1 {
		t.Fatal("importing twice: ", again, err)
	}
	tok, _, err := r.Sign(accessSet, token.Header{OmitKeyID: true}, payload)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := token.NewHMAC("", longSecret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(tok, []*token.Key{holder}, &accessRules, 1500); err != nil {
		t.Fatal("the vendor's verifier does not take our token: ", err)
	}
	forged, _ := holder.Sign(token.Header{OmitKeyID: true}, payload)
	for _, ring := range []*ring{r, openRing(t, rows, 11)} {
		if err := verify(ring, accessSet, own); err != nil {
			t.Fatal("a token of before the import: ", err)
		}
		if err := verify(ring, accessSet, tok); err != nil {
			t.Fatal(err)
		}
		if err := verify(ring, accessSet, forged); !errors.Is(err, token.ErrSignature) {
			t.Fatal("a token that a holder of the secret minted: ", err)
		}
		if err := verify(ring, core.KeySet{Mount: "m2", Kind: token.Access}, tok); err == nil {
			t.Fatal("another mount takes it")
		}
	}
	if err := r.Ensure(t.Context(), need); err != nil || r.ActiveKey(accessSet) != kid {
		t.Fatal("Ensure took the shared secret away: ", err)
	}
	_, err = r.Rotate(t.Context(), accessSet, "operator:0")
	wantCode(t, err, core.Conflict)
	for _, kind := range []token.Kind{token.Refresh, token.ID, token.Request} {
		_, err := r.ImportShared(t.Context(), core.KeySet{Mount: "m1", Kind: kind}, longSecret, ImportOptions{})
		wantCode(t, err, core.FieldInvalid)
	}
}

// The MACs of two mounts that share one secret are not each other's.
func TestSharedSecretOfTwoMounts(t *testing.T) {
	r := openRing(t, newRows(), 10)
	other := core.KeySet{Mount: "m2", Kind: token.Access}
	for _, set := range []core.KeySet{accessSet, other} {
		if _, err := r.ImportShared(t.Context(), set, longSecret, ImportOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	tok, _, _ := r.Sign(accessSet, token.Header{OmitKeyID: true}, payload)
	if err := verify(r, accessSet, tok); err != nil {
		t.Fatal(err)
	}
	if err := verify(r, other, tok); !errors.Is(err, token.ErrSignature) {
		t.Fatal(err)
	}
}

func TestSecurity12_WeakSharedSecret(t *testing.T) {
	const date = 1_800_000_000_000
	rows := newRows()
	r := openRing(t, rows, date-1000)
	weak := []byte("Kx7#pQ2vL9!mZ4")
	for name, c := range map[string]struct {
		secret string
		until  int64
	}{
		"no date": {string(weak), 0}, "date over": {string(weak), date - 1000}, "empty": {"", date},
		"public": {"your-256-bit-secret-your-256-bit-secret", 0}, "public and weak": {"secret", date},
	} {
		_, err := r.ImportShared(t.Context(), accessSet, []byte(c.secret), ImportOptions{WeakUntil: c.until})
		if core.CodeOf(err) != core.FieldInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(rows.rows) != 0 {
		t.Fatal("a refused secret was stored")
	}
	kid, err := r.ImportShared(t.Context(), accessSet, weak, ImportOptions{WeakUntil: date})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*ring{r, openRing(t, rows, date-1)} {
		if !strings.Contains(c.log.String(), "replace it before its date") || !strings.Contains(c.log.String(), "2027-01-15") {
			t.Fatalf("no warning: %s", c.log)
		}
	}
	tok, _, _ := r.Sign(accessSet, token.Header{}, payload)

	late := openRing(t, rows, date)
	if !strings.Contains(late.log.String(), "past its date") || late.ActiveKey(accessSet) != "" || verify(late, accessSet, tok) == nil {
		t.Fatalf("a weak secret past its date counts: %s", late.log)
	}
	if err := late.Ensure(t.Context(), []Need{{accessSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	info, _ := late.Inspect(late.ActiveKey(accessSet))
	if info.Class != core.OwnKey || info.ID == kid {
		t.Fatal(info)
	}
}

// TestPublicSecretThatSigns: what an earlier version took does not stop a start,
// which imports it again; it is told of each time, and goes nowhere else.
func TestPublicSecretThatSigns(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 0)
	public := []byte("this-should-never-be-the-key-in-production")
	e, err := r.sharedEntry(t.Context(), accessSet, public, &ImportOptions{Actor: System})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.promote(t.Context(), e, System); err != nil {
		t.Fatal(err)
	}
	again := openRing(t, rows, 1000)
	kid, err := again.ImportShared(t.Context(), accessSet, public, ImportOptions{})
	if err != nil || kid != e.row.ID {
		t.Fatal(kid, err)
	}
	if !strings.Contains(again.log.String(), "a shared secret is public") || strings.Contains(again.log.String(), string(public)) {
		t.Errorf("the log says %s", again.log)
	}
	other := core.KeySet{Mount: "other", Kind: token.Access}
	if _, err := again.ImportShared(t.Context(), other, public, ImportOptions{}); core.CodeOf(err) != core.FieldInvalid {
		t.Errorf("for another mount: %v", err)
	}
}

// TestAlgorithmChangesDuringRotation: a key that was published to sign next, with
// the algorithm of before, will never sign. It does not stay published, and is
// not there to sign at once, years old, when the algorithm is changed back.
func TestAlgorithmChangesDuringRotation(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "after a crash between the two steps": true} {
		t.Run(name, func(t *testing.T) {
			rows := newRows()
			r := openRing(t, rows, 0)
			ensure := func(alg token.Algorithm) {
				t.Helper()
				if err := r.Ensure(t.Context(), []Need{{accessSet, alg}}); err != nil {
					t.Fatal(err)
				}
			}
			ensure(token.ES256)
			if _, err := r.Rotate(t.Context(), accessSet, "operator"); err != nil {
				t.Fatal(err)
			}
			if restart {
				// As the binary before left it: the algorithm changed, the next key stayed.
				if _, err := r.rotateTo(t.Context(), Need{accessSet, token.EdDSA}, System); err != nil {
					t.Fatal(err)
				}
				if got := r.states(accessSet); got != "verify-only next active" {
					t.Fatal(got)
				}
				r = openRing(t, rows, 0)
			}
			ensure(token.EdDSA)
			if got := r.states(accessSet); got != "verify-only active" {
				t.Errorf("keys are %s", got)
			}
			ensure(token.ES256)
			if got := r.states(accessSet); got != "verify-only verify-only active" {
				t.Errorf("changed back, keys are %s", got)
			}
		})
	}
}
