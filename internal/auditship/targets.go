package auditship

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// Format is a record as one line of text without a line break.
type Format func(r *core.AuditRecord) []byte

// Open makes the target of a URL: syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT,
// syslog+unix:///PATH or file:///PATH. Nothing is dialled before the first record.
func Open(target, hostname string, format Format) (Target, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("audit.ship: %w", err)
	}
	switch u.Scheme {
	case "file":
		return &lines{path: u.Path, format: format}, nil
	case "syslog+udp", "syslog+tcp":
		return &syslog{network: strings.TrimPrefix(u.Scheme, "syslog+"), addr: u.Host, host: hostname, format: format}, nil
	case "syslog+unix":
		return &syslog{network: "unixgram", addr: u.Path, host: hostname, format: format}, nil
	}
	return nil, fmt.Errorf("audit.ship: %q is no target", target)
}

// lines appends to a file. It is opened for each batch, so that it may be
// rotated from outside at any time.
type lines struct {
	path   string
	format Format
}

func (t *lines) Send(_ context.Context, records []core.AuditRecord) error {
	var b []byte
	for i := range records {
		b = append(append(b, t.format(&records[i])...), '\n')
	}
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func (t *lines) Close() error { return nil }

// syslog speaks RFC 5424: a datagram a record, or on a stream each preceded by
// its length (RFC 6587 3.4.1).
type syslog struct {
	network, addr, host string
	format              Format
	conn                net.Conn
}

const dialTimeout = 5 * time.Second

func (t *syslog) Send(ctx context.Context, records []core.AuditRecord) error {
	if t.conn == nil {
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(ctx, t.network, t.addr)
		if err != nil {
			return err
		}
		t.conn = conn
	}
	err := t.conn.SetWriteDeadline(time.Now().Add(dialTimeout))
	for i := 0; i < len(records) && err == nil; i++ {
		msg := t.message(&records[i])
		if t.network == "tcp" {
			msg = append(fmt.Appendf(nil, "%d ", len(msg)), msg...)
		}
		_, err = t.conn.Write(msg)
	}
	if err != nil {
		err = errors.Join(err, t.Close())
	}
	return err
}

func (t *syslog) Close() error {
	if t.conn == nil {
		return nil
	}
	err := t.conn.Close()
	t.conn = nil
	return err
}

// priority is facility 13, log audit, with severity 6, informational, or 4,
// warning, for what an operator must look at.
func priority(kind string) int {
	switch kind {
	case "refusals", "session.reuse", "request_token.replay", "store_behind", "audit.purge":
		return 13*8 + 4
	}
	return 13*8 + 6
}

// message is the record as RFC 5424 section 6 has it; the text is the line.
func (t *syslog) message(r *core.AuditRecord) []byte {
	at := time.UnixMilli(r.At).UTC().Format("2006-01-02T15:04:05.000Z")
	b := fmt.Appendf(nil, "<%d>1 %s %s sallyport %d %s - ", priority(r.Event.Kind), at, word(t.host, 255), os.Getpid(), word(r.Event.Kind, 32))
	return append(b, t.format(r)...)
}

// word is text as a header field may have it: printable ASCII without spaces.
func word(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}
