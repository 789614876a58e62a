package contract

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// Info heads the OpenAPI document.
type Info struct {
	Title, Version string
	// Servers are base URLs, if known.
	Servers []string
}

// jsonObject is a JSON object under construction.
type jsonObject = map[string]any

// OpenAPI describes what the mounts serve, as an OpenAPI 3.1 document. It is
// made of the compiled contracts, so it cannot say what is not done.
func OpenAPI(info Info, mounts ...*Mounted) ([]byte, error) {
	if info.Title == "" {
		info.Title = "Sallyport"
	}
	if info.Version == "" {
		info.Version = "1"
	}
	d := &document{paths: jsonObject{}, schemes: jsonObject{}}
	tags := []any{}
	for _, m := range mounts {
		tag := jsonObject{"name": m.ID}
		if m.contract.def.Description != "" {
			tag["description"] = m.contract.def.Description
		}
		tags = append(tags, tag)
		for _, h := range m.handlers {
			d.path(m, h.group)
		}
	}
	doc := jsonObject{
		"openapi": "3.1.0", "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
		"info": jsonObject{"title": info.Title, "version": info.Version}, "tags": tags, "paths": d.paths,
	}
	if len(d.schemes) > 0 {
		doc["components"] = jsonObject{"securitySchemes": d.schemes}
	}
	if len(info.Servers) > 0 {
		servers := make([]any, len(info.Servers))
		for i, s := range info.Servers {
			servers[i] = jsonObject{"url": s}
		}
		doc["servers"] = servers
	}
	return json.MarshalIndent(doc, "", "  ")
}

type document struct {
	paths, schemes jsonObject
}

func (d *document) path(m *Mounted, g *pathGroup) {
	item := jsonObject{}
	if m.Host != "" {
		item["servers"] = []any{jsonObject{"url": "https://" + m.Host}}
	}
	for _, e := range g.endpoints {
		item[strings.ToLower(e.method)] = d.operation(m, g, e)
	}
	key := m.Prefix + g.pattern
	if _, taken := d.paths[key]; taken { // the same path on another host
		key += "#" + m.ID
	}
	d.paths[key] = item
}

func (d *document) operation(m *Mounted, g *pathGroup, e *endpoint) jsonObject {
	op := jsonObject{
		"tags":        []any{m.ID},
		"operationId": operationID(m.ID, e.method, g.pattern),
		"responses":   m.contract.responses(e),
	}
	var summaries []string
	for _, r := range e.routes {
		if r.summary != "" {
			summaries = append(summaries, r.summary)
		}
	}
	if len(summaries) > 0 {
		op["summary"] = strings.Join(summaries, "; ")
	}
	if p := e.parameters(); len(p) > 0 {
		op["parameters"] = p
	}
	if b := e.requestBody(); b != nil {
		op["requestBody"] = b
	}
	op["security"] = d.security(e)
	return op
}

func operationID(mount, method, pattern string) string {
	var b strings.Builder
	for _, c := range []byte(mount + "_" + strings.ToLower(method) + pattern) {
		if isNameByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}

// security lists the Authorization schemes that the endpoint reads.
func (d *document) security(e *endpoint) []any {
	out := []any{}
	add := func(name string, scheme jsonObject) {
		d.schemes[name] = scheme
		if !slices.ContainsFunc(out, func(x any) bool { return reflect.DeepEqual(x, jsonObject{name: []any{}}) }) {
			out = append(out, jsonObject{name: []any{}})
		}
	}
	for i := range e.slots {
		switch s := &e.slots[i]; {
		case s.kind == fromBasic:
			add("basic", jsonObject{"type": "http", "scheme": "basic"})
		case s.kind == fromScheme && s.name == "Bearer":
			add("bearer", jsonObject{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
		case s.kind == fromScheme:
			add("authorization", jsonObject{"type": "apiKey", "in": "header", "name": "Authorization"})
		}
	}
	return out
}

func (e *endpoint) parameters() []any {
	var out []any
	for i := range e.slots {
		s := &e.slots[i]
		in := map[placeKind]string{fromQuery: "query", fromHeader: "header", fromCookie: "cookie", fromPath: "path"}[s.kind]
		if in == "" || slices.ContainsFunc(e.slots[:i], func(o slot) bool { return o.kind == s.kind && o.name == s.name }) {
			continue // a header that is read with a prefix and without is one parameter
		}
		def, required := e.inputOf(i)
		p := jsonObject{"name": s.name, "in": in, "schema": def.schema()}
		if required && e.only(i) || in == "path" {
			p["required"] = true
		}
		out = append(out, p)
	}
	return out
}

// inputOf finds an input that reads the slot, and whether every route that
// reads it demands it.
func (e *endpoint) inputOf(slot int) (def *inputDef, required bool) {
	required = true
	for _, r := range e.routes {
		found := false
		for i, in := range r.inputs {
			if slices.Contains(r.slots[i], slot) {
				found = true
				if def == nil || def.enum != nil && in.enum == nil {
					def = in
				}
				required = required && !in.optional
			}
		}
		required = required && found
	}
	return def, required
}

// only says whether the slot is the one place of its input.
func (e *endpoint) only(slot int) bool {
	for _, r := range e.routes {
		for i := range r.inputs {
			if slices.Contains(r.slots[i], slot) && len(r.slots[i]) > 1 {
				return false
			}
		}
	}
	return true
}

func (in *inputDef) schema() jsonObject {
	s := jsonObject{"type": "string"}
	switch in.typ {
	case typeBoolean:
		s["type"] = "boolean"
	case typeInteger:
		s["type"] = "integer"
	case typeList:
		s = jsonObject{"type": "array", "items": jsonObject{"type": "string"}}
	case typeScalar:
		s = jsonObject{"type": []any{"string", "number", "boolean"}}
	case typeUUID:
		s["format"] = "uuid"
	case typeDate:
		s["format"] = "date"
	default:
		s["maxLength"] = in.max
		if in.name == "password" {
			s["format"] = "password"
		}
	}
	if in.enum != nil && in.typ != typeList {
		vals := make([]any, len(in.enum))
		for i, v := range in.enum {
			vals[i] = typed(in.typ, v)
		}
		s["enum"] = vals
	}
	if in.def != nil {
		s["default"] = typed(in.typ, *in.def)
	}
	return s
}

// typed gives a value from the file its JSON type.
func typed(t inputType, s string) any {
	switch t {
	case typeBoolean:
		return s == "true"
	case typeInteger:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
	}
	return s
}

func (e *endpoint) requestBody() jsonObject {
	contents := jsonObject{}
	required := false
	for _, kind := range []placeKind{fromJSON, fromForm} {
		if !e.uses[kind] {
			continue
		}
		var schemas []any
		for _, r := range e.routes {
			s, need := r.bodySchema(kind)
			required = required || need
			schemas = appendSchema(schemas, s)
		}
		media := jsonObject{"schema": anyOf(schemas)}
		if kind == fromJSON {
			contents["application/json"] = media
			for _, t := range e.types {
				contents[t] = media
			}
			continue
		}
		contents["application/x-www-form-urlencoded"] = media
		if e.parts {
			contents["multipart/form-data"] = media
		}
	}
	if len(contents) == 0 {
		return nil
	}
	return jsonObject{"content": contents, "required": required && len(e.routes) == 1}
}

// bodySchema is the object a route reads from one kind of body.
func (r *boundRoute) bodySchema(kind placeKind) (s jsonObject, required bool) {
	root := jsonObject{"type": "object", "properties": jsonObject{}}
	for i := range r.places {
		pl := &r.places[i]
		if pl.kind != kind {
			continue
		}
		path := pl.path
		if kind == fromForm {
			path = []string{pl.name}
		}
		alone := len(r.slots[pl.in.index]) == 1
		need := !pl.in.optional && (alone || r.onlyBodies(pl.in))
		required = required || need
		putSchema(root, path, pl.in.schema(), need)
	}
	if r.refuse {
		root["additionalProperties"] = false
	}
	return root, required
}

// onlyBodies says whether every place of the input is a body: then one of them
// must carry it.
func (r *boundRoute) onlyBodies(in *inputDef) bool {
	for i := range r.places {
		if r.places[i].in == in && !r.places[i].kind.body() {
			return false
		}
	}
	return true
}

func putSchema(root jsonObject, path []string, leaf jsonObject, need bool) {
	for i, name := range path {
		props, _ := root["properties"].(jsonObject)
		if props == nil {
			props = jsonObject{}
			root["properties"] = props
		}
		if need {
			req, _ := root["required"].([]string)
			root["required"] = appendNew(req, name)
		}
		if i == len(path)-1 {
			props[name] = leaf
			return
		}
		next, _ := props[name].(jsonObject)
		if next == nil {
			next = jsonObject{"type": "object"}
			props[name] = next
		}
		root = next
	}
}

func appendSchema(list []any, s jsonObject) []any {
	if slices.ContainsFunc(list, func(x any) bool { return reflect.DeepEqual(x, s) }) {
		return list
	}
	return append(list, s)
}

func anyOf(list []any) any {
	if len(list) == 1 {
		return list[0]
	}
	return jsonObject{"anyOf": list}
}

// responses are the answers and the refusals of an endpoint, by status.
func (c *Contract) responses(e *endpoint) jsonObject {
	b := &responses{byStatus: map[int]*response{}}
	for _, r := range e.routes {
		for _, a := range r.answers {
			b.add(a.status, a.content, a.body, a.headers)
		}
		for _, code := range r.refusals(e) {
			d := c.find(code, r.errors)
			status := d.status
			if s := fixedStatus(code); s != 0 && d.code != code {
				status = s
			}
			body := d.body
			if body == nil && !d.noBody && c.def.shape != nil {
				body = c.def.shape.body
			}
			b.add(status, d.content, body, d.headers)
		}
	}
	out := jsonObject{}
	for status, r := range b.byStatus {
		out[strconv.Itoa(status)] = r.document(status)
	}
	return out
}

type responses struct{ byStatus map[int]*response }

type response struct {
	content map[string][]any
	headers jsonObject
}

func (b *responses) add(status int, ct content, body template, headers []headerDef) {
	r := b.byStatus[status]
	if r == nil {
		r = &response{content: map[string][]any{}, headers: jsonObject{}}
		b.byStatus[status] = r
	}
	for _, h := range headers {
		r.headers[h.name] = jsonObject{"schema": jsonObject{"type": "string"}}
	}
	if body == nil {
		return
	}
	s := body.schema()
	if ct.plain {
		s = jsonObject{"type": "string"}
	}
	mt := ct.header()
	r.content[mt] = appendSchema(r.content[mt], s)
}

func (r *response) document(status int) jsonObject {
	out := jsonObject{"description": http.StatusText(status)}
	if len(r.headers) > 0 {
		out["headers"] = r.headers
	}
	if len(r.content) > 0 {
		ct := jsonObject{}
		for mt, schemas := range r.content {
			ct[mt] = jsonObject{"schema": anyOf(schemas)}
		}
		out["content"] = ct
	}
	return out
}

// refusals are the kinds of error a route can give.
func (r *boundRoute) refusals(e *endpoint) []core.Code {
	out := []core.Code{core.Unavailable, core.Internal}
	if len(r.inputs) > 0 {
		out = append(out, core.FieldInvalid, core.FieldRepeated, core.FieldMissing)
	}
	if e.uses[fromJSON] || e.uses[fromForm] {
		out = append(out, core.BodyMalformed, core.BodyTooLarge, core.MediaTypeUnsupported)
	}
	if r.refuse {
		out = append(out, core.FieldUnknown)
	}
	switch r.grant.name {
	case "password":
		return append(out, core.BadCredentials, core.TooMany)
	case "request_token":
		return append(out, core.RequestTokenInvalid, core.TooMany)
	case "none":
		return out
	case "application_token":
		out = append(out, core.UserTypeForbidden, core.TokenLimit)
		if r.freshness() > 0 {
			out = append(out, core.LoginTooOld)
		}
	case "refresh":
		out = append(out, core.SubjectMismatch, core.TokenReused)
	}
	if r.lenient {
		return out
	}
	return append(out, core.TokenMissing, core.TokenMalformed, core.TokenInvalid, core.TokenWrongKind, core.TokenExpired, core.TokenRevoked)
}
