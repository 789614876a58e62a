package httpd

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// Option changes how [WriteJSON] answers.
type Option func(http.Header)

// NoStore forbids caching; every answer with a token or a secret needs it
// (RFC 6749 section 5.1, RFC 9111 section 5.2.2.5).
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// ContentType replaces application/json.
func ContentType(v string) Option {
	return func(h http.Header) { h.Set("Content-Type", v) }
}

// WriteJSON answers v with its exact length, so that a cut answer is seen as
// cut. An error from encoding is returned before anything is written; one from
// the connection is not an error of the handler and is dropped.
func WriteJSON(w http.ResponseWriter, status int, v any, opts ...Option) error {
	body, err := encodeJSON(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	for _, o := range opts {
		o(h)
	}
	writeBody(w, status, body)
	return nil
}

// encodeJSON leaves <, > and & alone: a vendor's clients compare bytes, and
// the content type with nosniff keeps the answer from being read as HTML.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone; there is nobody left to tell
}

// WriteProblem answers an RFC 9457 problem. An empty typ is left out, which
// means about:blank; an empty title is the status text. Members of extra come
// beside the standard ones and cannot replace them.
func WriteProblem(w http.ResponseWriter, status int, typ, title, detail string, extra map[string]any) {
	m := make(map[string]any, len(extra)+4)
	for k, v := range extra {
		m[k] = v
	}
	if title == "" {
		title = http.StatusText(status)
	}
	m["status"], m["title"] = status, title
	setOrDrop(m, "type", typ)
	setOrDrop(m, "detail", detail)
	body, err := encodeJSON(m)
	if err != nil { // an extra member that JSON cannot carry: the rest still can
		body, _ = encodeJSON(map[string]any{"status": status, "title": title}) // an int and a string always encode
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	writeBody(w, status, body)
}

func setOrDrop(m map[string]any, key, value string) {
	if value == "" {
		delete(m, key)
		return
	}
	m[key] = value
}
