package token

import (
	"testing"
)

// TestSecurity03_SignatureFirst: a token whose signature is not ours is refused
// for that, whatever else is wrong with its claims. What they say is not read,
// so nobody learns from a refusal what would pass.
func TestSecurity03_SignatureFirst(t *testing.T) {
	k, stranger := newKey(t, ES256, "k1"), newKey(t, ES256, "k1")
	for claim, value := range map[string]string{
		"exp": "1", "nbf": "99999999999", "iss": `"https://evil.example"`, "aud": `"other"`, "type": `"refresh"`, "sid": "7", "n": "5",
	} {
		claims := with(accessClaims, claim, value)
		c, err := Verify(sign(t, stranger, claims), []*Key{k}, accessRules(), nowMs)
		expect(t, claim+" of a stranger", c, err, ErrSignature)
		if c, err := Verify(sign(t, k, claims), []*Key{k}, accessRules(), nowMs); claim != "n" && err == nil {
			t.Errorf("%s: the negative control is accepted: %+v", claim, c)
		}
	}
}

// TestSecurity08_NumericDates: exp, nbf and iat are JSON integers in range, and
// never pass through a float.
func TestSecurity08_NumericDates(t *testing.T) {
	k := newKey(t, HS256, "k1")
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, bad := range []string{
			`"1700000100"`, "1.7e9", "1700000000.5", "1700000000.0", "1e999", "-1", "9223372036854775808", "true", "null", "[1700000000]", "{}", "01700000000",
		} {
			c, err := Verify(sign(t, k, with(accessClaims, claim, bad)), []*Key{k}, accessRules(), nowMs)
			if c != nil || err == nil {
				t.Errorf("%s: %s is accepted", claim, bad)
			}
		}
	}
	c, err := Verify(sign(t, k, accessClaims), []*Key{k}, accessRules(), nowMs)
	expect(t, "negative control", c, err, nil)
}

// TestSecurity10_Audience: aud is the one that the rules name and nothing
// beside it; where a contract has none, its absence is what is checked.
func TestSecurity10_Audience(t *testing.T) {
	k := newKey(t, HS256, "k1")
	none := accessRules()
	none.Audience = ""
	for _, row := range []struct {
		value string
		rules *Rules
		want  error
	}{
		{`"api"`, accessRules(), nil},
		{`["api"]`, accessRules(), nil},
		{"", accessRules(), ErrAudience},
		{`"API"`, accessRules(), ErrAudience},
		{`"api2"`, accessRules(), ErrAudience},
		{`"ap"`, accessRules(), ErrAudience},
		{`["api","other"]`, accessRules(), ErrAudience},
		{`["other"]`, accessRules(), ErrAudience},
		{"", none, nil},
		{`"api"`, none, ErrAudience},
		{`["api"]`, none, ErrAudience},
	} {
		c, err := Verify(sign(t, k, with(accessClaims, "aud", row.value)), []*Key{k}, row.rules, nowMs)
		expect(t, "aud "+row.value[:min(40, len(row.value))], c, err, row.want)
	}
}

// TestSecurity11_Issuer: iss is one of the rules' own, byte for byte, and the
// key must be of the same set: one issuer's name under another's key is a
// signature that nobody made.
func TestSecurity11_Issuer(t *testing.T) {
	ours, theirs := newKey(t, ES256, "k1"), newKey(t, ES256, "k1")
	for _, iss := range []string{"https://auth.example/", "https://AUTH.example", "http://auth.example", "https://auth.example.evil.example", ""} {
		c, err := Verify(sign(t, ours, with(accessClaims, "iss", `"`+iss+`"`)), []*Key{ours}, accessRules(), nowMs)
		if c != nil || err == nil {
			t.Errorf("iss %q is accepted", iss)
		}
	}
	other := accessRules()
	other.Issuers = []string{"https://other.example"}
	cands := []Candidate{{Keys: []KeyGroup{{Keys: []*Key{ours}}}, Rules: accessRules()}, {Keys: []KeyGroup{{Keys: []*Key{theirs}}}, Rules: other}}
	for name, raw := range map[string]string{
		"our name, their key": sign(t, theirs, accessClaims),
		"their name, our key": sign(t, ours, with(accessClaims, "iss", `"https://other.example"`)),
	} {
		if i, c, err := Identify(raw, cands, nowMs); err == nil || c != nil {
			t.Errorf("%s: accepted by %d", name, i)
		}
	}
	if i, _, err := Identify(sign(t, ours, accessClaims), cands, nowMs); i != 0 || err != nil {
		t.Errorf("negative control: %d, %v", i, err)
	}
}
