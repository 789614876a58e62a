package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// request is one mutation.
type request struct {
	raw, method string
	who         principal
	probe       string
	alone       bool // needs a connection of its own
	preflight   bool
}

var prefixes = []string{"/public", "/public", "/api", "/api/ops", "/admin", "/internal", "/write", "/cased", "/cased/Secret", "/cased/secret", ""}

// pieces are what paths are put together from.
var pieces = []string{
	"/", "//", "/.", "/..", "/./", "/../", "/...", "/.../", "..", ".", "%2e", "%2E%2e", ".%2e", "%2e.", "/%2e%2e/", "/.%2e/", "/..%2f", "%2f", "%2F", "%252f", "%25%32%66",
	"%5c", "\\", "..\\", "/..\\", "..%5c", "%c0%af", "%c0%ae%c0%ae", "%e0%80%af", "%c1%9c", "%u002f", "%uff0f", "%ef%bc%8f", "%ef%bc%8e%ef%bc%8e", "%e2%80%ae", "%e2%88%95", "%00", "%00.html", "%0a", "%0d%0a", "%09", "%20", "%20/", ".", "./",
	";", ";a=b", ";/", "/;/", "/..;/", "..;", "%3b", "%3b/", "?", "?x", "?/../admin", "?x=/../../admin", "#", "#/../admin", "%23", "%3f", "%3F/../admin", "&", "=", "@", ":", "::$DATA", "~1", "*", "+", "%", "%%", "%2", "%zz", "%25", "%2525", "%252e%252e", "%25252e",
	"admin", "ADMIN", "Admin", "aDmin", "%61dmin", "%41dmin", "adm%69n", "adm%49n", "\u0131", "adm%c4%b1n", "%ef%bd%81dmin", "internal", "INTERNAL", "api", "ops", "OPS", "public", "cased", "secret", "Secret", "SECRET", "%53ecret", "write", "x", "y.json", ".json", "caf%c3%a9", "\u00e9", "\xff", "%ff", "%ef%bf%bd", "%ed%a0%80", "%f0%9f%94%91", "[", "]", "{", "|", "^", "`", "\"", "<", "'", "(", "!", "$", ",", "-", "_", "~",
	"admin/", "/admin", "/admin/", "/internal", "/api/ops/", "/../admin", "/..%2fadmin", "/%2e%2e/admin", "/x/../../admin", "//admin", "/.//admin", "/%2fadmin", "/\\admin", "_sallyport/auth/nginx", "/_sallyport/refusal", "/api/users/login", ".well-known/jwks.json",
}

func target(r *rand.Rand) string {
	p := prefixes[r.IntN(len(prefixes))]
	if r.IntN(5) > 0 {
		p += "/"
	}
	for range r.IntN(4) {
		p += pieces[r.IntN(len(pieces))]
	}
	if r.IntN(3) == 0 {
		p += "x"
	}
	if r.IntN(60) == 0 {
		p += strings.Repeat("a", 100<<r.IntN(8))
	}
	if p == "" || p[0] != '/' && r.IntN(3) > 0 {
		p = "/" + p
	}
	switch r.IntN(40) {
	case 0:
		return "http://api.example" + p
	case 1:
		return "http://" + hosts[r.IntN(len(hosts))] + p
	case 2:
		return []string{"*", "//api.example" + p, "http:" + p, "x:" + p, "http:///" + p, "http://u:p@api.example" + p, "api.example:80", "?" + p, "http://api.example\\@evil" + p, "https://api.example:443" + p, "file://" + p}[r.IntN(11)]
	}
	return p
}

var hosts = []string{
	"api.example", "API.example", "api.example.", "api.example:80", "api.example:80:", "api.example:", "api.example..", "admin.example", "admin.example:80@api.example", "127.0.0.1", "[::1]", "[::1]:80", "localhost", "api.example/admin", "api.example%2fadmin", "", " api.example", "api.example evil", "api.example,evil", "a_b.example", "api.example#", "api.example?x",
}

var methods = []string{"GET", "GET", "GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PROPFIND", "get", "Get", "POST ", "TRACE", "CONNECT", "DEBUG", "G\x00T", "\tGET", "GET\t"}

var spoofed = []string{
	"X-Sallyport-User", "X-Sallyport-User", "X-Sallyport-User-Id", "X-Sallyport-Account", "X-Sallyport-Type", "X-Sallyport-Roles", "X-Sallyport-Roles", "X-Sallyport-Session", "X-Sallyport-Else",
	"X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Rewrite-URL", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Script-Name", "Script-Name", "Path-Info",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-User", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Remote-User", "X-Scheme", "Front-End-Https", "X-Envoy-Original-Path", "Host", "Authorization", "Cookie", "Content-Type", "Range", "Expect", "TE", "Upgrade",
}

var values = []string{"evil", "alice", "admin", "/admin", "/internal/x", "/public", "/public/x", "DELETE", "POST", "127.0.0.1", "127.0.0.2, 127.0.0.1", "for=127.0.0.1;host=evil", "https", "h2c", "websocket", "Bearer x", "", "\"", "evil\tevil", "\xff\xfe", "100-continue", "trailers"}

// spell writes a header's name as some server might still know it.
func spell(r *rand.Rand, name string) string {
	sep := []string{"-", "-", "-", "_", ".", "--", "", "~", "-_", " ", "\t"}[r.IntN(11)]
	if r.IntN(4) == 0 {
		name = strings.Replace(name, "-", sep, 1)
	} else {
		name = strings.ReplaceAll(name, "-", sep)
	}
	switch r.IntN(6) {
	case 0:
		name = strings.ToLower(name)
	case 1:
		name = strings.ToUpper(name)
	}
	switch r.IntN(24) {
	case 0:
		name += "_"
	case 1:
		name = "_" + name
	case 2:
		name += " "
	case 3:
		name = " " + name
	case 4:
		name += "\x00"
	case 5:
		name += "\r"
	}
	return name
}

// smuggled is a request that must arrive nowhere.
const smuggled = "GET /admin/smuggled HTTP/1.1\r\nHost: api.example\r\nX-Probe: smuggled\r\nX-Sallyport-User: alice\r\nX-Sallyport-Roles: admin\r\n\r\n"

// framings are heads and bodies whose end two programs may see in two places.
// Each takes the length of the hidden request.
var framings = []func(n int) (head, body string){
	func(n int) (string, string) {
		return fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", n+5), "0\r\n\r\n" + smuggled
	},
	func(n int) (string, string) {
		return fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n", 4), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, smuggled)
	},
	func(n int) (string, string) {
		return fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", n), smuggled
	},
	func(n int) (string, string) {
		return fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0\r\n", n), smuggled
	},
	func(n int) (string, string) { return fmt.Sprintf("Content-Length: 0, %d\r\n", n), smuggled },
	func(n int) (string, string) { return fmt.Sprintf("Content-Length: %d\r\n", n), smuggled },
	func(int) (string, string) { return "Content-Length: 0\r\n", smuggled },
	func(int) (string, string) { return "Content-Length: +0\r\n", smuggled },
	func(int) (string, string) { return "Content-Length: 0x0\r\n", smuggled },
	func(int) (string, string) { return "Content-Length: -1\r\n", smuggled },
	func(int) (string, string) { return "Content-Length : 0\r\n", smuggled },
	func(int) (string, string) { return "Content-Length: 0\r\n 5\r\n", smuggled },
	func(n int) (string, string) {
		return fmt.Sprintf("Content_Length: 0\r\nContent-Length: %d\r\n", n), smuggled
	},
	func(int) (string, string) { return "Content-Length: 18446744073709551616\r\n", smuggled },
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) {
		return "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n" + smuggled
	},
	func(int) (string, string) { return "X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled },
	func(int) (string, string) {
		return "X: y\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n" + smuggled
	},
	func(int) (string, string) {
		return "Transfer_Encoding: chunked\r\nContent-Length: 0\r\n", smuggled
	},
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", "0;a=\"\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", "0\n\n" + smuggled },
	func(int) (string, string) {
		return "Transfer-Encoding: chunked\r\n", "1;\n\r\nx\r\n0\r\n\r\n" + smuggled
	},
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", " 0\r\n\r\n" + smuggled },
	func(int) (string, string) {
		return "Transfer-Encoding: chunked\r\n", "00000000000000000\r\n\r\n" + smuggled
	},
	func(int) (string, string) {
		return "Transfer-Encoding: chunked\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n" + smuggled
	},
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", "1\r\nxx0\r\n\r\n" + smuggled },
	func(int) (string, string) { return "Transfer-Encoding: chunked\r\n", "1\r\nxx\r\n0\r\n\r\n" + smuggled },
	func(int) (string, string) {
		return "Transfer-Encoding: chunked\r\nTrailer: X-Sallyport-User\r\n", "1\r\nx\r\n0\r\nX-Sallyport-User: alice\r\nX-Probe: smuggled\r\nContent-Length: 0\r\n\r\n" + smuggled
	},
	func(int) (string, string) {
		return "Expect: 100-continue\r\nContent-Length: 0\r\n", smuggled
	},
	func(int) (string, string) {
		return "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", smuggled
	},
	func(int) (string, string) {
		return "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: x\r\n", smuggled
	},
	func(int) (string, string) { return "", smuggled },
	func(int) (string, string) {
		return "Connection: keep-alive, Content-Length\r\nContent-Length: 3\r\n", smuggled
	},
	func(int) (string, string) {
		return "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled
	},
	func(int) (string, string) { return "\x00: x\r\n", smuggled },
	func(int) (string, string) { return "X: a\x00b\r\n", smuggled },
	func(int) (string, string) { return " X: y\r\nContent-Length: 0\r\n", smuggled },
	func(int) (string, string) { return "no colon\r\n", smuggled },
	func(int) (string, string) { return ": empty\r\n", smuggled },
}

// requestID is the name by which a server's log knows a mutation that one of
// its proxies asks about.
func requestID(i uint64) string { return fmt.Sprintf("mutation-%d", i) }

// mutation makes the i-th request of a seed.
func mutation(seed, i uint64, people []principal) *request {
	r := rand.New(rand.NewPCG(seed, i))
	q := &request{who: people[r.IntN(len(people))], method: "GET", probe: fmt.Sprint(i)}
	var h strings.Builder
	to, host, version := target(r), "api.example", "1.1"
	if r.IntN(4) == 0 {
		q.method = methods[r.IntN(len(methods))]
	}
	if r.IntN(12) == 0 {
		host = hosts[r.IntN(len(hosts))]
	}
	if r.IntN(50) == 0 {
		version = []string{"1.0", "1.0", "0.9", "1.2", "2.0"}[r.IntN(5)]
	}
	if r.IntN(2) == 0 { // else the path alone is odd
		to = prefixes[r.IntN(len(prefixes)-1)] + "/x"
	}
	for range r.IntN(3) * r.IntN(3) {
		name := spell(r, spoofed[r.IntN(len(spoofed))])
		fmt.Fprintf(&h, "%s: %s\r\n", name, values[r.IntN(len(values))])
		switch r.IntN(8) {
		case 0:
			fmt.Fprintf(&h, "Connection: %s\r\n", strings.TrimSpace(name))
		case 1:
			h.WriteString("Connection: close, X-Sallyport-User, x-sallyport-roles, Authorization, X-Forwarded-For, Host\r\n")
		case 2:
			h.WriteString("Keep-Alive: X-Sallyport-User\r\nProxy-Connection: X-Sallyport-User\r\n")
		}
	}
	body := ""
	switch {
	case r.IntN(6) == 0:
		q.alone = true
		head, b := framings[r.IntN(len(framings))](len(smuggled))
		h.WriteString(head)
		body = b
		if q.method == "GET" && r.IntN(2) == 0 {
			q.method = "POST"
		}
		if r.IntN(10) == 0 {
			version = "1.0"
		}
	case r.IntN(30) == 0:
		q.method, q.preflight = "OPTIONS", true
		h.WriteString("Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n")
	}
	line := q.method + " " + to + " HTTP/" + version + "\r\n"
	auth := q.who.header
	if r.IntN(40) == 0 {
		auth += strings.Replace(auth, "Bearer ", "Bearer  ", 1)
	}
	q.raw = line + "Host: " + host + "\r\nX-Probe: " + q.probe + "\r\nX-Request-Id: " + requestID(i) + "\r\n" + auth + h.String() + "\r\n" + body
	if strings.ContainsAny(line+h.String(), "\x00") || version != "1.1" || strings.Contains(h.String(), "Content-") || q.method != strings.ToUpper(q.method) || strings.ContainsAny(q.method, " \t") {
		q.alone = true
	}
	return q
}
