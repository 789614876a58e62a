// Package world runs nodes of ours as one service: over one store, behind a
// balancer, before an API that they guard.
//
// How the pieces move: New makes the folders and settles the addresses, which
// stay the same over restarts; Start starts every node, and HAProxy where it
// was asked for. Each node is a process of its own (package sut), so a
// scenario may kill or stop it and start it again.
package world

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/cluster"
	"github.com/sallyport/sallyport/test/sut"
)

// Options of a world.
type Options struct {
	Dir     string   // takes everything; must exist
	Binary  string   // of the nodes
	Stores  []string // --store of each node; one "" is a node with SQLite in its data directory
	Balance bool     // HAProxy before the nodes
	Args    []string // further flags of every node
	Env     []string // further environment of every node
}

// World is the service.
type World struct {
	Options
	Nodes []*sut.Server
	URL   string // of the balancer; "" without

	upstream net.Listener
	api      *http.Server
	balancer *cluster.Balancer
}

// New settles everything but starts nothing.
func New(o Options) (*World, error) {
	w := &World{Options: o}
	if err := w.serveAPI(); err != nil {
		return nil, err
	}
	ports, err := sut.FreePorts(1)
	if err != nil {
		return nil, errors.Join(err, w.api.Close())
	}
	if o.Balance {
		w.URL = "http://" + ports[0]
	}
	var master [32]byte
	_, _ = rand.Read(master[:]) // never fails
	for i, store := range o.Stores {
		dir := filepath.Join(o.Dir, fmt.Sprintf("node%d", i+1))
		if err := os.MkdirAll(dir, 0o755); err != nil { // a scenario may have mounted something below
			return nil, errors.Join(fmt.Errorf("making a node's folder: %w", err), w.api.Close())
		}
		args := append([]string{"--upstream", "http://" + w.upstream.Addr().String(), "--log-access=false", "--issuer", "http://" + ports[0]}, o.Args...)
		if store != "" {
			args = append(args, "--store", store)
		}
		node, err := sut.NewServer(o.Binary, dir, args...)
		if err != nil {
			return nil, errors.Join(err, w.api.Close())
		}
		node.Env = o.Env
		if store != "" {
			node.Env = append([]string{"SALLYPORT_MASTER_KEY=" + hex.EncodeToString(master[:])}, o.Env...)
		}
		w.Nodes = append(w.Nodes, node)
	}
	return w, nil
}

// serveAPI is the API that the nodes guard.
func (w *World) serveAPI() (err error) {
	if w.upstream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("starting the API behind: %w", err)
	}
	w.api = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(res http.ResponseWriter, _ *http.Request) {
		res.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(res, `{"stations":[]}`) // the gateway reads it or the check fails
	})}
	go func() { _ = w.api.Serve(w.upstream) }() // ends with Close
	return nil
}

// Start starts the nodes one after the other, and the balancer.
func (w *World) Start(ctx context.Context) error {
	for _, n := range w.Nodes {
		if _, err := n.Start(ctx); err != nil {
			return err
		}
	}
	if !w.Balance {
		return nil
	}
	listen := cluster.Listen{Address: strings.TrimPrefix(w.URL, "http://"), Mode: "http", Health: "/readyz"}
	for i, n := range w.Nodes {
		listen.Servers = append(listen.Servers, cluster.Backend{
			Name: fmt.Sprintf("n%d", i+1), Address: strings.TrimPrefix(n.URL, "http://"), Check: strings.TrimPrefix(n.Private(), "http://"),
		})
	}
	dir := filepath.Join(w.Dir, "balancer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("making the balancer's folder: %w", err)
	}
	var err error
	w.balancer, err = cluster.NewBalancer(ctx, dir, listen)
	return err
}

// API speaks to the nodes: through the balancer where there is one, else to
// each in turn. Administrative acts go to each node's own socket.
func (w *World) API(timeout time.Duration) *clients.API {
	var nodes []clients.Node
	for _, n := range w.Nodes {
		node := clients.Node{URL: n.URL, Admin: n.Admin()}
		if w.URL != "" {
			node.URL = w.URL
		}
		nodes = append(nodes, node)
	}
	return clients.NewAPI(timeout, nodes...)
}

// Ready asks a node whether it is ready, and gives what it says.
func (w *World) Ready(ctx context.Context, node int) (ok bool, says string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Nodes[node].Probe, nil)
	if err != nil {
		return false, err.Error()
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return false, err.Error()
	}
	defer func() { _ = res.Body.Close() }() // read as far as it goes
	body, _ := io.ReadAll(res.Body)         // what came is told
	return res.StatusCode == http.StatusOK, strings.TrimSpace(string(body))
}

// OAuthClient makes a client that may introspect every token and gives its id
// and secret.
func (w *World) OAuthClient(ctx context.Context) (id, secret string, err error) {
	var made admin.OAuthClient
	in := admin.NewOAuthClient{Name: "fault harness", Grants: []string{"client_credentials"}, IntrospectAll: true}
	if err := w.Nodes[0].Admin().Post(ctx, "/clients", in, &made); err != nil {
		return "", "", fmt.Errorf("making an OAuth client: %w", err)
	}
	return made.ID, made.Secret, nil
}

// Tails are the ends of the nodes' logs.
func (w *World) Tails() string {
	var b strings.Builder
	for i, n := range w.Nodes {
		fmt.Fprintf(&b, "-- node %d\n%s\n", i+1, n.LogTail(2000))
	}
	return b.String()
}

// Close ends everything; the folders stay.
func (w *World) Close() error {
	for _, n := range w.Nodes {
		n.Kill()
	}
	if w.balancer != nil {
		w.balancer.Close()
	}
	return w.api.Close()
}
