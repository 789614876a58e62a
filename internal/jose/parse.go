package jose

import (
	"fmt"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/jose/strictjson"
)

// MaxTokenSize is the length of the longest token in bytes. Longer ones are refused unread.
const MaxTokenSize = 8192

// maxHeader bounds the header segment; ours are below 200 bytes.
const maxHeader = 2048

// Refusals are made once, so that a flood of bad tokens costs no memory.
var (
	errSize     = malformed("longer than %d bytes", MaxTokenSize)
	errSegments = malformed("not three segments with two dots between them")
	errJWE      = malformed("five segments: encrypted tokens (JWE) are not supported")
	errEmpty    = malformed("empty segment")
	errEncoding = malformed("segment is not canonical base64url without padding")
	errHeader   = malformed("header is not a strict JSON object")
	errAlg      = malformed("header without alg, or alg is not a string")
	errKid      = malformed("kid is not a string of at most %d bytes without control characters", MaxKeyID)
	errTyp      = malformed("typ is not a string of at most %d bytes without control characters", MaxKeyID)
	errParam    = malformed("header parameter that is never accepted (crit, b64, zip, enc, jwk, jku, x5c, x5u)")
	errCase     = malformed("header parameter that differs from a registered name in case")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Parsed is a token whose shape and header are in order. Nothing about it is true before Verify.
type Parsed struct {
	head      knownHeader
	raw       string
	buf       []byte // the token, then the decoded payload, then the decoded signature
	input     []byte // of the signature: header, dot, payload
	payload   []byte
	signature []byte
}

// knownHeader is a header segment and what it says.
type knownHeader struct {
	segment string
	alg     Algorithm
	kid     string
	typ     string
}

// Parse reads a token. The error is ErrMalformed with the reason.
func Parse(token string) (*Parsed, error) { return ParseFor(token, nil) }

// ParseFor is Parse for a caller that has the keys at hand: a header segment that one of them made, or that came in a
// token which it has verified, is known already and not read again. It changes the cost and never the outcome.
func ParseFor(token string, keys iter.Seq[*Key]) (*Parsed, error) {
	if len(token) > MaxTokenSize {
		return nil, errSize
	}
	return parseFor(token, keys)
}

func parseFor(token string, keys iter.Seq[*Key]) (*Parsed, error) {
	header, payload, signature, err := split(token)
	if err != nil {
		return nil, err
	}
	p := &Parsed{raw: token}
	if !p.recall(header, keys) {
		if err := p.readHeader(header); err != nil {
			return nil, err
		}
	}
	n := len(token)
	buf := make([]byte, n, n+rawURL.DecodedLen(len(payload))+rawURL.DecodedLen(len(signature)))
	copy(buf, token)
	buf, ok := appendDecoded(buf, payload)
	if !ok {
		return nil, errEncoding
	}
	end := len(buf)
	if buf, ok = appendDecoded(buf, signature); !ok {
		return nil, errEncoding
	}
	p.buf = buf
	p.input = buf[: len(header)+1+len(payload) : len(header)+1+len(payload)]
	p.payload = buf[n:end:end]
	p.signature = buf[end:]
	return p, nil
}

// split finds the three segments. It looks for dots one by one and keeps nothing, so a megabyte of dots costs a length
// check and a token of 8 KiB of dots three short searches (CVE-2025-30204 was a split into all of them).
func split(token string) (header, payload, signature string, err error) {
	header, rest, ok := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return "", "", "", errSegments
	}
	if strings.IndexByte(signature, '.') >= 0 {
		if strings.Count(token, ".") == 4 {
			return "", "", "", errJWE
		}
		return "", "", "", errSegments
	}
	if header == "" || payload == "" || signature == "" {
		return "", "", "", errEmpty
	}
	return header, payload, signature, nil
}

// recall takes what the keys know about the header segment.
func (p *Parsed) recall(segment string, keys iter.Seq[*Key]) bool {
	if keys == nil {
		return false
	}
	for k := range keys {
		known := k.checks.Load()
		if known == nil {
			continue
		}
		for i := range *known {
			if (*known)[i].segment == segment {
				p.head = (*known)[i]
				return true
			}
		}
	}
	return false
}

func (p *Parsed) readHeader(segment string) error {
	if len(segment) > maxHeader {
		return errHeader
	}
	text, ok := appendDecoded(make([]byte, 0, rawURL.DecodedLen(len(segment))), segment)
	if !ok {
		return errEncoding
	}
	var store [8]strictjson.Member
	members, err := strictjson.ParseObject(string(text), store[:0])
	if err != nil {
		return fmt.Errorf("%w: %w", errHeader, err)
	}
	p.head.segment = segment
	for i := range members {
		if err := p.head.set(members[i].Name, members[i].Value); err != nil {
			return err
		}
	}
	if p.head.alg == "" {
		return errAlg
	}
	return nil
}

func (h *knownHeader) set(name string, v strictjson.Value) error {
	switch name {
	case "alg":
		alg, ok := v.Text()
		if !ok || alg == "" {
			return errAlg
		}
		h.alg = Algorithm(alg)
	case "kid":
		kid, ok := v.Text()
		if !ok || !printable(kid, MaxKeyID) {
			return errKid
		}
		h.kid = kid
	case "typ":
		typ, ok := v.Text()
		if !ok || !printable(typ, MaxKeyID) {
			return errTyp
		}
		h.typ = typ
	case "crit", "b64", "zip", "enc", "jwk", "jku", "x5c", "x5u":
		return errParam
	default:
		// A reader that ignores case would take this for the real one.
		for _, registered := range [...]string{
			"alg", "kid", "typ", "crit", "b64", "zip", "enc", "jwk", "jku", "x5c", "x5u", "cty",
		} {
			if name != registered && strings.EqualFold(name, registered) {
				return errCase
			}
		}
	}
	return nil
}

// Algorithm returns what the header says about the algorithm; it may be anything. Verify compares it with the key.
func (p *Parsed) Algorithm() Algorithm { return p.head.alg }

// KeyID returns the kid of the header, "" when there is none. It is unverified and good for ordering candidates.
func (p *Parsed) KeyID() string { return p.head.kid }

// Typ returns the typ of the header, "" when there is none. It is unverified before Verify.
func (p *Parsed) Typ() string { return p.head.typ }

// HeaderSegment returns the first segment as it came.
func (p *Parsed) HeaderSegment() string { return p.head.segment }

// SigningInput returns the bytes that the signature is about: first segment, dot, second segment. They are not to be
// changed.
func (p *Parsed) SigningInput() []byte { return p.input }

// Token returns the token as it came. It is no String method, so that a token does not get into a log by way of %v.
func (p *Parsed) Token() string { return p.raw }

// UnverifiedPayload returns the payload although nobody has vouched for it. It is for finding the key of a token that
// names it in its claims, and for showing a token to a person. The bytes are not to be changed.
func (p *Parsed) UnverifiedPayload() []byte { return p.payload }

// remember adds an entry to one of the small caches of a key. When the cache is full it stays as it is: the first
// headers of a key's life are the ones that it uses, and a holder of a shared secret cannot push them out.
func remember[E comparable](cache *atomic.Pointer[[]E], entry E) {
	for {
		old := cache.Load()
		var entries []E
		if old != nil {
			entries = *old
		}
		if len(entries) >= maxCached {
			return
		}
		for _, e := range entries {
			if e == entry {
				return
			}
		}
		grown := append(entries[:len(entries):len(entries)], entry)
		if cache.CompareAndSwap(old, &grown) {
			return
		}
	}
}
