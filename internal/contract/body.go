package contract

import (
	"errors"
	"io"
	"mime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// readBody reads JSON or a form. An empty body is a body without fields, and
// then the Content-Type says nothing.
func (q *request) readBody() error {
	bp := bodies.Get().(*[]byte)
	defer func() {
		clear((*bp)[:cap(*bp)]) // it held a password or a token
		bodies.Put(bp)
	}()
	body, err := readAll((*bp)[:0], q.http.Body)
	*bp = body[:0]
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	kind, boundary, err := q.mediaType()
	if err != nil {
		return err
	}
	var unknown *[][]string
	if q.ep.refuses {
		unknown = &q.unknown
	}
	if kind == fromJSON {
		return decodeJSON(body, q.ep.jsonRoot, q.got, unknown)
	}
	if boundary != "" {
		return asError(decodeMultipart(body, boundary, q.formField(unknown)))
	}
	return asError(decodeForm(body, q.formField(unknown)))
}

// asError keeps a nil *bodyError from becoming an error that is not nil.
func asError(err *bodyError) error {
	if err == nil {
		return nil
	}
	return err
}

func readAll(buf []byte, r io.Reader) ([]byte, error) {
	if r == nil {
		return buf, nil
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), MaxBody+1)])
		buf = buf[:len(buf)+n]
		if len(buf) > MaxBody {
			return buf, &core.Error{Code: core.BodyTooLarge, Message: "The body has more than 65536 bytes"}
		}
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			var tooLarge *httpd.BodyTooLarge
			if errors.As(err, &tooLarge) {
				return buf, &core.Error{Code: core.BodyTooLarge, Message: "The body is too large", Err: err}
			}
			return buf, &core.Error{Code: core.BodyMalformed, Message: "The body ended too early", Err: err}
		}
	}
}

// mediaType says how the body is read. A body without a Content-Type is taken
// for the one kind the endpoint reads: early clients send none.
func (q *request) mediaType() (kind placeKind, boundary string, err error) {
	vals := q.http.Header["Content-Type"]
	if len(vals) == 0 {
		if q.ep.uses[fromJSON] {
			return fromJSON, "", nil
		}
		return fromForm, "", nil
	}
	if len(vals) == 1 && vals[0] == "application/json" && q.ep.uses[fromJSON] {
		return fromJSON, "", nil
	}
	if len(vals) == 1 && vals[0] == "application/x-www-form-urlencoded" && q.ep.uses[fromForm] {
		return fromForm, "", nil
	}
	mt, params, perr := mime.ParseMediaType(vals[0])
	if perr == nil && len(vals) == 1 && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")) {
		switch {
		case q.ep.uses[fromJSON] && (mt == "application/json" || strings.HasPrefix(mt, "application/") && strings.HasSuffix(mt, "+json")):
			return fromJSON, "", nil
		case q.ep.uses[fromForm] && mt == "application/x-www-form-urlencoded":
			return fromForm, "", nil
		case q.ep.parts && mt == "multipart/form-data" && params["boundary"] != "":
			return fromForm, params["boundary"], nil
		case slices.Contains(q.ep.types, mt):
			return fromJSON, "", nil
		}
	}
	if slices.Contains(q.ep.types, "*/*") && len(vals) == 1 {
		return fromJSON, "", nil
	}
	return "", "", &core.Error{Code: core.MediaTypeUnsupported, Message: "Send the body as " + strings.Join(q.ep.mediaTypes(), " or ")}
}

func (e *endpoint) mediaTypes() []string {
	var out []string
	if e.uses[fromJSON] {
		out = append(out, "application/json")
	}
	if e.uses[fromForm] {
		out = append(out, "application/x-www-form-urlencoded")
	}
	if e.parts {
		out = append(out, "multipart/form-data")
	}
	return out
}

// formField notes a field of a form, whichever way the form came.
func (q *request) formField(unknown *[][]string) func(name, val []byte) {
	return func(name, val []byte) {
		hit := false
		for i := range q.ep.slots {
			if q.ep.slots[i].kind == fromForm && q.ep.slots[i].name == string(name) {
				q.got[i] = captured{kind: gotText, wire: true, s: fieldText(val)}
				hit = true
			}
		}
		if !hit && unknown != nil && len(*unknown) < 8 {
			*unknown = append(*unknown, []string{"body", clip(string(name[:min(len(name), shownName)]))})
		}
	}
}

// overLong stands for a text that is longer than any input may be. It is made
// once, so that a flood of such texts costs no memory.
var overLong = strings.Repeat("x", maxToken+1)

// fieldText copies a text out of the body, unless it is too long for any input.
func fieldText(val []byte) string {
	if len(val) > maxToken && utf8.RuneCount(val) > maxToken {
		return overLong
	}
	return string(val)
}
