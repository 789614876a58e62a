package contract

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Example is one call that can be copied into a shell.
type Example struct {
	Title string
	Curl  string
}

// Credentials fill the examples.
type Credentials struct {
	Username, Password string
	// RequestToken is a signed request token, or a shell expression in $(…)
	// that prints one; "" names the command that makes one.
	RequestToken string
	// Protected is the path of an API route behind the gateway, "" for none.
	Protected string
}

// Examples are calls of everything the mount serves, in an order that works:
// a login keeps its answer in a shell variable, later calls take their tokens
// from it.
func Examples(m *Mounted, baseURL string, cred Credentials) []Example {
	x := &exampleWriter{m: m, base: strings.TrimSuffix(baseURL, "/") + m.Prefix, cred: cred, found: map[string]string{}}
	x.variable = strings.ReplaceAll(m.contract.def.Name, "-", "_")
	var logins, rest, last []Example
	for _, h := range m.handlers {
		for _, e := range h.group.endpoints {
			for _, r := range e.routes {
				if r.grant.name == "password" || r.grant.name == "request_token" {
					x.remember(r)
				}
			}
		}
	}
	titles := distinctTitles(m)
	for _, h := range m.handlers {
		for _, e := range h.group.endpoints {
			for _, r := range e.routes {
				ex := x.example(h.group, e, r)
				ex.Title, titles = titles[0], titles[1:]
				switch r.grant.name {
				case "password", "request_token":
					logins = append(logins, ex)
				case "logout":
					last = append(last, ex)
				default:
					rest = append(rest, ex)
				}
			}
		}
	}
	if ex, ok := x.protected(baseURL); ok {
		rest = append(rest, ex)
	}
	return append(append(logins, rest...), last...)
}

type exampleWriter struct {
	m        *Mounted
	base     string
	cred     Credentials
	variable string
	found    map[string]string // value -> member that carries it in a login's answer
}

// remember notes under which member a login answers each value.
func (x *exampleWriter) remember(r *boundRoute) {
	for _, a := range r.answers {
		if o, ok := a.body.(*object); ok {
			x.members(o)
		}
	}
}

func (x *exampleWriter) members(o *object) {
	for i := range o.members {
		switch v := o.members[i].val.(type) {
		case *object:
			x.members(v)
		case *expr:
			if v.known != nil && v.known.t == tText && len(v.filters) == 0 && x.found[v.known.name] == "" {
				x.found[v.known.name] = o.members[i].name
			}
		}
	}
}

// shell is a piece of a command: text to be quoted, and expressions the shell
// must run.
type shell struct {
	text string
	run  bool
}

func quote(parts ...shell) string {
	var b strings.Builder
	for _, p := range merge(parts) {
		switch {
		case p.text == "":
		case p.run:
			b.WriteString(`"` + p.text + `"`)
		default:
			b.WriteString(`'` + strings.ReplaceAll(p.text, `'`, `'\''`) + `'`)
		}
	}
	if b.Len() == 0 {
		return "''"
	}
	return b.String()
}

// value is what an example sends for an input.
func (x *exampleWriter) value(in *inputDef, r *boundRoute) shell {
	switch in.name {
	case "username":
		return shell{text: orElse(x.cred.Username, "USERNAME")}
	case "password":
		return shell{text: orElse(x.cred.Password, "PASSWORD")}
	case "request_token":
		if strings.HasPrefix(x.cred.RequestToken, "$(") || x.cred.RequestToken == "" {
			return shell{text: orElse(x.cred.RequestToken, `$(sallyport netosecret request-token)`), run: true}
		}
		return shell{text: x.cred.RequestToken}
	case "refresh_token", "access_token", "subject":
		return x.extract(in.name)
	case "token":
		for _, k := range r.kinds {
			if k == "refresh" && len(r.kinds) == 1 {
				return x.extract("refresh_token")
			}
		}
		return x.extract("access_token")
	}
	if r.when != nil {
		for _, t := range r.when.tests {
			if t.x.input == in && len(t.want) > 0 {
				return shell{text: t.want[0]}
			}
		}
	}
	switch {
	case in.enum != nil:
		return shell{text: in.enum[0]}
	case in.def != nil:
		return shell{text: *in.def}
	}
	return shell{text: strings.ToUpper(in.name)}
}

// extract takes a value out of the login's answer with sed, which every
// machine has.
func (x *exampleWriter) extract(value string) shell {
	name := x.found[value]
	if value == "subject" && name == "" {
		name = x.found["user.id"]
	}
	if name == "" {
		return shell{text: strings.ToUpper(value)}
	}
	return shell{text: `$(printf %s "$` + x.variable + `" | sed -E 's/.*"` + name + `":"([^"]*)".*/\1/')`, run: true}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// wanted says whether an example sends the input: what is needed, and what
// chooses the route.
func wanted(in *inputDef, r *boundRoute) bool {
	if !in.optional {
		return true
	}
	if r.when != nil {
		for _, t := range r.when.tests {
			if t.x.input == in && !t.absent {
				return true
			}
		}
	}
	return false
}

// callParts is a curl call under construction.
type callParts struct {
	args  []string
	path  string
	query []shell
	form  []string
	json  map[string]any
	order []string // top-level names of json
	basic bool     // Basic credentials are there
}

func (x *exampleWriter) example(g *pathGroup, e *endpoint, r *boundRoute) Example {
	c := &callParts{path: r.path, json: map[string]any{}}
	sent := map[*inputDef]bool{}
	for i := range r.places {
		pl := &r.places[i]
		if sent[pl.in] || !wanted(pl.in, r) {
			continue
		}
		sent[pl.in] = true
		x.put(c, pl, r)
	}
	cmd := "curl -sS "
	body := len(c.json) > 0 || len(c.form) > 0
	if e.method != http.MethodGet && (e.method != http.MethodPost || !body) {
		cmd += "-X " + e.method + " "
	}
	if len(c.json) > 0 {
		c.args = append(c.args, "-H 'Content-Type: application/json'", "-d "+quote(encodeShell(c.json, c.order)...))
	}
	cmd += quote(append([]shell{{text: x.base + c.path}}, c.query...)...)
	for _, a := range append(c.args, c.form...) {
		cmd += " \\\n  " + a
	}
	if r.grant.name == "password" || r.grant.name == "request_token" {
		cmd = x.variable + "=$(" + cmd + ")\nprintf '%s\\n' \"$" + x.variable + "\""
	}
	return Example{Curl: cmd}
}

// distinctTitles names every route of the mount, in the order of the file. Those
// that share a summary are told apart by method, path and condition, as far as
// that takes.
func distinctTitles(m *Mounted) []string {
	var out []string
	var more [][3]string
	for _, h := range m.handlers {
		for _, e := range h.group.endpoints {
			for _, r := range e.routes {
				line := e.method + " " + h.group.pattern
				out = append(out, orElse(r.summary, r.grant.name+": "+line))
				when := ""
				if r.when != nil {
					when = ", when " + r.when.String()
				}
				more = append(more, [3]string{" (" + e.method + ")", " (" + h.group.pattern + ")", when})
			}
		}
	}
	for step := range 3 {
		alike := map[string][]int{}
		for i, t := range out {
			alike[t] = append(alike[t], i)
		}
		for _, group := range alike {
			if slices.ContainsFunc(group, func(i int) bool { return more[i][step] != more[group[0]][step] }) {
				for _, i := range group {
					out[i] += more[i][step]
				}
			}
		}
	}
	return out
}

// put adds one input where the route reads it.
func (x *exampleWriter) put(c *callParts, pl *place, r *boundRoute) {
	v := x.value(pl.in, r)
	switch pl.kind {
	case fromJSON:
		c.order = putJSON(c.json, c.order, pl.path, jsonShell(pl.in, v))
	case fromForm:
		c.form = append(c.form, "--data-urlencode "+quote(shell{text: pl.name + "="}, v))
	case fromQuery:
		sep := map[bool]string{true: "?", false: "&"}[len(c.query) == 0]
		if !v.run {
			v.text = url.QueryEscape(v.text)
		}
		c.query = append(c.query, shell{text: sep + url.QueryEscape(pl.name) + "="}, v)
	case fromPath:
		c.path = strings.ReplaceAll(c.path, "{"+pl.name+"}", url.PathEscape(v.text))
	case fromHeader:
		c.args = append(c.args, "-H "+quote(shell{text: pl.name + ": " + pl.prefix}, v))
	case fromCookie:
		c.args = append(c.args, "-b "+quote(shell{text: pl.name + "="}, v))
	case fromScheme:
		c.args = append(c.args, "-H "+quote(shell{text: "Authorization: " + strings.TrimLeft(pl.name+" ", " ")}, v))
	case fromBasic:
		if !c.basic {
			c.args = append(c.args, "-u "+quote(x.basic("username", r), shell{text: ":"}, x.basic("password", r)))
			c.basic = true
		}
	}
}

// basic is one half of Basic credentials: what the route reads there, if it
// does.
func (x *exampleWriter) basic(half string, r *boundRoute) shell {
	for i := range r.places {
		if pl := &r.places[i]; pl.kind == fromBasic && pl.name == half {
			if half == "username" && pl.in.name != "" && findInput(pl.in.name) == nil {
				return shell{text: orElse(x.cred.Username, "USERNAME")}
			}
			return x.value(pl.in, r)
		}
	}
	return shell{}
}

// jsonShell is an input's value as it stands in JSON.
func jsonShell(in *inputDef, v shell) []shell {
	switch {
	case in.typ == typeBoolean || in.typ == typeInteger:
		return []shell{v}
	case in.typ == typeList:
		return []shell{{text: `["`}, v, {text: `"]`}}
	case v.run:
		return []shell{{text: `"`}, v, {text: `"`}}
	}
	return []shell{{text: string(appendString(nil, v.text))}}
}

// putJSON keeps a value under its path; order lists the top-level names.
func putJSON(root map[string]any, order, path []string, v []shell) []string {
	if len(path) == 1 {
		root[path[0]] = v
		return appendNew(order, path[0])
	}
	next, ok := root[path[0]].(*jsonLevel)
	if !ok {
		next = &jsonLevel{members: map[string]any{}}
		root[path[0]] = next
	}
	next.order = putJSON(next.members, next.order, path[1:], v)
	return appendNew(order, path[0])
}

type jsonLevel struct {
	members map[string]any
	order   []string
}

func encodeShell(members map[string]any, order []string) []shell {
	out := []shell{{text: "{"}}
	for i, name := range order {
		sep := ""
		if i > 0 {
			sep = ","
		}
		out = append(out, shell{text: sep + string(appendString(nil, name)) + ":"})
		switch v := members[name].(type) {
		case []shell:
			out = append(out, v...)
		case *jsonLevel:
			out = append(out, encodeShell(v.members, v.order)...)
		}
	}
	out = append(out, shell{text: "}"})
	return merge(out)
}

// merge joins neighbours that are both text, so that quoting stays readable.
func merge(parts []shell) []shell {
	var out []shell
	for _, p := range parts {
		if n := len(out); n > 0 && !p.run && !out[n-1].run {
			out[n-1].text += p.text
			continue
		}
		out = append(out, p)
	}
	return out
}

// protected is a call of the API behind the gateway.
func (x *exampleWriter) protected(base string) (Example, bool) {
	if x.cred.Protected == "" {
		return Example{}, false
	}
	pl := x.m.contract.def.gateway.places[0]
	tok := x.extract("access_token")
	arg := "-H " + quote(shell{text: "Authorization: " + strings.TrimLeft(pl.name+" ", " ")}, tok)
	switch pl.kind {
	case fromHeader:
		arg = "-H " + quote(shell{text: pl.name + ": " + pl.prefix}, tok)
	case fromBasic:
		arg = "-u " + quote(shell{text: orElse(x.cred.Username, "USERNAME") + ":"}, tok)
		if pl.name == "username" {
			arg = "-u " + quote(tok, shell{text: ":"})
		}
	case fromCookie:
		arg = "-b " + quote(shell{text: pl.name + "="}, tok)
	case fromQuery:
		return Example{}, false
	}
	return Example{Title: "Call the API", Curl: "curl -sS " + quote(shell{text: strings.TrimSuffix(base, "/") + x.cred.Protected}) + " \\\n  " + arg}, true
}
