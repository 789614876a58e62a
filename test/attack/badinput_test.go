package attack_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// door is a route that takes a body, or none.
type door struct {
	method, path, ctype string
	good                string // a body of the right shape
	shape               func(response) error
}

func doors() []door {
	return []door{
		{"POST", "/token", asJSON, `{"username":"x","password":"y"}`, pathstackShape},
		{"POST", "/refresh", asJSON, `{"sub":"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64","refresh_token":"x"}`, pathstackShape},
		{"POST", "/api/users/login", asJSON, `{"username":"x","password":"y"}`, loginShape},
		{"POST", "/api/users/refresh", asJSON, `{}`, itempathShape},
		{"GET", "/api/users/refresh", asJSON, `{}`, itempathShape},
		{"POST", "/api/users/application-token", asJSON, `{}`, itempathShape},
		{"POST", "/api/v1/auth/token", asJSON, `{"jwt":"x"}`, netographyShape},
		{"POST", "/api/auth/bearer/token", asForm, `username=x&password=y`, netographyShape},
		{"POST", "/api/auth/bearer/refresh", asForm, `refresh_token=x`, netographyShape},
		{"POST", "//api//users/login", asJSON, `{"username":"x","password":"y"}`, loginShape},
	}
}

// loginShape is ItemPath's, whose login adds one member.
func loginShape(r response) error {
	if itempathShape(r) == nil || strings.HasPrefix(string(r.body), `{"login":false,"msg":"`) {
		return nil
	}
	return fmt.Errorf("not ItemPath's envelope: %s", r.body)
}

// mangle makes bad bodies of a good one.
func mangle(r *rand.Rand, d *door) (text, ctype string) {
	text, ctype = d.good, d.ctype
	for range 1 + r.IntN(2) {
		at := r.IntN(len(text) + 1)
		switch r.IntN(18) {
		case 0:
			text = text[:at]
		case 1:
			text = text[:at] + string([]byte{byte(r.IntN(256))}) + text[at:]
		case 2:
			text = strings.Replace(text, "x", strings.Repeat("x", 1<<r.IntN(18)), 1)
		case 3:
			text = strings.Replace(text, `"x"`, []string{"null", "1", "[]", "{}", "true", `""`, `"\ud800"`, `"\u0000"`, "1e999", `["x"]`}[r.IntN(10)], 1)
		case 4:
			text = strings.Replace(text, "{", `{"username":"a","password":"b","jwt":"c","refresh_token":"d","sub":"e",`, 1)
		case 5:
			text += "&username=a&refresh_token=b"
		case 6:
			text += text
		case 7:
			text = strings.Repeat("[", 1<<r.IntN(15)) + text
		case 8:
			text = "\ufeff" + text
		case 9:
			text = strings.ToUpper(text)
		case 10:
			text = strings.ReplaceAll(text, `"`, "'")
		case 11:
			text += strings.Repeat(" ", 1<<r.IntN(18))
		case 12:
			text = strings.ReplaceAll(text, "=", []string{"[]=", "%3d", "==", "=%zz", "=%ff", ";", "=\x00"}[r.IntN(7)])
		case 13:
			text = strings.Replace(text, `"username"`, []string{`"Username"`, `"user\u006eame"`, `"username "`, `"__proto__"`}[r.IntN(4)], 1)
		case 14:
			ctype = []string{"", "text/plain", "application/xml", asForm, asJSON, "application/json; charset=utf-16", "application/json, text/html", "multipart/form-data; boundary=x", ";", "APPLICATION/JSON", "application/json;charset=\"utf-8\"", "application/problem+json"}[r.IntN(12)]
		case 15:
			text = strings.Replace(text, "{", "{"+strings.Repeat(`"a":1,`, 1<<r.IntN(12)), 1)
		case 16:
			text = strings.Replace(text, "x", "\xff\xfe", 1)
		case 17:
			text = ""
		}
	}
	return text, ctype
}

// TestBadInput sends broken bodies to every route: the contract's own words,
// never a 5xx, nothing written but counters.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	w.act("/accounts", map[string]string{"shortname": "other"}, nil)
	r := rand.New(rand.NewPCG(*seed, 6))
	c := newWire(w)
	defer c.close()
	before := w.rows()
	ds := doors()
	for range max(600, *inputs/80) {
		d := &ds[r.IntN(len(ds))]
		text, ctype := mangle(r, d)
		if ctype != "" {
			ctype = "Content-Type: " + ctype + "\r\n"
		}
		res := c.do(fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: test\r\n%sContent-Length: %d\r\n\r\n%s", d.method, d.path, ctype, len(text), text))
		where := fmt.Sprintf("%s %s %q %.200q (%d bytes)", d.method, d.path, ctype, text, len(text))
		if res.status < 400 || res.status >= 500 {
			t.Errorf("%s: %s", where, res)
		} else if err := d.shape(res); err != nil {
			t.Errorf("%s: %d %v", where, res.status, err)
		}
		if len(text) > 1<<16 && res.status != 413 && res.status != 401 && res.status != 415 {
			t.Errorf("%s: %s", where, res)
		}
		if strings.Contains(string(res.body), "goroutine") || strings.Contains(string(res.body), ".go:") || len(res.body) > 1000 {
			t.Errorf("%s: says too much: %s", where, res)
		}
	}
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		for _, d := range ds {
			res := c.do([]byte(method + " " + d.path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
			c.close()
			if method == d.method || d.path == "/api/users/refresh" && (method == "GET" || method == "POST") {
				continue
			}
			if res.header.Get("Allow") == "" || method != "OPTIONS" && (res.status != 405 || d.shape(res) != nil) {
				t.Errorf("%s %s: %s %v", method, d.path, res, res.header)
			}
		}
	}
	w.unchanged(before, "bad input")
}
