package contract

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
)

// inputType is what an input must be.
type inputType string

const (
	typeText    inputType = "text"
	typeBoolean inputType = "boolean"
	typeInteger inputType = "integer"
	typeUUID    inputType = "uuid"
	typeDate    inputType = "date"
	typeList    inputType = "list"
	typeScalar  inputType = "scalar" // echoed as it came
)

var inputTypes = []string{"text", "boolean", "integer", "uuid", "date", "list", "scalar"}

// inputDef is one input of one route.
type inputDef struct {
	name     string
	pos      pos
	typ      inputType
	secret   bool
	token    bool
	optional bool
	def      *string
	enum     []string
	max      int // characters
	earliest string
	latest   string
	clampLow bool // a date before the earliest counts as the earliest
	clampTop bool // a date after the latest counts as the latest
	missing  core.Code
	index    int // among the route's inputs, or anyRoute
	loc      []string
}

// anyRoute is the index of an input as the contract's own errors name it: which
// route they answer is not known yet.
const anyRoute = -1

func (in *inputDef) valueType() valueType {
	switch in.typ {
	case typeBoolean:
		return tBool
	case typeInteger:
		return tInt
	case typeList:
		return tList
	case typeScalar:
		return tJSON
	}
	return tText
}

// knownInput is an input with a meaning for the grants.
type knownInput struct {
	name   string
	typ    inputType
	secret bool // never in a template; in a URL only with secret_in_url
	token  bool
	max    int
	about  string
}

// Lengths beyond these are no honest input; they are refused before anything
// is hashed or parsed.
const (
	maxName     = 254
	maxPassword = 4096
	maxToken    = 8 << 10
	maxOther    = 1024
)

var knownInputs = []knownInput{
	{"username", typeText, false, false, maxName, "user name or e-mail address, for grant password"},
	{"password", typeText, true, false, maxPassword, "the password, for grant password"},
	{"refresh_token", typeText, true, true, maxToken, "a refresh token"},
	{"access_token", typeText, true, true, maxToken, "an access token"},
	{"request_token", typeText, true, true, maxToken, "a token signed with an API key"},
	{"token", typeText, true, true, maxToken, "a token of one of the kinds that the route lists"},
	{"subject", typeText, false, false, maxName, "whose refresh token it must be, for grant refresh"},
	{"account", typeText, false, false, 63, "shortname of the account, where the mount serves any"},
	{"label", typeText, false, false, 100, "a note on the application token"},
	{"networks", typeList, false, false, maxOther, "networks (CIDR) the application token is limited to"},
	{"scopes", typeList, false, false, maxOther, "roles the application token is narrowed to"},
}

func findInput(name string) *knownInput {
	for i := range knownInputs {
		if knownInputs[i].name == name {
			return &knownInputs[i]
		}
	}
	return nil
}

// placeKind is where an input comes from.
type placeKind string

const (
	fromJSON   placeKind = "json"
	fromForm   placeKind = "form"
	fromQuery  placeKind = "query"
	fromPath   placeKind = "path"
	fromHeader placeKind = "header"
	fromCookie placeKind = "cookie"
	fromBasic  placeKind = "basic"         // path: username or password
	fromScheme placeKind = "authorization" // name: the scheme, "" for none
)

func (k placeKind) body() bool { return k == fromJSON || k == fromForm }

// place is one spot that an input is read from.
type place struct {
	kind placeKind
	// prefix stands before the input in a header or cookie: "Bearer ".
	prefix string
	name   string   // of a field, header, cookie, parameter or scheme
	path   []string // in JSON
	in     *inputDef
	pos    pos
}

// loc is how errors name the place.
func (p *place) loc() []string {
	switch p.kind {
	case fromJSON:
		return append([]string{"body"}, p.path...)
	case fromForm:
		return []string{"body", p.name}
	case fromBasic, fromScheme:
		return []string{"header", "authorization"}
	}
	return []string{string(p.kind), p.name}
}

// problem kinds: what can be wrong with an input.
var problems = []struct{ kind, message string }{
	{"missing", "Field required"},
	{"empty", "must not be empty"},
	{"type", "must be $expected"},
	{"enum", "must be $expected"},
	{"uuid", "must be a UUID"},
	{"date", "must be a date such as 2006-01-02"},
	{"date_range", "must be $expected"},
	{"too_long", "must have at most $expected characters"},
	{"unknown", "unknown field"},
	{"repeated", "given more than once"},
	{"json", "The body is not valid JSON: $expected"},
	{"form", "The body is not a valid form: $expected"},
}

func problemKinds() []string {
	out := make([]string, len(problems))
	for i := range problems {
		out[i] = problems[i].kind
	}
	return out
}

// problem is a violation before the contract's words.
type problem struct {
	kind     string
	expected string
}

// capturedKind is what was found at a place.
type capturedKind uint8

const (
	absent capturedKind = iota
	gotText
	gotNumber
	gotBool
	gotNull
	gotList
	gotOther
	gotTwice
)

// captured is what was found at a place.
type captured struct {
	kind capturedKind
	wire bool // text from a form, query, header: numbers and booleans are spelled out
	s    string
	list []string
}

// read turns what was found into the input's value.
func (in *inputDef) read(c *captured) (value, *problem) {
	if c.kind == gotTwice {
		return value{}, &problem{"repeated", ""}
	}
	switch in.typ {
	case typeBoolean:
		return in.readBool(c)
	case typeInteger:
		return in.readInt(c)
	case typeList:
		return in.readList(c)
	case typeScalar:
		return in.readScalar(c)
	}
	if c.kind != gotText {
		return value{}, &problem{"type", "a string"}
	}
	if c.s == "" {
		return value{}, &problem{"empty", ""}
	}
	if len(c.s) > in.max && utf8.RuneCountInString(c.s) > in.max {
		return value{}, &problem{"too_long", strconv.Itoa(in.max)}
	}
	if in.enum != nil && !slices.Contains(in.enum, c.s) {
		return value{}, &problem{"enum", oneOf(in.enum)}
	}
	switch in.typ {
	case typeUUID:
		if !isUUID(c.s) {
			return value{}, &problem{"uuid", ""}
		}
		return text(strings.ToLower(c.s)), nil
	case typeDate:
		return in.readDate(c.s)
	}
	return text(c.s), nil
}

func oneOf(enum []string) string {
	if len(enum) == 1 {
		return enum[0]
	}
	return "one of " + strings.Join(enum, ", ")
}

func (in *inputDef) readBool(c *captured) (value, *problem) {
	if c.kind == gotBool || c.wire {
		switch strings.ToLower(c.s) {
		case "true":
			return boolean(true), nil
		case "false":
			return boolean(false), nil
		case "1", "on":
			if c.wire {
				return boolean(true), nil
			}
		case "0", "off":
			if c.wire {
				return boolean(false), nil
			}
		}
	}
	return value{}, &problem{"type", "true or false"}
}

func (in *inputDef) readInt(c *captured) (value, *problem) {
	if c.kind == gotNumber || c.wire && c.kind == gotText {
		if n, err := strconv.ParseInt(c.s, 10, 64); err == nil {
			if in.enum != nil && !slices.Contains(in.enum, c.s) {
				return value{}, &problem{"enum", oneOf(in.enum)}
			}
			return number(n), nil
		}
	}
	return value{}, &problem{"type", "a whole number"}
}

// readScalar keeps text, numbers and booleans what they are: the id of a
// JSON-RPC request is answered as it was sent.
func (in *inputDef) readScalar(c *captured) (value, *problem) {
	if len(c.s) > in.max && utf8.RuneCountInString(c.s) > in.max {
		return value{}, &problem{"too_long", strconv.Itoa(in.max)}
	}
	if in.enum != nil && !slices.Contains(in.enum, c.s) {
		return value{}, &problem{"enum", oneOf(in.enum)}
	}
	switch c.kind {
	case gotText:
		return text(c.s), nil
	case gotNumber:
		return value{t: tJSON, raw: []byte(c.s)}, nil
	case gotBool:
		return boolean(c.s == "true"), nil
	}
	return value{}, &problem{"type", "text, a number, true or false"}
}

func (in *inputDef) readList(c *captured) (value, *problem) {
	switch c.kind {
	case gotList:
	case gotText:
		c.list = strings.FieldsFunc(c.s, func(r rune) bool { return r == ' ' || r == ',' })
	default:
		return value{}, &problem{"type", "a list of strings"}
	}
	total := 0
	for _, s := range c.list {
		total += len(s) + 1
		if in.enum != nil && !slices.Contains(in.enum, s) {
			return value{}, &problem{"enum", oneOf(in.enum)}
		}
	}
	if total > in.max {
		return value{}, &problem{"too_long", strconv.Itoa(in.max)}
	}
	return list(c.list), nil
}

// readDate compares dates as text: both are YYYY-MM-DD.
func (in *inputDef) readDate(s string) (value, *problem) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return value{}, &problem{"date", ""}
	}
	s = t.Format(time.DateOnly) // parsed and printed again: what is echoed is ours
	switch {
	case in.earliest != "" && s < in.earliest:
		if !in.clampLow {
			return value{}, &problem{"date_range", in.earliest + " or later"}
		}
		s = in.earliest
	case in.latest != "" && s > in.latest:
		if !in.clampTop {
			return value{}, &problem{"date_range", in.latest + " or earlier"}
		}
		s = in.latest
	}
	return text(s), nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if c|0x20 >= 'a' && c|0x20 <= 'f' || c >= '0' && c <= '9' {
			continue
		}
		return false
	}
	return true
}

// fallback is the value of an input that was not sent.
func (in *inputDef) fallback() value {
	if in.def == nil {
		return value{}
	}
	v, p := in.read(&captured{kind: gotText, wire: true, s: *in.def})
	if p != nil {
		return value{} // checked when the file was read
	}
	return v
}

// canonicalHeader is the spelling under which net/http keeps a header.
func canonicalHeader(name string) string { return http.CanonicalHeaderKey(name) }
