package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/internal/httpd"
)

// Access says what a rule lets through.
type Access string

// The accesses, from the laxest to the strictest.
const (
	Public Access = "public" // everybody; identity headers are empty
	Token  Access = "token"  // who has a good token; also ""
	Deny   Access = "deny"   // nobody
)

// Rule says who may pass to the paths below Path.
type Rule struct {
	// Host limits the rule to one host name (no port); "" is every host. A
	// rule for the host goes before any for every host.
	Host string
	// Path is a plain, decoded prefix that ends at a segment: /api covers
	// /api, /api/ and /api/x, not /apix. The longest decides.
	Path string
	// Methods empty means all; GET includes HEAD. Of two rules for a path, one
	// that names the method goes first.
	Methods []string
	Access  Access
	// Roles: any one of them is needed. Scopes: all of them are.
	Roles, Scopes []string
	// Kinds are the kinds of token that count: "access", "application"; empty
	// is both.
	Kinds []string
	// Mounts are the mounts (or contracts) whose tokens count; empty is those
	// that cover host and path.
	Mounts []string
	// Account limits the rule to tokens of one account (its short name).
	Account string
	// Words names the mount (or contract) that words a refusal.
	Words string
}

// rule is a compiled Rule.
type rule struct {
	Rule
	segments string // Path without its last slash: "" covers everything
	folded   string
	mounts   []*Mount
	words    *Mount
}

// ruleSet answers which rule decides about a request.
type ruleSet struct {
	rules []*rule // the more specific first
	given bool
}

func compileRules(rules []Rule, mounts []Mount) (*ruleSet, error) {
	set := &ruleSet{given: len(rules) > 0}
	if !set.given {
		rules = []Rule{{Path: "/", Access: Token}}
	}
	for i := range rules {
		r, err := compileRule(rules[i], mounts)
		if err != nil {
			return nil, fmt.Errorf("gateway rule %d (%s): %w", i+1, rules[i].Path, err)
		}
		set.rules = append(set.rules, r)
	}
	for i, a := range set.rules {
		for _, b := range set.rules[:i] {
			if err := compareRules(a, b); err != nil {
				return nil, fmt.Errorf("gateway rules for %s and %s: %w", b.Path, a.Path, err)
			}
		}
	}
	sort.SliceStable(set.rules, func(i, j int) bool { return set.rules[i].moreSpecific(set.rules[j]) })
	return set, nil
}

func compileRule(in Rule, mounts []Mount) (*rule, error) {
	r := &rule{Rule: in}
	r.Host = strings.ToLower(strings.TrimSuffix(in.Host, "."))
	if err := httpd.CheckPath((&url.URL{Path: in.Path}).EscapedPath()); err != nil {
		return nil, fmt.Errorf("its path would never match: %w", err)
	}
	r.segments = strings.TrimSuffix(in.Path, "/")
	r.folded = foldPath(r.segments, true)
	switch in.Access {
	case "":
		r.Access = Token
	case Public, Token, Deny:
	default:
		return nil, fmt.Errorf("access %q is none of public, token, deny", in.Access)
	}
	if r.Access != Token && len(in.Roles)+len(in.Scopes)+len(in.Kinds)+len(in.Mounts)+len(in.Account) > 0 {
		return nil, fmt.Errorf("roles, scopes, kinds, mounts and account mean nothing with access %s", r.Access)
	}
	for _, m := range in.Methods {
		if !plainMethod(m) {
			return nil, fmt.Errorf("method %q: want it as in GET", m)
		}
	}
	for _, k := range in.Kinds {
		if k != "access" && k != "application" {
			return nil, fmt.Errorf("kind %q is none of access, application", k)
		}
	}
	for _, name := range in.Mounts {
		m, err := mountNamed(mounts, name)
		if err != nil {
			return nil, err
		}
		r.mounts = append(r.mounts, m)
	}
	if in.Words != "" {
		var err error
		if r.words, err = mountNamed(mounts, in.Words); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// compareRules refuses two rules of which the one would hide the other, or
// which differ by case alone: neither could then be told to be meant.
func compareRules(a, b *rule) error {
	if a.Host != b.Host || a.folded != b.folded || !methodsMeet(a.Methods, b.Methods) {
		return nil
	}
	if a.segments == b.segments {
		return fmt.Errorf("both decide about the same requests; keep one")
	}
	if !a.atLeast(b) || !b.atLeast(a) {
		return fmt.Errorf("they differ by case alone and ask for different things; many servers do not tell such paths apart")
	}
	return nil
}

func methodsMeet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b) // one that names methods is the more specific one
	}
	for _, m := range a {
		if slices.Contains(b, m) {
			return true
		}
	}
	return false
}

func (r *rule) moreSpecific(o *rule) bool {
	switch {
	case (r.Host != "") != (o.Host != ""):
		return r.Host != ""
	case len(r.segments) != len(o.segments):
		return len(r.segments) > len(o.segments)
	}
	return len(r.Methods) > 0 && len(o.Methods) == 0
}

func (r *rule) takes(method string) bool {
	if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
		return true
	}
	return method == "HEAD" && slices.Contains(r.Methods, "GET")
}

// atLeast says that what passes r would pass o.
func (r *rule) atLeast(o *rule) bool {
	if r == o || o.Access == Public || r.Access == Deny {
		return true
	}
	if r.Access != Token || o.Access != Token {
		return false
	}
	within := func(need, have []string) bool { // nobody passes have who would not pass need
		return len(need) == 0 || len(have) > 0 && subset(have, need)
	}
	return within(o.Roles, r.Roles) && within(o.Kinds, r.Kinds) && within(o.Mounts, r.Mounts) &&
		subset(o.Scopes, r.Scopes) && (o.Account == "" || o.Account == r.Account)
}

func subset(small, big []string) bool {
	for _, s := range small {
		if !slices.Contains(big, s) {
			return false
		}
	}
	return true
}

// match finds the rule for a request, nil when there is none. stricter is the
// rule that the same path met if case did not count, when that one lets less
// through (SECURITY 61).
func (s *ruleSet) match(host, method, path string) (found, stricter *rule) {
	for _, r := range s.rules {
		if (r.Host == "" || r.Host == host) && r.takes(method) && covers(r.segments, path) {
			found = r
			break
		}
	}
	if found == nil {
		return nil, nil
	}
	readings := []string{path}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		// Who decodes a path and then parses it sees a query or a fragment in it.
		readings = append(readings, path[:i])
	}
	for _, reading := range readings {
		// Whether a compatibility form of two dots leads upwards is each server's
		// own affair, so it is held to the rules of both places.
		climbed := foldPath(reading, true)
		if stricter = s.stricter(found, host, method, climbed); stricter != nil {
			return found, stricter
		}
		if stayed := foldPath(reading, false); stayed != climbed {
			if stricter = s.stricter(found, host, method, stayed); stricter != nil {
				return found, stricter
			}
		}
	}
	return found, nil
}

// deniesByName is the rule that names the method and denies it at the path, nil
// for none.
func (s *ruleSet) deniesByName(host, method, path string) *rule {
	found, stricter := s.match(host, method, path)
	for _, r := range []*rule{stricter, found} {
		if r != nil && r.Access == Deny && slices.Contains(r.Methods, method) {
			return r
		}
	}
	return nil
}

// stricter is the rule of a folded path, if it lets less through than found.
func (s *ruleSet) stricter(found *rule, host, method, folded string) *rule {
	for _, r := range s.rules {
		if (r.Host == "" || r.Host == host) && r.takes(method) && covers(r.folded, folded) {
			if !found.atLeast(r) {
				return r
			}
			return nil
		}
	}
	return uncovered
}

// uncovered stands for what no rule covers: nobody passes.
var uncovered = &rule{Rule: Rule{Access: Deny}}

// covers reports that a path is prefix or below it.
func covers(prefix, path string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// foldPath brings together what a careless server may take for one path:
// upper and lower case, compatibility forms such as full-width letters, slashes
// and dots (of which segments may then lead upwards, if it climbs), and dots and
// blanks at the end of a segment, which Windows drops.
func foldPath(path string, climbs bool) string {
	plain := true
	for i := 0; i < len(path) && plain; i++ {
		c := path[i]
		plain = c < utf8.RuneSelf && (c < 'A' || c > 'Z') && c != '.' && c != ' '
	}
	if plain {
		return path
	}
	var folded []string
	for s := range strings.SplitSeq(strings.Map(foldRune, sharpS.Replace(norm.NFKC.String(path))), "/") {
		s, _, _ = strings.Cut(s, ";")
		if s = strings.TrimRight(s, " "); s == ".." && climbs {
			folded = folded[:max(len(folded)-1, 0)]
			continue
		}
		if s = strings.TrimRight(s, ". "); s != "" {
			folded = append(folded, s)
		}
	}
	return "/" + strings.Join(folded, "/")
}

// sharpS has the one letter whose capital is two plain ones, and a slash that
// only some take for one.
var sharpS = strings.NewReplacer("ß", "ss", "ẞ", "ss", "\\", "/")

// foldRune gives one letter for all that are the same to somebody. Capitals
// come first, for there the dotless i becomes a plain one.
func foldRune(r rune) rune {
	r = unicode.ToUpper(unicode.ToLower(r))
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

// plainMethod wants capitals: methods have case, but many a server forgets it
// and would run the "delete" that no rule for DELETE has seen.
func plainMethod(m string) bool {
	if m == "" || len(m) > 32 {
		return false
	}
	for i := range len(m) {
		if c := m[i]; (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
