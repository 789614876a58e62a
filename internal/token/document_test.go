package token

import (
	"errors"
	"testing"
)

func TestDocument(t *testing.T) {
	a, b := newKey(t, ES256, "a"), newKey(t, EdDSA, "b")
	text, err := SignDocument(b, "list+jwt", []byte(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		text string
		keys []*Key
		typ  string
		want error
	}{
		{"good", text, []*Key{a, b}, "list+jwt", nil},
		{"other typ", text, []*Key{a, b}, "JWT", ErrKind},
		{"typ in another case", text, []*Key{a, b}, "LIST+jwt", ErrKind},
		{"other key", text, []*Key{a, newKey(t, EdDSA, "b")}, "list+jwt", ErrSignature},
		{"no keys", text, nil, "list+jwt", ErrSignature},
		{"no document", "x", []*Key{a}, "list+jwt", ErrMalformed},
		{"a token", sign(t, b, accessClaims), []*Key{a, b}, "list+jwt", ErrKind},
	} {
		got, err := VerifyDocument(tc.text, tc.keys, tc.typ)
		if (err == nil) != (tc.want == nil) || !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if (string(got) == `{"n":1}`) != (tc.want == nil) {
			t.Errorf("%s: payload %q", tc.name, got)
		}
	}
}
