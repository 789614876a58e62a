package token

import (
	"fmt"
	"strings"
	"testing"
)

var macKey = []byte(strings.Repeat("m", 32))

func signShared(t testing.TB, k *Key, payload string) string {
	t.Helper()
	raw, err := SignShared(k, Header{Typ: "JWT", OmitKeyID: true, Order: TypAlgKid}, []byte(payload), macKey)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSignShared(t *testing.T) {
	k := newKey(t, HS256, "k1")
	group := []KeyGroup{{Keys: []*Key{k}, MACKey: macKey}}
	raw := signShared(t, k, accessClaims)
	c, err := VerifyGroups(raw, group, accessRules(), nowMs)
	expect(t, "negative control", c, err, nil)
	if err == nil {
		payload := string(c.Payload)
		mac, ok := c.Text("mac")
		if !ok || len(mac) != 43 || payload != strings.TrimSuffix(accessClaims, "}")+`,"mac":"`+mac+`"}` {
			t.Errorf("payload %s", payload)
		}
	}
	if again := signShared(t, k, accessClaims); again != raw {
		t.Error("the same payload gave another token")
	}
	// Those who hold the secret alone verify the token as ever.
	c, err = Verify(raw, []*Key{k}, accessRules(), nowMs)
	expect(t, "a verifier that knows no MAC", c, err, nil)

	for name, tc := range map[string]struct{ payload, key string }{
		"no member": {"{}", string(macKey)}, "mac there": {`{"mac":"x"}`, string(macKey)}, "array": {"[1]", string(macKey)},
		"space after": {`{"a":1} `, string(macKey)}, "no JSON": {"x", string(macKey)}, "member twice": {`{"a":1,"a":2}`, string(macKey)},
		"escaped mac": {`{"m\u0061c":"x"}`, string(macKey)}, "nothing": {"", string(macKey)},
		"short MAC key": {accessClaims, strings.Repeat("m", 31)}, "no MAC key": {accessClaims, ""},
	} {
		if raw, err := SignShared(k, Header{}, []byte(tc.payload), []byte(tc.key)); err == nil {
			t.Errorf("%s: signed as %s", name, raw)
		}
	}
}

// TestHoldersOfTheSecret mints with the shared secret whatever a holder could.
func TestHoldersOfTheSecret(t *testing.T) {
	k := newKey(t, HS256, "k1")
	group := []KeyGroup{{Keys: []*Key{k}, MACKey: macKey}}
	good := signShared(t, k, accessClaims)
	c, err := VerifyGroups(good, group, accessRules(), nowMs)
	if err != nil {
		t.Fatalf("negative control: %v", err)
	}
	mac, _ := c.Text("mac")
	open := strings.TrimSuffix(accessClaims, "}")
	member := `,"mac":"` + mac + `"}`
	attacker := strings.Repeat("A", 43)
	for name, payload := range map[string]string{
		"no mac":                accessClaims,
		"made-up mac":           open + `,"mac":"` + attacker + `"}`,
		"mac of another token":  strings.Replace(open, "4b5c", "4b5d", 1) + member,
		"mac not last":          open + `,"mac":"` + mac + `","x":1}`,
		"mac first":             `{"mac":"` + mac + `",` + accessClaims[1:],
		"mac twice":             open + `,"mac":"` + mac + `"` + member,
		"mac in another object": open + `,"x":{"a":1` + member + "}",
		"mac cut":               open + `,"mac":"` + mac[:42] + `"}`,
		"mac longer":            open + `,"mac":"` + mac + `A"}`,
		"mac with padding":      open + `,"mac":"` + mac + `="}`,
		"mac null":              open + `,"mac":null}`,
		"mac empty":             open + `,"mac":""}`,
		"space before":          open + ` ,"mac":"` + mac + `"}`,
		"space after":           open + `,"mac":"` + mac + `"} `,
		"space inside":          open + `,"mac": "` + mac + `"}`,
		"escaped name":          open + `,"m\u0061c":"` + mac + `"}`,
		"upper case":            open + `,"MAC":"` + mac + `"}`,
		"only mac":              `{"mac":"` + mac + `"}`,
		"no exp":                with(accessClaims, "exp", ""),
		"refresh":               with(accessClaims, "type", `"refresh"`),
	} {
		raw, err := k.Sign(Header{Typ: "JWT", OmitKeyID: true, Order: TypAlgKid}, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		want := ErrSignature
		if name == "mac twice" {
			want = ErrClaims
		}
		c, err := VerifyGroups(raw, group, accessRules(), nowMs)
		expect(t, name, c, err, want)
	}
	for i := range mac {
		changed := mac[:i] + string("BA"[b2i(mac[i] == 'B')]) + mac[i+1:]
		if changed == mac {
			continue
		}
		raw, err := k.Sign(Header{Typ: "JWT", OmitKeyID: true, Order: TypAlgKid}, []byte(open+`,"mac":"`+changed+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		c, err := VerifyGroups(raw, group, accessRules(), nowMs)
		expect(t, fmt.Sprintf("mac changed at %d", i), c, err, ErrSignature)
	}
	// The header is covered, too.
	raw, err := k.Sign(Header{Typ: "at+jwt"}, []byte(open+member))
	if err != nil {
		t.Fatal(err)
	}
	c, err = VerifyGroups(raw, group, accessRules(), nowMs)
	expect(t, "another header", c, err, ErrSignature)
	// A MAC key that is too short is no MAC key, even if the MAC was made with it.
	segment, err := k.EncodedHeader(Header{})
	if err != nil {
		t.Fatal(err)
	}
	weak := appendMAC([]byte(open+macPrefix), macKey[:31], segment, []byte(open))
	if raw, err = k.Sign(Header{}, append(weak, macSuffix...)); err != nil {
		t.Fatal(err)
	}
	c, err = VerifyGroups(raw, []KeyGroup{{Keys: []*Key{k}, MACKey: macKey[:31]}}, accessRules(), nowMs)
	expect(t, "MAC of a short key", c, err, ErrSignature)
	for name, key := range map[string][]byte{"other": []byte(strings.Repeat("n", 32)), "empty": {}, "short": macKey[:31]} {
		c, err := VerifyGroups(good, []KeyGroup{{Keys: []*Key{k}, MACKey: key}}, accessRules(), nowMs)
		expect(t, name+" MAC key", c, err, ErrSignature)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestMovingAwayFromShared: a set with a key of our own and a shared one asks for the MAC under the latter alone.
func TestMovingAwayFromShared(t *testing.T) {
	own, shared := newKey(t, HS256, "own"), newKey(t, HS256, "shared")
	groups := []KeyGroup{{Keys: []*Key{own}}, {Keys: []*Key{shared}, MACKey: macKey}}
	for name, tc := range map[string]struct {
		raw  string
		want error
	}{
		"own":                {sign(t, own, accessClaims), nil},
		"shared with MAC":    {signShared(t, shared, accessClaims), nil},
		"shared without MAC": {sign(t, shared, accessClaims), ErrSignature},
	} {
		c, err := VerifyGroups(tc.raw, groups, accessRules(), nowMs)
		expect(t, name, c, err, tc.want)
	}
}
