package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmoke runs every group in its shortest form, so that the benchmark can't
// rot. It asserts nothing about times.
func TestSmoke(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"-quick", "-d", "200ms", "-n", "4", "-json"}
	if code := command(t.Context(), args, &out, &errs); code != 0 {
		t.Fatalf("status %d\n%s", code, errs.String())
	}
	var rep report
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	seen := map[string]int{}
	for _, l := range rep.Lines {
		seen[l.Group]++
		if l.Value <= 0 || len(l.Runs) != 1 {
			t.Errorf("%s: %s: %v in %d runs, want a figure in one run", l.Group, l.Name, l.Value, len(l.Runs))
		}
		if (l.Floor != "") != (l.Ratio > 0) {
			t.Errorf("%s: %s: floor %q and ratio %v; want both or neither", l.Group, l.Name, l.Floor, l.Ratio)
		}
	}
	want := map[string]int{"refresh": 9, "login": 2, "flood": 4, "verify": 9, "gateway": 6, "start": 3, "memory": 4}
	for name, n := range want {
		if seen[name] != n {
			t.Errorf("group %s has %d figures, want %d", name, seen[name], n)
		}
	}
	if err := rep.write(io.Discard); err != nil {
		t.Error(err)
	}
}

// TestProfile takes a profile of the server while it is loaded.
func TestProfile(t *testing.T) {
	var out, errs bytes.Buffer
	dir := t.TempDir()
	if code := command(t.Context(), []string{"-quick", "-d", "100ms", "-n", "2", "-only", "login", "-profile", dir}, &out, &errs); code != 0 {
		t.Fatalf("status %d\n%s", code, errs.String())
	}
	raw, err := os.ReadFile(filepath.Join(dir, "cpu-01.pprof"))
	if err != nil || !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		t.Errorf("the profile is %d bytes (%v); want a gzip file", len(raw), err)
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"-only", "nothing"}, {"-n", "0"}, {"-runs", "0"}, {"-d", "0s"}, {"more"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: status %d, said %q; want 2 and a reason", args, code, errs.String())
		}
	}
}

func TestMedian(t *testing.T) {
	got := median([]figure{{Value: 3, P50MS: 1}, {Value: 1, P50MS: 9}, {Value: 2, P50MS: 5}})
	if got != (figure{Value: 2, P50MS: 5}) {
		t.Errorf("median: %+v", got)
	}
}

func TestTable(t *testing.T) {
	r := report{
		Machine: "m", Date: "2026-01-02", Clients: 2, Runs: 1, LengthMS: 5,
		Lines: []line{
			{Group: "g", Name: "floor", figure: figure{Value: 2000}},
			{Group: "g", Name: "ours", figure: figure{Value: 150, P99MS: 1.5}, Floor: "floor", Ratio: 0.075},
		},
		groups: []group{{name: "g", title: "Title", unit: "1/s"}},
	}
	var out bytes.Buffer
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Title", "2000", "150.0", "1.50", "8 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

func TestReadAnswer(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name, in, body string
		status         int
		fails          bool
	}{
		{"length", ok + "Content-Length: 3\r\n\r\nabcREST", "abc", 200, false},
		{"odd case", ok + "content-LENGTH:3\r\n\r\nabc", "abc", 200, false},
		{"no body", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", "", 204, false},
		{"chunks", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", 200, false},
		{"cut head", ok + "Content-Len", "", 0, true},
		{"cut body", ok + "Content-Length: 9\r\n\r\nabc", "", 0, true},
		{"bad length", ok + "Content-Length: -1\r\n\r\n", "", 0, true},
		{"too long", ok + "Content-Length: 99999999999\r\n\r\nabc", "", 0, true},
		{"bad chunk", ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "", 0, true},
		{"not HTTP", "SSH-2.0-something\r\n", "", 0, true},
		{"nothing", "", "", 0, true},
	} {
		status, body, err := readAnswer(bufio.NewReader(strings.NewReader(c.in)), nil)
		if (err != nil) != c.fails {
			t.Errorf("%s: error %v", c.name, err)
		}
		if !c.fails && (status != c.status || string(body) != c.body) {
			t.Errorf("%s: status %d, body %q", c.name, status, body)
		}
	}
}

// FuzzReadAnswer holds the reader to one property: what it accepts with a
// length has a body of that length, and it never panics.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		_, body, err := readAnswer(bufio.NewReader(bytes.NewReader(in)), nil)
		if err == nil && len(body) > len(in) {
			t.Errorf("%d bytes of body out of %d bytes", len(body), len(in))
		}
	})
}

// TestChain shows that a server that doesn't rotate, or answers something
// else, spoils a measurement.
func TestChain(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"moves", 200, `{"access_token":"ey1","refresh_token":"b"}`, nil},
		{"stands still", 200, `{"access_token":"ey1","refresh_token":"a"}`, errContent},
		{"no refresh token", 200, `{"access_token":"ey1"}`, errContent},
		{"no access token", 200, `{"refresh_token":"b"}`, errContent},
		{"refused", 401, `{"access_token":"ey1","refresh_token":"b"}`, errStatus},
	} {
		ch := &chain{path: "/r", token: []byte("a"), must: []byte(`"access_token":"ey`)}
		if err := ch.answer(c.status, []byte(c.body)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		next := "a"
		if c.want == nil {
			next = "b"
		}
		if got := string(ch.request(nil)); !strings.HasSuffix(got, "\r\n\r\nrefresh_token="+next) || !strings.Contains(got, "Content-Length: 15\r\n") {
			t.Errorf("%s: the next request is %q", c.name, got)
		}
	}
}
