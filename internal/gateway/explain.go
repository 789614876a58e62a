package gateway

import (
	"net/http"
	"strings"
)

// Explanation says what would become of a request, for the CLI.
type Explanation struct {
	Access Access   // what decides; Deny when the path is refused as it is
	Rule   *Rule    // the rule that decides; nil when none does
	Mounts []string // ids of the mounts whose tokens count, for Token
	Words  string   // id of the mount that words a refusal without a token; "" = gateway.words
	Reason string   // one sentence
}

// Explain tells what a request with this method, host and escaped path meets.
func (g *Gateway) Explain(method, host, path string) *Explanation {
	method, name := strings.ToUpper(method), hostName(host)
	plain, err := checkedPath(&question{path: path})
	if err != nil {
		return &Explanation{Access: Deny, Reason: "the path can be read in more than one way: " + reason(err)}
	}
	if method == http.MethodConnect || method == http.MethodTrace || !plainMethod(method) {
		return &Explanation{Access: Deny, Reason: "the method " + method + " is never forwarded"}
	}
	r, stricter := g.rules.match(name, method, plain)
	if r == nil {
		return &Explanation{Access: Deny, Reason: "no rule covers the path, and there are rules, so it is denied"}
	}
	e := &Explanation{Access: r.Access, Rule: &r.Rule, Reason: "the rule for " + r.Path + " decides"}
	if !g.rules.given {
		e.Rule, e.Reason = nil, "there are no rules, so every path needs a token"
	}
	if stricter != nil {
		e.Access, e.Rule = Deny, &stricter.Rule
		e.Reason = "it differs by case from a path under the stricter rule for " + stricter.Path
	}
	if e.Access == Token {
		mounts := r.mounts
		if len(mounts) == 0 {
			mounts, _ = g.covering(name, plain)
		}
		for _, m := range mounts {
			e.Mounts = append(e.Mounts, m.ID)
		}
	}
	_, e.Words = g.wordsFor(name, plain, r, nil)
	return e
}
