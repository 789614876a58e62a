package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

var (
	accessSet  = core.KeySet{Mount: "m1", Kind: token.Access}
	refreshSet = core.KeySet{Mount: "m1", Kind: token.Refresh}
	idSet      = core.KeySet{Mount: "m1", Kind: token.ID}
	payload    = []byte(`{"iss":"https://x","iat":1,"exp":2}`)
)

func TestStoreOfAnotherMasterKeyIsRefused(t *testing.T) {
	rows := newRows()
	first := openRing(t, rows, 1)
	other := testMaster(t, "ffeeddccbbaa99887766554433221100"+hexKey[:32])
	_, err := Open(t.Context(), Config{Rows: rows, Meta: rows, Master: other, Logger: slog.New(slog.DiscardHandler)})
	wantText(t, err, first.MasterID(), other.ID(), "--master-key-file")

	rows.meta[core.MetaMasterKeyCheck] = "00"
	_, err = Open(t.Context(), Config{Rows: rows, Meta: rows, Master: testMaster(t, hexKey), Logger: slog.New(slog.DiscardHandler)})
	wantText(t, err, first.MasterID(), "check value")
}

func TestEnsureSignsAndSurvivesRestart(t *testing.T) {
	rows := newRows()
	needs := []Need{{accessSet, token.ES256}, {refreshSet, token.HS256}, {idSet, token.EdDSA}, {core.KeySet{Mount: "m2", Kind: token.Access}, token.HS256}}
	a := openRing(t, rows, 5)
	if err := a.Ensure(t.Context(), needs); err != nil {
		t.Fatal(err)
	}
	tok, kid, err := a.Sign(refreshSet, token.Header{}, payload)
	if err != nil || kid == "" || kid != a.ActiveKey(refreshSet) {
		t.Fatal(tok, kid, err)
	}
	b := openRing(t, rows, 6)
	if err := b.Ensure(t.Context(), needs); err != nil {
		t.Fatal(err)
	}
	if len(rows.rows) != len(needs) {
		t.Fatalf("%d rows after a second start", len(rows.rows))
	}
	same, err := b.SignWith(refreshSet, kid, token.Header{}, payload)
	if err != nil || same != tok {
		t.Fatal("the same token was not made again: ", err)
	}
	for _, row := range rows.rows {
		if row.MasterKey != a.MasterID() || strings.Contains(string(row.Sealed), "PRIVATE") || row.CreatedAt != 5 || row.ActivatedAt != 5 {
			t.Errorf("row %+v", row)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	r := openRing(t, newRows(), 1)
	_, _, err := r.Sign(accessSet, token.Header{}, payload)
	wantCode(t, err, core.Unavailable)
	_, err = r.SignWith(accessSet, "nope", token.Header{}, payload)
	wantCode(t, err, core.Unavailable)
	if err := r.Ensure(t.Context(), []Need{{accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	_, err = r.SignWith(accessSet, r.ActiveKey(accessSet), token.Header{}, payload)
	wantCode(t, err, core.Internal)
	wantText(t, r.Ensure(t.Context(), []Need{{refreshSet, token.ES256}}), "HS256, not ES256")
	wantText(t, r.Ensure(t.Context(), []Need{{refreshSet, "none"}}), `"none"`)
	if r.Verifying(refreshSet) != nil || r.ActiveKey(refreshSet) != "" {
		t.Fatal("a set without keys has some")
	}
}

func TestSetsNeverMixHMACAndPublicKeys(t *testing.T) {
	r := openRing(t, newRows(), 1)
	for _, alg := range []token.Algorithm{token.ES256, token.HS256} {
		set := core.KeySet{Mount: "mix" + string(alg), Kind: token.Access}
		if err := r.Ensure(t.Context(), []Need{{set, alg}}); err != nil {
			t.Fatal(err)
		}
	}
	err := r.Ensure(t.Context(), []Need{{core.KeySet{Mount: "mixHS256", Kind: token.Access}, token.ES256}})
	wantText(t, err, "never stand in one set", "sallyport key drop")
	err = r.Ensure(t.Context(), []Need{{core.KeySet{Mount: "mixES256", Kind: token.Access}, token.HS256}})
	wantText(t, err, "never stand in one set")
	_, err = r.ImportShared(t.Context(), core.KeySet{Mount: "mixES256", Kind: token.Access}, longSecret, ImportOptions{})
	wantCode(t, err, core.Conflict)
}

// Rows that say so all the same are refused at start.
func TestMixedRowsAreRefused(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 1)
	for _, alg := range []token.Algorithm{token.ES256, token.HS256} {
		if _, err := r.insertNew(t.Context(), Need{accessSet, alg}, core.KeyNext, System); err != nil {
			t.Fatal(err)
		}
	}
	wantText(t, r.Reload(t.Context()), "mix HMAC and public-key")
}

func TestConcurrentEnsureMakesOneKey(t *testing.T) {
	rows := newRows()
	rings := make([]*ring, 8)
	for i := range rings {
		rings[i] = openRing(t, rows, 1)
	}
	var wg sync.WaitGroup
	for _, r := range rings {
		wg.Go(func() {
			if err := r.Ensure(context.Background(), []Need{{accessSet, token.ES256}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := rows.active(accessSet); n != 1 || len(rows.rows) != 1 {
		t.Fatalf("%d active keys, %d rows", n, len(rows.rows))
	}
	for _, r := range rings {
		if r.ActiveKey(accessSet) != rows.rows[0].ID {
			t.Fatal("a node signs with another key")
		}
	}
}

// A database that is put back under a running node is empty for a moment.
func TestEmptiedStoreKeepsKeys(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 1)
	if err := r.Ensure(t.Context(), []Need{{refreshSet, token.HS256}, {accessSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	before, all := r.ActiveKey(accessSet), rows.rows
	rows.rows = nil
	wantCode(t, r.Reload(t.Context()), core.Unavailable)
	if r.ActiveKey(accessSet) != before || r.Fault() == nil {
		t.Error("the keys are gone with the store's rows")
	}
	rows.rows = all
	if err := r.Reload(t.Context()); err != nil || r.Fault() != nil {
		t.Errorf("the rows are back: %v, %v", err, r.Fault())
	}
}

// TestUnreadKeys: while the keys cannot be read, one that another node made may
// be missing, so a token of an unknown key is not called invalid. A caller that
// leaves says nothing about the store.
func TestUnreadKeys(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 1)
	if err := r.Ensure(t.Context(), []Need{{refreshSet, token.HS256}, {accessSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	before := r.ActiveKey(accessSet)
	rows.down = errors.New("connection refused")
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := r.Reload(gone); err == nil || r.Fault() != nil || r.Behind() {
		t.Errorf("a caller left: %v, fault %v", err, r.Fault())
	}
	if err := r.Reload(t.Context()); !errors.Is(err, rows.down) || r.Fault() == nil || !r.Behind() {
		t.Errorf("the store does not answer: %v, fault %v", err, r.Fault())
	}
	if r.ActiveKey(accessSet) != before {
		t.Error("the snapshot in force is gone")
	}
	rows.down = nil
	if err := r.Reload(t.Context()); err != nil || r.Fault() != nil || r.Behind() {
		t.Errorf("the store answers: %v, fault %v", err, r.Fault())
	}
}

func TestMovedSealedKeyDoesNotOpen(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 1)
	if err := r.Ensure(t.Context(), []Need{{refreshSet, token.HS256}, {accessSet, token.HS256}}); err != nil {
		t.Fatal(err)
	}
	before := r.ActiveKey(accessSet)
	rows.rows[1].Sealed = rows.rows[0].Sealed
	err := r.Reload(t.Context())
	wantCode(t, err, core.Unavailable)
	if len(r.alarms.all) != 1 || r.Fault() == nil {
		t.Fatal("no alarm", r.alarms.all)
	}
	if r.ActiveKey(accessSet) != before {
		t.Fatal("the snapshot in force is gone")
	}
	_, err = Open(t.Context(), Config{Rows: rows, Meta: rows, Master: testMaster(t, hexKey), Logger: slog.New(slog.DiscardHandler)})
	wantCode(t, err, core.Unavailable)
}

func TestSwappedPublicPartIsRefused(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 1)
	if err := r.Ensure(t.Context(), []Need{{idSet, token.ES256}, {accessSet, token.ES256}}); err != nil {
		t.Fatal(err)
	}
	rows.rows[1].Public = rows.rows[0].Public
	_, err := Open(t.Context(), Config{Rows: rows, Meta: rows, Master: testMaster(t, hexKey), Logger: slog.New(slog.DiscardHandler)})
	wantText(t, err, "belongs to another key")
}

// JWKS is what go-jose, which shares no code with us, verifies with.
func TestJWKSVerifies(t *testing.T) {
	r := openRing(t, newRows(), 1)
	sets := map[token.Algorithm]core.KeySet{}
	needs := []Need{{refreshSet, token.HS256}}
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA, token.RS256} {
		sets[alg] = core.KeySet{Mount: "m-" + string(alg), Kind: token.ID}
		needs = append(needs, Need{sets[alg], alg})
	}
	empty := r.JWKSETag()
	if string(r.JWKS()) != `{"keys":[]}` {
		t.Fatalf("empty set: %s", r.JWKS())
	}
	if err := r.Ensure(t.Context(), needs); err != nil {
		t.Fatal(err)
	}
	if r.JWKSETag() == empty {
		t.Fatal("the entity tag did not change")
	}
	var jwks gojose.JSONWebKeySet
	if err := json.Unmarshal(r.JWKS(), &jwks); err != nil || len(jwks.Keys) != 3 {
		t.Fatal(len(jwks.Keys), err)
	}
	for alg, set := range sets {
		tok, kid, err := r.Sign(set, token.Header{Typ: "JWT"}, payload)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := gojose.ParseSignedCompact(tok, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(err)
		}
		keys := jwks.Key(kid)
		if len(keys) != 1 || !keys[0].IsPublic() || keys[0].Use != "sig" || keys[0].Algorithm != string(alg) {
			t.Fatalf("%s: %+v", alg, keys)
		}
		got, err := parsed.Verify(keys[0])
		if err != nil || string(got) != string(payload) {
			t.Fatalf("%s: %s %v", alg, got, err)
		}
	}
	for _, private := range []string{`"d"`, `"k"`, `"p"`, r.ActiveKey(refreshSet)} {
		if strings.Contains(string(r.JWKS()), private) {
			t.Errorf("JWKS holds %s", private)
		}
	}
}

func TestStoreFailureIsPassedOn(t *testing.T) {
	rows := newRows()
	r := openRing(t, rows, 1)
	r.cfg.Rows = failingRows{}
	if err := r.Reload(t.Context()); !errors.Is(err, core.ErrStoreUnavailable) {
		t.Fatal(err)
	}
}

type failingRows struct{ core.KeyRows }

func (failingRows) ListKeys(context.Context) ([]core.KeyRow, error) {
	return nil, core.ErrStoreUnavailable
}
