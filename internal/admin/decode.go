package admin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport/sallyport/internal/core"
)

// body reads the JSON body into v: one object, every member known and given
// once, valid UTF-8. Two readers that disagree about a repeated member would
// disagree about what an operator asked for. An empty body is an empty object.
func (c *call) body(v any) error {
	raw, err := io.ReadAll(c.r.Body)
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if len(raw) == 0 {
		raw = []byte("{}")
	} else if mt, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return core.Errorf(core.MediaTypeUnsupported, "send the body as Content-Type: application/json")
	}
	if err := json.Unmarshal(raw, v, json.RejectUnknownMembers(true)); err != nil {
		return decodeError(err)
	}
	return nil
}

// decodeError names the member that is wrong, without repeating its value: it
// may be a password.
func decodeError(err error) error {
	var syn *jsontext.SyntacticError
	var sem *json.SemanticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		errors.As(err, &syn)
		return violation(core.FieldRepeated, "repeated", syn.JSONPointer, "is given twice")
	case errors.As(err, &syn):
		e := core.Errorf(core.BodyMalformed, "the body is not JSON (at byte %d)", syn.ByteOffset)
		e.Violations = []core.Violation{{Loc: []string{"body"}, Message: e.Message, Type: "json"}}
		return e
	case errors.Is(err, json.ErrUnknownName):
		errors.As(err, &sem)
		return violation(core.FieldUnknown, "unknown", sem.JSONPointer, "is not known here")
	case errors.As(err, &sem):
		want := ""
		if sem.GoType != nil {
			want = "; it should be " + wantedJSON(sem.GoType.Kind().String())
		}
		return violation(core.FieldInvalid, "type", sem.JSONPointer, "has the wrong type"+want)
	}
	return core.Errorf(core.BodyMalformed, "the body cannot be read as JSON")
}

func wantedJSON(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "int64", "int":
		return "a whole number"
	case "slice":
		return "a list"
	}
	return "an object"
}

func violation(code core.Code, typ string, at jsontext.Pointer, says string) *core.Error {
	loc := []string{"body"}
	for tok := range at.Tokens() {
		loc = append(loc, tok)
	}
	name := "the body"
	if len(loc) > 1 {
		name = "the member " + clip(strings.Join(loc[1:], "."), 100)
	}
	e := core.Errorf(code, "%s %s", name, says)
	e.Violations = []core.Violation{{Loc: loc, Message: e.Message, Type: typ}}
	return e
}

func missing(field string) *core.Error {
	e := core.Errorf(core.FieldMissing, "the member %s is needed", field)
	e.Violations = []core.Violation{{Loc: []string{"body", field}, Message: e.Message, Type: "missing"}}
	return e
}

// query gives the parameters, which must be among known and given once.
func (c *call) query(known ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, core.Errorf(core.BadRequest, "the query cannot be read")
	}
	for name, vals := range q {
		if !slices.Contains(known, name) {
			return nil, queryViolation(core.FieldUnknown, "unknown", name, "is not known here")
		}
		if len(vals) > 1 {
			return nil, queryViolation(core.FieldRepeated, "repeated", name, "is given twice")
		}
	}
	return q, nil
}

func queryViolation(code core.Code, typ, name, says string) *core.Error {
	e := core.Errorf(code, "the parameter %s %s", clip(name, 100), says)
	e.Violations = []core.Violation{{Loc: []string{"query", name}, Message: e.Message, Type: typ}}
	return e
}

const (
	defaultPage = 100
	maxPage     = 500
)

// pageLimit reads the limit parameter.
func pageLimit(q url.Values) (int, error) {
	s := q.Get("limit")
	if s == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxPage {
		return 0, queryViolation(core.FieldInvalid, "value", "limit", fmt.Sprintf("is a number from 1 to %d", maxPage))
	}
	return n, nil
}

// A cursor is opaque to callers: base64 of parts joined by a control
// character that occurs in no part. It is a position, not a secret.
const cursorSep = "\x1f"

func encodeCursor(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, cursorSep)))
}

// decodeCursor gives the n parts, or n empty ones when there is no cursor.
func decodeCursor(q url.Values, n int) ([]string, error) {
	s := q.Get("cursor")
	if s == "" {
		return make([]string, n), nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(raw), cursorSep)
	if err != nil || n >= 0 && len(parts) != n {
		return nil, badCursor()
	}
	return parts, nil
}

func badCursor() error {
	return queryViolation(core.FieldInvalid, "value", "cursor", "is not a cursor of this list; take it from the answer before, or leave it out to start over")
}

// timeCursor reads a cursor that is a point in time.
func timeCursor(q url.Values) (int64, error) {
	parts, err := decodeCursor(q, 1)
	if err != nil || parts[0] == "" {
		return 0, err
	}
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || ms <= 0 {
		return 0, badCursor()
	}
	return ms, nil
}
