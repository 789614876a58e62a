package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSecurity61_AnswersBelongToTheirQuestions: a proxy keeps its connections to
// us, and takes the next answer on one for that to its last question. So there
// is one answer to each, in their order, also when a question has the body, the
// Expect or the Upgrade of the request that it is about, and whatever stands in
// the body.
func TestSecurity61_AnswersBelongToTheirQuestions(t *testing.T) {
	d := askable(t, nil)
	addr := d.Listener.Addr().String()
	var answers atomic.Int64
	var all sync.WaitGroup
	for n := range uint64(16) {
		all.Go(func() {
			for round := range uint64(15) {
				got, err := pipelined(addr, rand.New(rand.NewPCG(n, round)))
				answers.Add(int64(got))
				if err != nil {
					t.Errorf("connection %d of client %d: %v", round, n, err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d answers", answers.Load())
	if answers.Load() < 1500 {
		t.Errorf("only %d answers came: that proves nothing", answers.Load())
	}
}

// pipelined sends questions on one connection, in pieces, and reads answers
// until the server ends it.
func pipelined(addr string, r *rand.Rand) (answers int, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }() // either side is done with it
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	const hidden = "GET /_sallyport/auth/caddy HTTP/1.1\r\nHost: h\r\nX-Request-Id: hidden-request\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /admin\r\nX-Forwarded-Host: h\r\nAuthorization: Bearer alice\r\n\r\n"
	extra := []string{
		"\r\n", "\r\n", "\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "Te: trailers\r\n\r\n",
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden),
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 300<<10, strings.Repeat(hidden, 300<<10/len(hidden)+1)[:300<<10]), // too long to be waited for
		fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden),
	}
	type question struct {
		id, user string
		status   int
	}
	var asked []question
	var out strings.Builder
	for i := range 25 {
		q := question{id: fmt.Sprintf("question-%d", i)}
		who := []string{"alice", "bob", "nobody", "a.b.c"}[r.IntN(4)]
		q.status = map[string]int{"alice": 200, "bob": 403}[who]
		switch q.status {
		case 0:
			q.status = 401
		case 200:
			q.user = who
		}
		asked = append(asked, q)
		more := extra[r.IntN(5)]
		if r.IntN(6) == 0 {
			more = extra[r.IntN(len(extra))]
		}
		fmt.Fprintf(&out, "GET /_sallyport/auth/caddy HTTP/1.1\r\nHost: h\r\nX-Request-Id: %s\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /admin/?x\r\nX-Forwarded-Host: h\r\nAuthorization: Bearer %s\r\n%s", q.id, who, more)
	}
	go func() {
		for rest := out.String(); rest != ""; {
			n := min(len(rest), 1+r.IntN(2000))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				return // the server has ended it, as it may after a body
			}
			rest = rest[n:]
		}
	}()
	in := bufio.NewReader(c)
	for i, q := range asked {
		res, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return i, fmt.Errorf("no answer to %s", q.id)
		case err != nil:
			return i, nil
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return i, nil
		}
		if id, user := res.Header.Get("X-Request-Id"), res.Header.Get("X-Sallyport-User"); id != q.id || user != q.user || res.StatusCode != q.status {
			return i, fmt.Errorf("question %s, want %d for %q: answer to %s, %d for %q", q.id, q.status, q.user, id, res.StatusCode, user)
		}
		if res.Close {
			return i + 1, nil
		}
	}
	if b, err := in.Peek(min(1, in.Buffered())); err == nil && len(b) > 0 {
		return len(asked), fmt.Errorf("an answer that nobody asked for: %q", b)
	}
	return len(asked), nil
}
