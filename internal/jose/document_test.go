package jose

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestDocument signs what is too long for a token, and sees that it is read as a document and as nothing else.
func TestDocument(t *testing.T) {
	payload := []byte(`{"a":"` + strings.Repeat("x", 2*MaxTokenSize) + `"}`)
	for _, alg := range Algorithms() {
		k := testKeys()[alg]
		h := Header{Typ: "list+jwt"}
		if _, err := k.Sign(h, payload); err == nil {
			t.Fatalf("%s: Sign made a token of it", alg)
		}
		text, err := k.SignDocument(h, payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: Parse took a document: %v", alg, err)
		}
		p, err := ParseDocument(text, []*Key{k})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Verify(k); err != nil || !bytes.Equal(got, payload) || p.Typ() != "list+jwt" {
			t.Errorf("%s: got %d bytes, %v", alg, len(got), err)
		}
		if p, err = ParseDocument(text[:len(text)-8]+"AAAAAAAA", nil); err == nil {
			_, err = p.Verify(k)
		}
		if err == nil {
			t.Errorf("%s: a changed document verifies", alg)
		}
	}
	if _, err := ParseDocument(strings.Repeat("a", MaxDocumentSize+1), nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("no limit: %v", err)
	}
}
