package auditship

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// journal is a log in memory.
type journal struct {
	records []core.AuditRecord
	meta    map[string]string
}

func (l *journal) add(n int) {
	for range n {
		seq := int64(len(l.records) + 1)
		l.records = append(l.records, core.AuditRecord{Node: "nd_1", Sequence: seq, At: 1_790_000_000_123, Event: core.Event{Kind: "user create\n"}})
	}
}

func (l *journal) ListAudit(_ context.Context, q core.AuditQuery) ([]core.AuditRecord, error) {
	var out []core.AuditRecord
	for _, r := range l.records {
		if r.Sequence > q.After && r.Node == q.Node && len(out) < q.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (l *journal) MetaGet(_ context.Context, name string) (string, error) {
	if v, ok := l.meta[name]; ok {
		return v, nil
	}
	return "", core.ErrNoRow
}

func (l *journal) MetaSet(_ context.Context, p *core.MetaSetParams) error {
	l.meta[p.Name] = p.Value
	return nil
}

func line(r *core.AuditRecord) []byte { return fmt.Appendf(nil, `{"sequence":%d}`, r.Sequence) }

func shipper(t *testing.T, l *journal, url string) *Shipper {
	t.Helper()
	target, err := Open(url, "host one", line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	return &Shipper{Log: l, Node: "nd_1", Name: url, Target: target, Now: func() int64 { return 0 }, Logger: slog.New(slog.DiscardHandler)}
}

func shipAll(t *testing.T, s *Shipper) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.Ship(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFile: every record once, in order, over a restart and a rotation.
func TestFile(t *testing.T) {
	l := &journal{meta: map[string]string{}}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l.add(1203)
	s := shipper(t, l, "file://"+path)
	shipAll(t, s)
	if err := s.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.add(2)
	s = shipper(t, l, "file://"+path)
	shipAll(t, s)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.add(1)
	shipAll(t, s)
	n := int64(0)
	for _, name := range []string{path + ".1", path} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.Lines(string(raw)) {
			if n++; text != fmt.Sprintf("{\"sequence\":%d}\n", n) {
				t.Fatalf("line %d is %q", n, text)
			}
		}
	}
	if n != 1206 {
		t.Fatalf("%d lines", n)
	}
}

var header = regexp.MustCompile(`^<110>1 2026-09-21T14:13:20\.123Z host_one sallyport \d+ user_create_ - \{"sequence":(\d+)\}$`)

// TestSyslog: the three ways to a daemon, in the words of RFC 5424.
func TestSyslog(t *testing.T) {
	dir, err := os.MkdirTemp("", "ship")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for network, addr := range map[string]string{"udp": "127.0.0.1:0", "unixgram": filepath.Join(dir, "s")} {
		conn, err := net.ListenPacket(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		url := "syslog+udp://" + conn.LocalAddr().String()
		if network == "unixgram" {
			url = "syslog+unix://" + addr
		}
		l := &journal{meta: map[string]string{}}
		l.add(3)
		shipAll(t, shipper(t, l, url))
		buf := make([]byte, 64<<10)
		for i := 1; i <= 3; i++ {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			if m := header.FindStringSubmatch(string(buf[:n])); m == nil || m[1] != strconv.Itoa(i) {
				t.Errorf("%s: %q", network, buf[:n])
			}
		}
	}
}

// TestSyslogStream: over TCP with lengths; a daemon that goes away gets what it
// missed when it is back.
func TestSyslogStream(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	l := &journal{meta: map[string]string{}}
	l.add(2)
	s := shipper(t, l, "syslog+tcp://"+addr)
	alarms := 0
	s.Alarm = func(string, string) { alarms++ }
	read := func(want ...int) {
		t.Helper()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		in := bufio.NewReader(conn)
		for _, i := range want {
			size, err := in.ReadString(' ')
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(strings.TrimSpace(size))
			if err != nil {
				t.Fatal(err)
			}
			msg := make([]byte, n)
			if _, err := io.ReadFull(in, msg); err != nil {
				t.Fatal(err)
			}
			if m := header.FindStringSubmatch(string(msg)); m == nil || m[1] != strconv.Itoa(i) {
				t.Errorf("%q", msg)
			}
		}
	}
	shipAll(t, s)
	read(1, 2)
	_ = listener.Close()
	_ = s.Target.Close()
	l.add(2)
	for range 3 {
		_, err := s.Ship(t.Context())
		if err == nil {
			t.Fatal("nobody listens, and it is taken")
		}
		s.told(t.Context(), err)
	}
	if alarms != 1 {
		t.Errorf("%d alarms for one outage", alarms)
	}
	if listener, err = net.Listen("tcp", addr); err != nil {
		t.Skip("the port was taken meanwhile:", err)
	}
	defer listener.Close()
	shipAll(t, s)
	read(3, 4)
}

// TestRunSaves: what was sent is remembered when the server ends.
func TestRunSaves(t *testing.T) {
	l := &journal{meta: map[string]string{}}
	l.add(7)
	s := shipper(t, l, "file://"+filepath.Join(t.TempDir(), "a"))
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	sent := make(chan struct{})
	s.Target = &tell{s.Target, sent}
	go func() { s.Run(ctx); close(done) }()
	<-sent
	cancel(errors.New("over"))
	<-done
	if len(l.meta) != 1 || l.meta[s.metaName()] != "7" {
		t.Fatalf("%v", l.meta)
	}
}

// tell closes a channel after the first sending.
type tell struct {
	Target
	sent chan struct{}
}

func (t *tell) Send(ctx context.Context, r []core.AuditRecord) error {
	err := t.Target.Send(ctx, r)
	close(t.sent)
	return err
}
