package attack_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// authorizations are ways to write a token into headers. Two readings of one
// header are two tokens, so there must be one.
var authorizations = []struct {
	name, headers string
	pass          bool
}{
	{"as it should be", "Authorization: Bearer TOK", true},
	{"scheme in lower case (RFC 9110 section 11.1)", "Authorization: bearer TOK", true},
	{"scheme in capitals", "AUTHORIZATION: BEARER TOK", true},
	{"outer blanks, which HTTP takes away", "Authorization:\t Bearer TOK \t", true},
	{"two spaces", "Authorization: Bearer  TOK", false},
	{"tab", "Authorization: Bearer\tTOK", false},
	{"space and tab", "Authorization: Bearer \tTOK", false},
	{"no space", "Authorization: BearerTOK", false},
	{"colon", "Authorization: Bearer:TOK", false},
	{"quotes", `Authorization: Bearer "TOK"`, false},
	{"no scheme", "Authorization: TOK", false},
	{"Basic", "Authorization: Basic TOK", false},
	{"Basic with the token as password", "Authorization: Basic BASIC", false},
	{"Token", "Authorization: Token TOK", false},
	{"JWT", "Authorization: JWT TOK", false},
	{"DPoP", "Authorization: DPoP TOK", false},
	{"scheme alone", "Authorization: Bearer", false},
	{"empty", "Authorization: ", false},
	{"none", "X-Nothing: TOK", false},
	{"two headers", "Authorization: Bearer TOK\r\nAuthorization: Bearer TOK", false},
	{"two headers of two spellings", "Authorization: Bearer TOK\r\nauthorization: Bearer TOK", false},
	{"two headers, one empty", "Authorization: Bearer TOK\r\nAuthorization: ", false},
	{"two headers, the first empty", "Authorization: \r\nAuthorization: Bearer TOK", false},
	{"two schemes", "Authorization: Basic eDp5\r\nAuthorization: Bearer TOK", false},
	{"comma", "Authorization: Bearer TOK, Bearer TOK", false},
	{"comma without space", "Authorization: Bearer TOK,TOK", false},
	{"comma behind", "Authorization: Bearer TOK,", false},
	{"comma before", "Authorization: Basic eDp5, Bearer TOK", false},
	{"parameter", "Authorization: Bearer TOK; a=b", false},
	{"parameter of the scheme", `Authorization: Bearer realm="x" TOK`, false},
	{"name of the token", "Authorization: Bearer token=TOK", false},
	{"Bearer twice", "Authorization: Bearer Bearer TOK", false},
	{"a word behind", "Authorization: Bearer TOK x", false},
	{"folded, which net/http unfolds before anybody reads it", "Authorization: Bearer\r\n TOK", true},
	{"folded in the token", "Authorization: Bearer TOK\r\n x", false},
	{"blank before the colon", "Authorization : Bearer TOK", false},
	{"underscore", "Authorization_: Bearer TOK", false},
	{"Proxy-Authorization", "Proxy-Authorization: Bearer TOK", false},
	{"X-Authorization", "X-Authorization: Bearer TOK", false},
	{"X-Forwarded-Authorization", "X-Forwarded-Authorization: Bearer TOK", false},
	{"cookie", "Cookie: access_token=TOK; token=TOK; Authorization=Bearer TOK", false},
	{"NUL", "Authorization: Bearer TOK\x00", false},
	{"NUL before", "Authorization: Bearer \x00TOK", false},
	{"bare CR", "Authorization: Bearer TOK\rx", false},
	{"bare LF, which is a header of its own", "Authorization: Bearer TOK\nX-Other: x", true},
	{"no-break space", "Authorization: Bearer\u00a0TOK", false},
	{"zero width space", "Authorization: Bearer \u200bTOK", false},
	{"percent", "Authorization: Bearer%20TOK", false},
}

// rewrites gives the requests of an endpoint that takes a bearer token with the
// header written otherwise; nil for another endpoint.
func rewrite(e *endpoint, headers string, c *credential) []byte {
	raw := string(e.send("TOKEN-PLACE", c.sub))
	if strings.Count(raw, "Authorization: Bearer TOKEN-PLACE\r\n") != 1 {
		return nil
	}
	headers = strings.ReplaceAll(headers, "TOK", c.text)
	headers = strings.ReplaceAll(headers, "BASIC", strings.TrimSuffix(strings.TrimPrefix(basicAuth(c.sub, c.text), "Authorization: Basic "), "\r\n"))
	return []byte(strings.Replace(raw, "Authorization: Bearer TOKEN-PLACE\r\n", headers+"\r\n", 1))
}

// TestTransport writes the Authorization header otherwise, at every endpoint
// that reads it.
func TestTransport(t *testing.T) {
	w := newWorld(t)
	w.arm()
	tried := 0
	for _, e := range endpoints(w) {
		i := slices.IndexFunc(w.creds, e.accepts)
		if i < 0 || e.mints() || rewrite(e, "", w.creds[i]) == nil {
			continue
		}
		for _, a := range authorizations {
			c := newWire(w)
			res := c.do(rewrite(e, a.headers, w.creds[i]))
			c.close()
			tried++
			if pass := e.passed(res); pass != a.pass || res.status == 0 || res.status >= 500 && !pass {
				t.Errorf("%s, %s: %s", e.name, a.name, res)
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d requests were sent", tried)
	}
	w.watch.check()
}

// TestCookies writes a cookie otherwise.
func TestCookies(t *testing.T) {
	w := newWorld(t)
	w.arm()
	for _, e := range endpoints(w) {
		i := slices.IndexFunc(w.creds, e.accepts)
		if i < 0 {
			continue
		}
		raw := string(e.send("TOKEN-PLACE", ""))
		_, rest, ok := strings.Cut(raw, "Cookie: ")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "=")
		for _, c := range []struct {
			headers string
			pass    bool
		}{
			{"Cookie: NAME=TOK", true},
			{"cookie: a=b; NAME=TOK; c=d", true},
			{"Cookie: NAME=TOK; NAME=x", false},
			{"Cookie: NAME=x; NAME=TOK", false},
			{"Cookie: NAME=TOK\r\nCookie: NAME=x", false},
			{"Cookie: NAME=x\r\nCookie: NAME=TOK", false},
			{"Cookie: name2=TOK", false},
			{"Cookie: X-NAME=TOK", false},
			{"Cookie: NAME =TOK", true}, // the blank is taken away by net/http
			{"Cookie: NAME= TOK", false},
			{"Cookie: NAME=TOK,x", false},
			{"Cookie: NAME=TOK%00", false},
			{"Cookie: NAME=%22TOK%22", false},
			{"Cookie: UPPER=TOK", false},
			{"Cookie2: NAME=TOK", false},
			{"X-Cookie: NAME=TOK", false},
			{"NAME: TOK", false},
			{"Authorization: Bearer TOK", strings.Contains(e.name, "whoami")},
		} {
			headers := strings.NewReplacer("NAME", name, "UPPER", strings.ToUpper(name), "TOK", w.creds[i].text).Replace(c.headers)
			wire := newWire(w)
			res := wire.do([]byte(strings.Replace(raw, "Cookie: "+name+"=TOKEN-PLACE\r\n", headers+"\r\n", 1)))
			wire.close()
			if e.passed(res) != c.pass || res.status >= 500 || res.status == 0 {
				t.Errorf("%s, %s: %s", e.name, c.headers, res)
			}
		}
	}
	w.watch.check()
}

// TestTokenInURL puts good tokens where logs keep them.
func TestTokenInURL(t *testing.T) {
	w := newWorld(t)
	w.arm()
	c := newWire(w)
	defer c.close()
	before := w.forwarded.Load()
	for _, cred := range w.creds {
		if cred.kind != token.Access && cred.kind != token.Application {
			continue
		}
		for _, query := range []string{"access_token=TOK", "a=b&access_token=TOK", "access%5Ftoken=TOK", "ACCESS_TOKEN=TOK", "a;access_token=TOK", "access_token=x&access_token=TOK"} {
			query = strings.Replace(query, "=TOK", "="+cred.text, 1)
			for _, path := range []string{"/api/stations", "/oauth2/userinfo", "/_sallyport/revocations"} {
				for _, header := range []string{"", "Authorization: Bearer " + cred.text + "\r\n"} {
					if header != "" && path != "/api/stations" && strings.HasPrefix(query, "ACCESS") {
						continue // ours are called as the RFC calls it
					}
					res := c.do([]byte("GET " + path + "?" + query + " HTTP/1.1\r\nHost: test\r\n" + header + "\r\n"))
					if res.status < 400 || res.status >= 500 {
						t.Errorf("%s by %s at %s: %s", cred.name(), query[:16], path, res)
					}
				}
			}
		}
	}
	if n := w.forwarded.Load() - before; n != 0 {
		t.Errorf("%d requests with a token in the URL were forwarded", n)
	}
}

// TestGarbageBehind sends a good request and then what is none on the same
// connection: the first is answered, the rest refused, and nobody is harmed.
func TestGarbageBehind(t *testing.T) {
	w := newWorld(t)
	w.user("", "robot", "application")
	tok := text(w.login("/api/users/login", asJSON, "robot"), "accessToken")
	good := "GET /api/stations HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer " + tok + "\r\n\r\n"
	for _, garbage := range []string{
		"x", "\x00\x00\x00", "\r\n\r\nx\r\n\r\n", "GET", "GET / HTTP/1.1", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
		strings.Repeat("A", 100_000), "GET /api/stations HTTP/1.1\r\nHost: test\r\n\r\n", "POST /token HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n{", tok + "\r\n\r\n", "{}", "SSH-2.0-x\r\n", "\xff\xfe",
	} {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
		go func() { _, _ = io.WriteString(conn, good+garbage) }() // a server that closes early has seen enough
		answers := readAll(conn)
		_ = conn.Close()
		for i, status := range answers {
			if i == 0 && status != http.StatusOK || i > 0 && (status < 400 || status >= 500 && status != http.StatusHTTPVersionNotSupported) {
				t.Errorf("%.40q behind a good request: answered %v", garbage, answers)
			}
		}
		if len(answers) == 0 {
			t.Errorf("%.40q behind a good request: no answer", garbage)
		}
	}
	if n := w.forwarded.Load(); n != 16 {
		t.Errorf("%d requests reached the upstream, want the 16 good ones", n)
	}
	w.watch.check()
}

// readAll gives the statuses of the answers on a connection.
func readAll(conn net.Conn) (statuses []int) {
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		statuses = append(statuses, res.StatusCode)
		if res.StatusCode >= 400 && res.ContentLength < 0 {
			return statuses
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return statuses
		}
		// Only now: a client that closes while it waits has gone away.
		_ = conn.(*net.TCPConn).CloseWrite()
	}
}

// TestSplitWrites sends requests in pieces: what arrives in two packets is
// read as what arrives in one.
func TestSplitWrites(t *testing.T) {
	w := newWorld(t)
	w.user("", "robot", "application")
	tok := text(w.login("/api/users/login", asJSON, "robot"), "accessToken")
	raw := []byte("GET /api/stations HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer " + tok + "\r\n\r\n")
	for _, size := range []int{1, 7, 64} {
		for _, cut := range []int{0, 1} { // the whole token, and one character less
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
			text := raw
			if cut == 1 {
				text = bytes.Replace(raw, []byte(tok), []byte(tok[:len(tok)-1]), 1)
			}
			for i := 0; i < len(text); i += size {
				if _, err := conn.Write(text[i:min(len(text), i+size)]); err != nil {
					t.Fatal(err)
				}
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || (res.StatusCode == http.StatusOK) != (cut == 0) {
				t.Errorf("in pieces of %d, cut %d: %v %v", size, cut, res, err)
			}
			_ = conn.Close()
		}
	}
}
