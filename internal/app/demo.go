package app

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/httpd"
)

// demoUpstream is the API that serve --dev protects: something to call with a
// token, on a loopback port of its own. It trusts the identity headers, as a
// real API behind the gateway would.
type demoUpstream struct {
	ln     net.Listener
	server *http.Server
}

type station struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
}

func startDemoUpstream(cfg *config.Config) (*demoUpstream, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := cfg.Gateway.IdentityHeaders
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/stations", func(w http.ResponseWriter, r *http.Request) {
		_ = httpd.WriteJSON(w, http.StatusOK, map[string]any{
			"stations": []station{{"st-1", "Inbound", "open"}, {"st-2", "Picking", "open"}, {"st-3", "Packing", "closed"}},
			"asked_by": r.Header.Get(h.User),
		})
	})
	mux.HandleFunc("/api/whoami", func(w http.ResponseWriter, r *http.Request) {
		_ = httpd.WriteJSON(w, http.StatusOK, map[string]any{
			"user": r.Header.Get(h.User), "user_id": r.Header.Get(h.UserID), "account": r.Header.Get(h.Account),
			"type": r.Header.Get(h.Type), "roles": strings.Fields(r.Header.Get(h.Roles)), "session": r.Header.Get(h.Session),
		})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_ = httpd.WriteJSON(w, http.StatusNotFound, map[string]any{"error": "the demo API has GET /api/stations and /api/whoami"})
	})
	d := &demoUpstream{ln: ln, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = d.server.Serve(ln) }() // ends with Close, with an error that says so
	return d, nil
}

func (d *demoUpstream) url() string { return "http://" + d.ln.Addr().String() }

func (d *demoUpstream) close() { _ = d.server.Close() }
