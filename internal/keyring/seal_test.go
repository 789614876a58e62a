package keyring

import (
	"bytes"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

func TestSealOpens(t *testing.T) {
	r := openRing(t, newRows(), 1)
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte{0}, 4096)} {
		sealed, err := r.Seal(core.SealAPISecret, "row/1", plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Open(core.SealAPISecret, "row/1", sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatal(got, err)
		}
		other, _ := r.Seal(core.SealAPISecret, "row/1", plain)
		if bytes.Equal(other, sealed) {
			t.Fatal("two seals of one value are equal")
		}
	}
	if len(r.alarms.all) != 0 {
		t.Fatal(r.alarms.all)
	}
}

// Every way to present another value than was sealed here is an alarm and a
// 503, never a wrong credential.
func TestSealRefusesOthers(t *testing.T) {
	r := openRing(t, newRows(), 1)
	sealed, err := r.Seal(core.SealAPISecret, "api_keys/key_a/1/ac_x", []byte("the shared secret"))
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, purpose core.SealPurpose, binding string, value []byte) {
		t.Helper()
		before := len(r.alarms.all)
		_, err := r.Open(purpose, binding, value)
		wantCode(t, err, core.Unavailable)
		if len(r.alarms.all) != before+1 {
			t.Errorf("%s: no alarm", name)
		}
	}
	try("another row", core.SealAPISecret, "api_keys/key_b/1/ac_x", sealed)
	try("another account", core.SealAPISecret, "api_keys/key_a/1/ac_y", sealed)
	try("another purpose", core.SealSigningKey, "api_keys/key_a/1/ac_x", sealed)
	try("an unknown purpose", "other", "api_keys/key_a/1/ac_x", sealed)
	try("nothing", core.SealAPISecret, "api_keys/key_a/1/ac_x", nil)
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1
		try("a flipped bit", core.SealAPISecret, "api_keys/key_a/1/ac_x", flipped)
		try("cut off", core.SealAPISecret, "api_keys/key_a/1/ac_x", sealed[:i])
	}
	other, err := testMaster(t, "ffeeddccbbaa99887766554433221100"+hexKey[:32]).sealer(core.SealAPISecret)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(core.SealAPISecret, "b", other.seal("b", []byte("x")))
	wantText(t, err, "another master key", r.MasterID())
}

func FuzzOpenSealed(f *testing.F) {
	m := testMaster(f, hexKey)
	s, err := m.sealer(core.SealAPISecret)
	if err != nil {
		f.Fatal(err)
	}
	good := s.seal("b", []byte("secret"))
	f.Add(good, "b")
	f.Add(good[:20], "b")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, sealed []byte, binding string) {
		plain, err := s.open(binding, sealed)
		// Each fuzzing process seals its own; all seal the same under one name.
		if err == nil && (binding != "b" || string(plain) != "secret") {
			t.Fatalf("a value that was never sealed opens as %q", plain)
		}
	})
}

func TestDeriveSeparatesPurposes(t *testing.T) {
	r := openRing(t, newRows(), 1)
	a, b := r.Derive("attempts"), r.Derive("log names")
	if a == b || a == [32]byte{} || a != r.Derive("attempts") {
		t.Fatal("derived keys are not separate and stable")
	}
	if a != openRing(t, newRows(), 9).Derive("attempts") {
		t.Fatal("another node derives another key")
	}
}
