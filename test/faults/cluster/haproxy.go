package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Backend is one server behind the balancer.
type Backend struct {
	Name    string
	Address string // where its traffic goes
	Check   string // host:port that is asked for its health
}

// Listen is one address of the balancer and what stands behind it.
type Listen struct {
	Address string
	Mode    string // tcp or http
	Health  string // path asked at each Backend.Check; 200 means well
	Servers []Backend
}

// Balancer is a HAProxy.
type Balancer struct{ d *daemon }

// NewBalancer starts HAProxy in a folder. It ends with Close.
func NewBalancer(ctx context.Context, dir string, listens ...Listen) (*Balancer, error) {
	path, err := HAProxy()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(conf, []byte(balancerConfig(listens)), 0o644); err != nil {
		return nil, fmt.Errorf("configuring HAProxy: %w", err)
	}
	as, err := unprivileged()
	if errors.Is(err, ErrMissing) {
		as, err = nil, nil // it runs as root as well
	}
	if err != nil {
		return nil, err
	}
	b := &Balancer{d: &daemon{name: "haproxy", dir: dir, as: as, path: path, args: []string{"-db", "-f", conf}}}
	if err := b.d.start(); err != nil {
		return nil, err
	}
	for _, l := range listens {
		if err := awaitPort(ctx, l.Address, b.d); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// Close ends it.
func (b *Balancer) Close() { b.d.end(syscall.SIGTERM, 5*time.Second) }

// balancerConfig is what docs/high-availability would show: connections to a
// server that is marked down are cut, or a client would go on talking to a
// primary that no longer is one.
func balancerConfig(listens []Listen) string {
	var c strings.Builder
	c.WriteString(`global
	maxconn 2000
defaults
	timeout connect 2s
	timeout client 90s
	timeout server 90s
	timeout check 2s
	retries 2
	option redispatch
`)
	for i, l := range listens {
		fmt.Fprintf(&c, "listen l%d\n\tbind %s\n\tmode %s\n\toption httpchk\n", i, l.Address, l.Mode)
		fmt.Fprintf(&c, "\thttp-check send meth GET uri %s ver HTTP/1.1 hdr Host 127.0.0.1\n\thttp-check expect status 200\n", l.Health)
		c.WriteString("\tdefault-server inter 1s fastinter 300ms downinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions\n")
		if l.Mode == "tcp" {
			c.WriteString("\toption clitcpka\n\toption srvtcpka\n")
		}
		if len(l.Servers) == 1 {
			// Nobody else can answer, so nothing is gained by giving up: what comes
			// while it is exchanged waits, a second between two tries to reach it.
			fmt.Fprintf(&c, "\tretries 30\n\tserver %s %s\n", l.Servers[0].Name, l.Servers[0].Address)
			continue
		}
		for _, s := range l.Servers {
			fmt.Fprintf(&c, "\tserver %s %s check addr %s port %s\n", s.Name, s.Address, hostOf(s.Check), portOf(s.Check))
		}
	}
	return c.String()
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return port
}

func awaitPort(ctx context.Context, address string, d *daemon) error {
	for {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-d.done:
			return fmt.Errorf("%s ended; its output ends:\n%s", d.name, d.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w\n%s", d.name, address, context.Cause(ctx), d.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
