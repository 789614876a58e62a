package jose

import "slices"

// MaxDocumentSize is the length of the longest signed document in bytes.
const MaxDocumentSize = 32 << 20

var errDocumentSize = malformed("document longer than %d bytes", MaxDocumentSize)

// SignDocument is Sign for what is no token and may be far longer: a list that we publish. Nobody takes it for a token,
// since Parse refuses what is longer than one and its typ says what it is.
func (k *Key) SignDocument(h Header, payload []byte) (string, error) {
	return k.signUpTo(h, payload, MaxDocumentSize)
}

// ParseDocument is Parse for what SignDocument makes. It is for documents that were asked for, from a server that was
// chosen; what strangers send goes through Parse, whose limit keeps them from making us work.
func ParseDocument(text string, keys []*Key) (*Parsed, error) {
	if len(text) > MaxDocumentSize {
		return nil, errDocumentSize
	}
	return parseFor(text, slices.Values(keys))
}
