// Package links makes network connections that can be harmed: toxiproxy, run
// inside this process.
package links

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Link passes connections on to one address.
type Link struct {
	Address string // where it listens
	proxy   *toxiproxy.Proxy
}

// New opens a link.
func New(name, upstream string) (*Link, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics ask nobody where to log
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("opening a link: %w", err)
	}
	return &Link{Address: p.Listen, proxy: p}, nil
}

// Toxic is one kind of harm, as toxiproxy names it.
type Toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // upstream or downstream
	Attributes map[string]any `json:"attributes"`
}

// Harm adds toxics to what passes.
func (l *Link) Harm(toxics ...Toxic) error {
	for _, t := range toxics {
		b, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("describing a toxic: %w", err)
		}
		if _, err := l.proxy.Toxics.AddToxicJson(bytes.NewReader(b)); err != nil {
			return fmt.Errorf("adding the toxic %s: %w", t.Type, err)
		}
	}
	return nil
}

// Cut closes every connection and refuses new ones.
func (l *Link) Cut() { l.proxy.Stop() }

// Mend takes all harm away.
func (l *Link) Mend(ctx context.Context) error {
	l.proxy.Toxics.ResetToxics(ctx)
	if l.proxy.Enabled {
		return nil
	}
	if err := l.proxy.Start(); err != nil {
		return fmt.Errorf("opening a link again: %w", err)
	}
	return nil
}

// Close ends the link.
func (l *Link) Close() { l.proxy.Stop() }
