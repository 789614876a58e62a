package attack_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// mutation is one hostile text made of a good one. may says that passing is no
// fault where the good one passes: what was changed is something that nobody
// reads, behind a good signature.
type mutation struct {
	name, text string
	lazy       func() string // makes text, where making it is dear
	may        bool
	sub        string // of another user than the good one's, where a request says it
	hint       bool   // may be taken from an id token, which is a hint and no more
	revocable  bool   // stands for a row that its holder may still end
	ours       bool   // signed with a key that the server keeps
	homeOnly   bool   // is sent where the good one belongs, and nowhere else
	told       bool   // may be taken where OAuth looks at its own tokens
}

// base is what mutators work on: a good credential, taken apart if it is a JWT.
type base struct {
	w *world
	r *rand.Rand
	c *credential
	// round counts how often this mutator was asked about this credential: from
	// the second time on, signed texts hold something new.
	round   int
	h, p, s string // the segments
	header  string
	payload string // without our own MAC, which whoever signs puts there anew
	sig     []byte
	alg     string
	out     []mutation
}

func newBase(w *world, r *rand.Rand, c *credential, round int) *base {
	b := &base{w: w, r: r, c: c, round: round}
	if !c.jwt() {
		return b
	}
	f := strings.Split(c.text, ".")
	b.h, b.p, b.s = f[0], f[1], f[2]
	header, _ := b64.DecodeString(b.h) // of a good token, here and below
	payload, _ := b64.DecodeString(b.p)
	b.sig, _ = b64.DecodeString(b.s)
	b.header, b.payload = string(header), string(payload)
	var head struct{ Alg string }
	_ = json.Unmarshal(header, &head)
	b.alg = head.Alg
	if c.shared {
		if open, _, ok := strings.Cut(b.payload, `,"mac":"`); ok {
			b.payload = open + "}"
		}
	}
	return b
}

// add puts a text on the list.
func (b *base) add(name, text string) { b.out = append(b.out, mutation{name: name, text: text}) }

// later puts a text on the list that is made when it is sent.
func (b *base) later(name string, f func() string) {
	b.out = append(b.out, mutation{name: name, lazy: f})
}

// resign puts any header and payload on the list, signed with the key that
// signed the good token: what is wrong stands behind a good signature.
func (b *base) resign(name, header, payload string, may bool) {
	if b.round > 0 {
		if open, ok := strings.CutSuffix(payload, "}"); ok && strings.HasPrefix(payload, `{"`) {
			payload = fmt.Sprintf(`%s,"n%d":%d}`, open, b.r.IntN(1000), b.r.Int64())
		}
	}
	b.out = append(b.out, mutation{name: name + " (signed)", may: may, ours: b.ours(), lazy: func() string { return b.w.sign(b.c, header, payload) }})
}

// asHint lets what was put on the list last pass as a hint.
func (b *base) asHint() { b.out[len(b.out)-1].hint = true }

// ours reports that the key which signed the good token is kept by the server
// alone: nobody but its thief signs anything with it.
func (b *base) ours() bool { return !b.c.foreign && b.c.kind != token.Request && b.c.mount != "held" }

// claim is the payload with a member replaced, added or, for "", taken away.
func (b *base) claim(name, value string) string { return member(b.payload, name, value) }

// member replaces the value of a member of a flat object, or takes it away.
func member(object, name, value string) string {
	var order []string
	got := map[string]json.RawMessage{}
	d := json.NewDecoder(strings.NewReader(object))
	_, _ = d.Token() // of a good token, here and below
	for d.More() {
		k, _ := d.Token()
		var v json.RawMessage
		_ = d.Decode(&v)
		order = append(order, k.(string))
		got[k.(string)] = v
	}
	if _, there := got[name]; !there {
		order = append(order, name)
	}
	got[name] = json.RawMessage(value)
	var b strings.Builder
	for _, k := range order {
		if k == name && value == "" {
			continue
		}
		fmt.Fprintf(&b, `,"%s":%s`, k, got[k])
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

// mutator is a kind of attack.
type mutator struct {
	name string
	// opaque says that it makes sense of what has no segments, too.
	opaque bool
	make   func(*base)
}

// mutators are SECURITY section 2, row by row. What is about the request
// around the token is in transport_test.go; replays are in states_test.go.
var mutators = []mutator{
	{"alg none", false, algNone},
	{"alg of another type", false, algTypes},
	{"alg of another name", false, algNames},
	{"alg without signature", false, algUnsigned},
	{"confusion: MAC with a public key", false, confusionMAC},
	{"confusion: another algorithm", false, confusionAlg},
	{"confusion: MAC with nothing", false, confusionNothing},
	{"known secrets", false, knownSecrets},
	{"kid odd", false, kidOdd},
	{"kid of another key", false, kidOther},
	{"header: attacker's key inside", false, headerKey},
	{"header: key elsewhere", false, headerURL},
	{"header: crit", false, headerCrit},
	{"header: b64", false, headerB64},
	{"header: duplicates", false, headerTwice},
	{"header: case and escapes", false, headerCase},
	{"header: typ", false, headerTyp},
	{"header: not an object", false, headerShape},
	{"signature: r and s", false, sigScalars},
	{"signature: other forms", false, sigForms},
	{"signature: Ed25519", false, sigEdwards},
	{"signature: RSA numbers", false, sigRSA},
	{"signature: flipped", false, sigFlipped},
	{"signature: length", false, sigLength},
	{"signature: of another", false, sigOther},
	{"shape: JWE", true, shapeJWE},
	{"shape: JSON serialisation", true, shapeJSON},
	{"shape: nested", true, shapeNested},
	{"shape: segments", true, shapeSegments},
	{"shape: dots", true, shapeDots},
	{"shape: big", true, shapeBig},
	{"shape: deep", false, shapeDeep},
	{"shape: wide", false, shapeWide},
	{"shape: not UTF-8", false, shapeText},
	{"shape: garbage behind", true, shapeGarbage},
	{"encoding: alphabet and padding", false, encAlphabet},
	{"encoding: spare bits and length", false, encBits},
	{"encoding: characters between", true, encBetween},
	{"claims: types of times", false, claimTypes},
	{"claims: times", false, claimTimes},
	{"claims: aud", false, claimAudience},
	{"claims: iss", false, claimIssuer},
	{"claims: names", false, claimNames},
	{"claims: scope", false, claimScope},
	{"claims: kind", false, claimKind},
	{"claims: twice, folded, missing", false, claimTwice},
	{"claims: not an object", false, claimShape},
	{"crossing: another key of ours", false, crossKeys},
	{"crossing: parts of others", false, crossParts},
	{"crossing: staging", true, crossStaging},
	{"shared secret", false, sharedMinted},
	{"cut: prefixes", true, cutPrefixes},
	{"cut: extensions", true, cutExtensions},
	{"cut: case", true, cutCase},
	{"cut: deletions and swaps", true, cutInside},
	{"late", true, lateDead},
	{"havoc", true, havoc},
}

// mutate lists what a mutator makes of a credential.
func mutate(m *mutator, w *world, r *rand.Rand, c *credential, round int) []mutation {
	if !m.opaque && !c.jwt() {
		return nil
	}
	b := newBase(w, r, c, round)
	m.make(b)
	return b.out
}

// havoc changes bytes here and there, with what other texts have there.
func havoc(b *base) {
	for i := range 200 {
		text := []byte(b.c.text)
		other := b.w.creds[b.r.IntN(len(b.w.creds))].text
		for range 1 + b.r.IntN(4) {
			at, n := b.r.IntN(len(text)), 1+b.r.IntN(40)
			from := b.r.IntN(len(other))
			switch b.r.IntN(5) {
			case 0:
				text[at] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= "[b.r.IntN(67)]
			case 1:
				text[at] ^= 1 << b.r.IntN(7)
			case 2: // a piece of another
				text = append(text[:at:at], append([]byte(other[from:min(len(other), from+n)]), text[at:]...)...)
			case 3: // a piece left out
				text = append(text[:at:at], text[min(len(text), at+n):]...)
			case 4: // a piece twice
				text = append(text[:at:at], append([]byte(string(text[at:min(len(text), at+n)])), text[at:]...)...)
			}
			if len(text) == 0 {
				text = []byte(".")
			}
		}
		for k, ch := range text { // what ends a header line is for transport_test.go
			if ch == '\r' || ch == '\n' {
				text[k] = 'n'
			}
		}
		b.add(fmt.Sprint("havoc ", i), string(text))
	}
}
