package contract

import (
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
	"github.com/sallyport/sallyport/internal/token"
)

// Format is the version of the file format that this package reads.
const Format = 1

// Definition is a contract file that was read and found right. Compile makes
// a Contract of it.
type Definition struct {
	// File is the name the file was read under, for messages.
	File string
	// Name is the contract's name: lower case, digits and dashes.
	Name string
	// Title and Description are for people.
	Title, Description string
	// Sum is the SHA-256 of the file: nodes compare what they serve by it.
	Sum [32]byte

	tokens   tokensDef
	words    map[string]wording
	routes   []*routeDef
	errors   map[core.Code]*errorDef
	gateway  gatewayDef
	cors     *httpd.CORS
	head     bool // HEAD is answered where GET is
	options  bool // OPTIONS is answered with Allow
	shape    *errorShape
	inputs   map[string]*node
	inputPos map[string]pos
}

// tokensDef is the section `tokens`.
type tokensDef struct {
	kindClaim     string
	specs         map[token.Kind]*tokenDef
	rotation      core.Rotation
	requestWindow int64
}

// tokenDef is one kind of token.
type tokenDef struct {
	pos      pos
	spec     core.TokenSpec
	claims   *object
	lifetime int64
}

// routeDef is one entry of `routes`.
type routeDef struct {
	pos       pos
	methods   []string
	path      string
	segments  []segment
	grant     *grantKind
	summary   string
	inputs    []*inputDef
	byName    map[string]*inputDef
	places    []place
	refuse    bool     // unknown body fields are refused
	multipart bool     // forms may come as multipart/form-data
	jsonTypes []string // further media types of JSON; "*/*" for any
	when      *condition
	headers   []headerDef
	answers   []*answerDef
	errors    map[core.Code]*errorDef
	kinds     []token.Kind
	logout    core.LogoutScope
	maxAge    int64 // of the login, in milliseconds; core.AnyAge for any, 0 for the usual
	lenient   bool
	secretURL bool
	variant   *variantDef // nil: its tokens are the contract's
}

// segment is a piece of a path: text, or a parameter.
type segment struct {
	text  string
	param bool
}

// answerDef is one answer of a route.
type answerDef struct {
	pos     pos
	when    *condition
	status  int
	headers []headerDef
	cookies []cookieDef
	content content
	body    template // nil: no body
}

// content is the media type of a body. One that is not JSON is written as
// plain text.
type content struct {
	mediaType string
	plain     bool
}

type headerDef struct {
	name  string
	value template
}

// cookieDef is a cookie that an answer sets or deletes.
type cookieDef struct {
	name     string
	value    template
	path     string
	domain   string
	httpOnly bool
	secure   string // auto, always, never
	sameSite string
	maxAge   template // nil: until the browser closes
	maxAgeS  int
	remove   bool
	when     *condition
}

// errorDef is the words for one kind of error.
type errorDef struct {
	pos     pos
	code    core.Code
	status  int
	headers []headerDef
	message template // nil: the error's own message
	content content
	body    template // nil: the shape's
	noBody  bool
}

// errorShape is what errors look like unless they say otherwise.
type errorShape struct {
	pos     pos
	headers []headerDef
	content content
	body    template
}

// gatewayDef says where the gateway reads the token, and its own words.
type gatewayDef struct {
	places    []place
	errors    map[core.Code]*errorDef
	challenge bool
}

// wording is how a contract calls something wrong with an input.
type wording struct{ message, typ string }
