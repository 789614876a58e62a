package httpd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

// readAll is a handler that answers with the length of its body.
func readAll(w http.ResponseWriter, r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d", len(b))
	return err
}

func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var tooLarge *httpd.BodyTooLarge
	if errors.As(err, &tooLarge) {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "other", http.StatusRequestTimeout)
}

func TestSecurity57_BodyCap(t *testing.T) {
	s := start(t, httpd.Config{Public: httpd.Own(httpd.Wrap(readAll, refuse))})
	for _, tc := range []struct {
		name    string
		size    int
		chunked bool
		status  int
		body    string
	}{
		{"empty", 0, false, 200, "0"},
		{"at the cap", 64 << 10, false, 200, "65536"},
		{"one over", 64<<10 + 1, false, 413, "the request body is larger than 65536 bytes\n"},
		{"one over, chunked", 64<<10 + 1, true, 413, "the request body is larger than 65536 bytes\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var body io.Reader = bytes.NewReader(make([]byte, tc.size))
			if tc.chunked {
				body = io.MultiReader(body)
			}
			res, err := http.Post(s.url, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			_ = res.Body.Close() // read to its end
			if err != nil || res.StatusCode != tc.status || string(got) != tc.body {
				t.Errorf("%d %q %v, want %d %q", res.StatusCode, got, err, tc.status, tc.body)
			}
		})
	}
}

// TestSlowBody: a body that does not come is not waited for.
func TestSlowBody(t *testing.T) {
	s := start(t, httpd.Config{Public: httpd.Deadline(100*time.Millisecond, httpd.Wrap(readAll, refuse))})
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // nothing depends on it
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDeadlineEndsTheContext(t *testing.T) {
	h := httpd.Deadline(time.Millisecond, httpd.Wrap(func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return r.Context().Err()
	}, func(w http.ResponseWriter, _ *http.Request, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", rec.Code)
	}
}

// TestSecurity58_AccessLogHoldsNoSecret sends a secret everywhere one can travel.
func TestSecurity58_AccessLogHoldsNoSecret(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	var buf bytes.Buffer
	log, err := httpd.NewLogger(&buf, "json", "debug")
	if err != nil {
		t.Fatal(err)
	}
	var seen []httpd.Observation
	mux := http.NewServeMux()
	mux.Handle("POST /login/{token}", say("hello"))
	mux.Handle("/named/", handler(func(w http.ResponseWriter, r *http.Request) {
		httpd.SetRoute(r, "contract GET /named/{secret}")
		w.WriteHeader(http.StatusAccepted)
	}))
	f := httpd.Front{Logger: log, Observe: func(o httpd.Observation) { seen = append(seen, o) }}
	do := func(method, target string) {
		r := httptest.NewRequest(method, target, strings.NewReader("password="+secret))
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("Cookie", "session="+secret)
		f.Wrap(mux).ServeHTTP(httptest.NewRecorder(), r)
	}
	do(http.MethodPost, "/login/"+secret+"?token="+secret)
	do(http.MethodGet, "/named/"+secret)
	do("BREW", "/nothing?token="+secret)
	if strings.Contains(buf.String(), secret) {
		t.Errorf("the log holds the secret:\n%s", buf.String())
	}
	var lines []map[string]any
	for line := range strings.SplitSeq(strings.TrimSpace(buf.String()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	want := []string{"POST|POST /login/{token}|<nil>|200|5|192.0.2.1", "GET|contract GET /named/{secret}|<nil>|202|0|192.0.2.1", "BREW|<nil>|/nothing|404|19|192.0.2.1"}
	for i, m := range lines {
		got := fmt.Sprintf("%v|%v|%v|%v|%v|%v", m["method"], m["route"], m["path"], m["status"], m["bytes"], m["client"])
		if got != want[i] {
			t.Errorf("line %d: %s, want %s", i, got, want[i])
		}
		if ts, _ := m["time"].(string); !strings.HasSuffix(ts, "Z") {
			t.Errorf("time %q is not UTC", ts)
		}
		if id, _ := m["request_id"].(string); len(id) != 22 {
			t.Errorf("request id %q", id)
		}
	}
	if len(seen) != 3 || seen[2].Method != "other" || seen[0].Route != "POST /login/{token}" {
		t.Errorf("observations %+v", seen)
	}
}

func TestNewLogger(t *testing.T) {
	for _, tc := range []struct{ format, level, want string }{
		{"", "", `{"time":`}, {"auto", "info", `{"time":`}, {"json", "warn", ""}, {"text", "info", "time="},
	} {
		var buf bytes.Buffer
		log, err := httpd.NewLogger(&buf, tc.format, tc.level)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello", "secret", httpd.Secret("abc"))
		if !strings.HasPrefix(buf.String(), tc.want) || tc.want == "" && buf.Len() > 0 || strings.Contains(buf.String(), "abc") {
			t.Errorf("%s/%s: %s", tc.format, tc.level, buf.String())
		}
	}
	for _, bad := range [][2]string{{"xml", "info"}, {"json", "loud"}} {
		if _, err := httpd.NewLogger(io.Discard, bad[0], bad[1]); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	s := httpd.Secret("abc")
	encoded, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%s %q %x %#v %+v %d", s, s, s, s, s, s), string(encoded), slog.AnyValue(s).Resolve().String()} {
		if strings.Contains(got, "abc") || strings.Contains(got, "616263") || strings.Contains(got, "97") {
			t.Errorf("printed %s", got)
		}
	}
	if s.Reveal() != "abc" {
		t.Error("the secret is lost")
	}
}

func TestWriteProblemAndJSON(t *testing.T) {
	rec := httptest.NewRecorder()
	httpd.WriteProblem(rec, 409, "https://e.example/taken", "Taken", "The name is taken <b>.", map[string]any{"name": "ann", "status": 200})
	if got, want := rec.Body.String(), `{"detail":"The name is taken <b>.","name":"ann","status":409,"title":"Taken","type":"https://e.example/taken"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if h := rec.Header(); rec.Code != 409 || h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Length") != fmt.Sprint(rec.Body.Len()) {
		t.Errorf("%d %v", rec.Code, h)
	}
	rec = httptest.NewRecorder()
	httpd.WriteProblem(rec, 500, "", "", "", map[string]any{"bad": make(chan int), "type": "x"})
	if got := rec.Body.String(); got != `{"status":500,"title":"Internal Server Error"}` {
		t.Errorf("unencodable extra: %s", got)
	}
	rec = httptest.NewRecorder()
	if err := httpd.WriteJSON(rec, 200, map[string]string{"url": "a&b<c>"}, httpd.NoStore); err != nil {
		t.Fatal(err)
	}
	if got := rec.Body.String(); got != `{"url":"a&b<c>"}` || rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Content-Length") != "16" {
		t.Errorf("%s %v", got, rec.Header())
	}
	rec = httptest.NewRecorder()
	if err := httpd.WriteJSON(rec, 200, make(chan int)); err == nil || rec.Body.Len() > 0 {
		t.Errorf("unencodable value: %v, wrote %q", err, rec.Body.String())
	}
}
