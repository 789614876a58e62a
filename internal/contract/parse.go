package contract

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

// parser reads one file; every mistake goes to its report.
type parser struct {
	*report
	def *Definition
}

// Parse reads and checks a contract file. The error is Mistakes: all of them,
// each with file, line, what is wrong and what would be right. A file that
// passes always compiles.
func Parse(file string, data []byte) (*Definition, error) {
	p := &parser{report: &report{file: file}, def: &Definition{File: file, Sum: sha256.Sum256(data)}}
	root := readYAML(data, p.report)
	if root == nil {
		return nil, p.err()
	}
	if root.kind != mapNode {
		p.add(root.pos, "the file is %s; want a mapping that begins with `format: 1`", root.what())
		return nil, p.err()
	}
	p.file_(root)
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.def, nil
}

// fileKeys are the keys of a contract file.
var fileKeys = []string{"format", "contract", "title", "description", "tokens", "inputs", "violations", "routes", "error", "errors", "gateway", "cors", "head", "options"}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func (p *parser) file_(root *node) {
	p.format(root)
	p.keys(root, "a contract file", fileKeys)
	p.def.Name = p.str(root, "contract", "")
	if n := root.get("contract"); n == nil {
		p.add(pos{1, 1}, "`contract` is missing; give the contract a name, such as `contract: acme`")
	} else if !namePattern.MatchString(p.def.Name) {
		p.add(n.pos, "%q is no contract name; use lower-case letters, digits and dashes, a letter first", clip(p.def.Name))
	}
	p.def.Title = p.str(root, "title", p.def.Name)
	p.def.Description = p.str(root, "description", "")
	p.def.head = p.boolean(root, "head", false)
	p.def.options = p.boolean(root, "options", false)
	p.def.tokens = p.tokens(root.get("tokens"))
	p.def.inputs, p.def.inputPos = p.inputNodes(root.get("inputs"))
	p.def.words = p.violations(root.get("violations"))
	p.def.shape = p.shape(root.get("error"))
	p.def.errors = p.errorMap(root.get("errors"), nil)
	p.roots(root)
	p.def.gateway = p.gateway(root.get("gateway"))
	p.def.cors = p.cors(root.get("cors"))
	p.routes(root)
	p.checkFile(root)
}

func (p *parser) format(root *node) {
	n := root.get("format")
	switch {
	case n == nil:
		p.add(pos{1, 1}, "`format` is missing; begin the file with `format: 1`")
	case n.value != int64(Format):
		p.add(n.pos, "format %s is not known; this version reads `format: 1`", clip(n.text))
	}
}

// keys refuses keys that the format does not know.
func (p *parser) keys(n *node, what string, allowed []string) {
	for _, en := range n.entries {
		if !slices.Contains(allowed, en.key) {
			p.add(en.pos, "%q is no key of %s; %s", clip(en.key), what, orElse(misplaced(en.key, what), suggest(en.key, allowed)))
		}
	}
}

// misplaced says where a key belongs that stands in a route, or "".
func misplaced(key, what string) string {
	switch {
	case what != "a route" && what != "a contract file":
	case what == "a route" && slices.Contains(answerKeys, key) && key != "when":
		return "it stands under `answer`, further in"
	case what == "a route" && slices.Contains(acceptKeys, key):
		return "it stands under `accept`, further in"
	case key == "lifetime" || key == "claims" || key == "alg":
		return "it belongs to a token: `tokens: {access: {" + key + ": …}}`"
	case what == "a contract file" && slices.Contains(routeKeys, key):
		return "it belongs to a route; check the indentation"
	}
	return ""
}

// mappingExamples show what a mapping looks like to those who wrote something
// else.
var mappingExamples = map[string]string{
	"`access`": "{lifetime: 15m}", "`refresh`": "{lifetime: 30d}", "`id`": "{lifetime: 15m}", "`session`": "{idle: 1h}",
	"a cookie": "{value: $access_token}", "`accept`": "{json: {username: $username}}", "`claims`": "{name: $user.username}",
	"`json`": "{username: $username}", "`form`": "{username: $username}", "`answer`": "{body: {token: $access_token}}", "`headers`": "{X-Name: text}",
	"`errors`": "{bad_request: {}}", "`error`": "{body: {error: $message}}",
}

// mapping is n if it is one; nil, with a mistake, otherwise.
func (p *parser) mapping(n *node, what string) *node {
	if n == nil {
		return nil
	}
	if n.kind != mapNode {
		want := "a mapping"
		if eg := mappingExamples[what]; eg != "" {
			want += " such as " + eg
		}
		p.add(n.pos, "%s is %s; want %s", what, n.what(), want)
		return nil
	}
	return n
}

func (p *parser) str(n *node, key, fallback string) string {
	v := n.get(key)
	if v == nil {
		return fallback
	}
	if v.kind != scalarNode || v.value == nil {
		p.add(v.pos, "`%s` is %s; want text", key, v.what())
		return fallback
	}
	return v.text
}

func (p *parser) boolean(n *node, key string, fallback bool) bool {
	v := n.get(key)
	if v == nil {
		return fallback
	}
	b, ok := v.value.(bool)
	if !ok || v.kind != scalarNode {
		p.add(v.pos, "`%s` is %s; want true or false", key, v.what())
		return fallback
	}
	return b
}

// choiceOf reads one of a few words.
func (p *parser) choiceOf(n *node, key, fallback string, allowed []string) string {
	v := n.get(key)
	if v == nil {
		return fallback
	}
	if v.kind != scalarNode || !slices.Contains(allowed, v.text) {
		p.add(v.pos, "`%s: %s` is not known; %s", key, clip(v.text), suggest(v.text, allowed))
		return fallback
	}
	return v.text
}

// strings reads a list of texts, or one text.
func (p *parser) strings(v *node, what string) []string {
	if v == nil {
		return nil
	}
	if v.kind == scalarNode && v.value != nil {
		return []string{v.text}
	}
	if v.kind != listNode {
		p.add(v.pos, "%s is %s; want a list of texts", what, v.what())
		return nil
	}
	var out []string
	for _, it := range v.items {
		if it.kind != scalarNode || it.value == nil {
			p.add(it.pos, "%s holds %s; want text", what, it.what())
			continue
		}
		out = append(out, it.text)
	}
	return out
}

// duration reads a length of time in milliseconds: whole seconds, 15m, 24h, 30d.
func (p *parser) duration(n *node, key string, fallback, least, most int64) int64 {
	v := n.get(key)
	if v == nil {
		return fallback
	}
	ms, err := parseDuration(v.text)
	switch {
	case err != nil && isNumber(v):
		p.add(v.pos, "`%s: %s` has no unit; write %ss for seconds, or one such as 15m, 24h or 30d", key, clip(v.text), clip(v.text))
	case v.kind != scalarNode || err != nil:
		p.add(v.pos, "`%s: %s` is no length of time; write one such as 90s, 15m, 24h or 30d", key, clip(v.text))
	case ms < least || ms > most:
		p.add(v.pos, "`%s: %s` is out of range; want %s to %s", key, clip(v.text), spell(least), spell(most))
	default:
		return ms
	}
	return fallback
}

func isNumber(n *node) bool {
	_, ok := n.value.(int64)
	return ok
}

func parseDuration(s string) (int64, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil {
			return 0, err
		}
		return n * 24 * 3600 * 1000, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, err
	}
	if d%time.Second != 0 {
		return 0, fmt.Errorf("%s is no whole number of seconds", s)
	}
	return d.Milliseconds(), nil
}

// spell writes a length of time for people.
func spell(ms int64) string {
	const day = 24 * 3600 * 1000
	switch {
	case ms >= 2*day && ms%day == 0:
		return strconv.FormatInt(ms/day, 10) + "d"
	case ms == 0:
		return "0s"
	}
	s := (time.Duration(ms) * time.Millisecond).String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

func (p *parser) cors(n *node) *httpd.CORS {
	if n = p.mapping(n, "`cors`"); n == nil {
		return nil
	}
	p.keys(n, "`cors`", []string{"origins", "credentials", "headers", "expose", "max_age"})
	c := &httpd.CORS{
		Origins: p.strings(n.get("origins"), "`origins`"), Headers: p.strings(n.get("headers"), "`headers`"),
		Expose: p.strings(n.get("expose"), "`expose`"), Credentials: p.boolean(n, "credentials", false),
		MaxAge: time.Duration(p.duration(n, "max_age", 600_000, 0, 86_400_000)) * time.Millisecond,
	}
	if len(c.Origins) == 0 {
		p.add(n.pos, "`cors` without origins allows nobody; list them, such as https://app.example, or leave `cors` out")
	}
	for _, o := range c.Origins {
		if o != "*" && !regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]+)?$`).MatchString(o) {
			p.add(n.get("origins").pos, "%q is no web origin; write scheme and host alone, such as https://app.example", clip(o))
		}
	}
	if len(c.Headers) == 0 {
		c.Headers = []string{"Authorization", "Content-Type"}
	}
	if err := c.Check(); err != nil {
		p.add(n.pos, "%s", err)
	}
	return c
}

func (p *parser) headers(n *node, t *templates) []headerDef {
	if n = p.mapping(n, "`headers`"); n == nil {
		return nil
	}
	var out []headerDef
	for _, en := range n.entries {
		if !isToken(en.key) {
			p.add(en.pos, "%q is no header name; use letters, digits and dashes", clip(en.key))
			continue
		}
		name := canonicalHeader(en.key)
		if slices.Contains([]string{"Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Set-Cookie", "Date", "Allow", "Retry-After"}, name) {
			p.add(en.pos, "%s is written for you%s; leave it out", name, map[bool]string{true: " (see `cookies`)"}[name == "Set-Cookie"])
			continue
		}
		if en.val.kind != scalarNode && en.val.get("$when") == nil {
			p.add(en.val.pos, "the header %s is %s; want text", name, en.val.what())
			continue
		}
		out = append(out, headerDef{name, t.parse(en.val)})
	}
	return out
}

// content reads `content_type`. What is neither JSON nor plain text cannot be
// written by a template.
func (p *parser) content(n *node) content {
	v := n.get("content_type")
	if v == nil {
		return content{}
	}
	full := p.str(n, "content_type", "")
	mt, _, _ := strings.Cut(full, ";")
	mt = strings.TrimSpace(mt)
	switch {
	case isPrintable(strings.ReplaceAll(full, " ", "")) && (mt == "application/json" || strings.HasPrefix(mt, "application/") && strings.Contains(mt, "json")):
		return content{mediaType: full}
	case isPrintable(strings.ReplaceAll(full, " ", "")) && mt == "text/plain":
		return content{mediaType: full, plain: true}
	}
	p.add(v.pos, "`content_type: %s` cannot be written; want application/json, another JSON type such as application/problem+json, or text/plain", clip(full))
	return content{}
}

// isToken says whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
