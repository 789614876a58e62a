package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/test/sut"
)

const password = "nine quiet herons by the weir"

// settings of the server behind each door. Only the fronts, which come from
// 127.0.0.1, are listed; clients come from 127.0.0.2.
const settings = `
mounts: [{contract: itempath}]
gateway:
  rules:
    - {prefix: /api}
    - {prefix: /api/ops, roles: [admin]}
    - {prefix: /admin, roles: [admin]}
    - {prefix: /public, access: public}
    - {prefix: /internal, access: deny}
    - {prefix: /write, methods: [GET]}
    - {prefix: /cased}
    - {prefix: /cased/Secret, roles: [admin]}
trusted_proxies: [127.0.0.1]
forward_auth: {proxies: [127.0.0.1]}
log: {level: info, access: true}
limits: {connections_per_peer: 4096}
`

// door is a way to a backend.
type door struct {
	front, addr string
	backend     *backend
	log         string // the server's, which names each request that was asked about
}

func (d *door) name() string { return d.front + " to " + d.backend.name }

// principal is somebody who asks; header carries the token, if any.
type principal struct{ name, header string }

// stand is everything that runs: backends, one server for each, and fronts.
type stand struct {
	dir      string
	stops    []func()
	backends []*backend
	doors    []*door
	missing  []string // programs that this machine does not have
	// tokens by backend and name; a token counts at its own server alone.
	tokens map[*backend][]principal
}

func (s *stand) close() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	_ = os.RemoveAll(s.dir) // what is left lies in the folder for such things
}

// newStand starts all there is on this machine, and says what is missing.
func newStand(ctx context.Context) (_ *stand, err error) {
	s := &stand{tokens: map[*backend][]principal{}}
	if s.dir, err = os.MkdirTemp("", "sallyport-gateway-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	b, stop := goBackend()
	s.stops, s.backends = append(s.stops, stop), append(s.backends, b)
	for _, start := range []func(string) (*backend, func(), error){nodeBackend, nginxBackend} {
		b, stop, err := start(s.dir)
		if errors.Is(err, errMissing) {
			s.missing = append(s.missing, err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		s.stops, s.backends = append(s.stops, stop), append(s.backends, b)
	}
	for _, b := range s.backends {
		if err := s.guard(ctx, b); err != nil {
			return nil, fmt.Errorf("before %s: %w", b.name, err)
		}
	}
	return s, nil
}

// guard starts a server and fronts before a backend.
func (s *stand) guard(ctx context.Context, b *backend) error {
	dir := filepath.Join(s.dir, "before-"+b.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	cfg, err := config.Load(config.Options{File: file, Environ: []string{}, Flags: config.Flags{
		"data": {data}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "upstream": {"http://" + b.addr},
	}})
	if err != nil {
		return err
	}
	log := filepath.Join(dir, "log")
	lines, err := os.Create(log) // #nosec G304 -- in the folder of this run
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func() { _ = lines.Close() }) // it has been read, or nobody wants it
	a, err := app.New(ctx, cfg, app.Options{Version: "test", Stderr: lines})
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { _ = a.Run(running); close(done) }() // how it ends is not what is tested
	s.stops = append(s.stops, func() { cancel(); <-done; _ = a.Close() })
	addr := strings.TrimPrefix(a.URL(), "http://")
	s.doors = append(s.doors, &door{"built-in", addr, b, log})
	if err := s.people(ctx, b, addr, filepath.Join(data, app.AdminSocket)); err != nil {
		return err
	}
	for _, f := range []struct {
		program string
		files   []string
		args    func(dir string) []string
	}{
		{"nginx", []string{"nginx.conf", "sallyport_ask.conf", "sallyport_pass.conf"}, nginxArgs},
		{"caddy", []string{"Caddyfile"}, func(dir string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "Caddyfile")}
		}},
	} {
		err := s.front(ctx, f.program, f.files, f.args, dir, addr, b)
		if errors.Is(err, errMissing) {
			s.missing = append(s.missing, err.Error())
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// front starts a proxy on the files of docs/proxies, as they are but for the
// addresses and where it may write.
func (s *stand) front(ctx context.Context, name string, files []string, args func(string) []string, dir, sallyport string, b *backend) error {
	bin, err := program(name)
	if err != nil {
		return err
	}
	root, err := sut.Root(ctx)
	if err != nil {
		return err
	}
	addr, port, err := freePort()
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	change := strings.NewReplacer("127.0.0.1:8000", addr, "\n:8000 {", "\nhttp://:"+port+" {\n\tbind 127.0.0.1", "127.0.0.1:8080", sallyport, "127.0.0.1:3000", b.addr)
	for i, name := range files {
		text, err := os.ReadFile(filepath.Join(root, "docs", "proxies", name)) // #nosec G304 -- the project's own file
		if err != nil {
			return err
		}
		out := change.Replace(string(text))
		switch {
		case name == "Caddyfile":
			out = "{\n\tadmin off\n}\n" + out
		case i == 0:
			paths := "http {\n access_log off;\n"
			for _, p := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				paths += " " + p + "_temp_path " + dir + "/" + p + ";\n"
			}
			out = strings.Replace(out, "http {\n", paths, 1)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(out), 0o600); err != nil {
			return err
		}
	}
	stop, err := startProgram(addr, filepath.Join(dir, "log"), bin, args(dir)...)
	if err != nil {
		return err
	}
	s.stops, s.doors = append(s.stops, stop), append(s.doors, &door{name, addr, b, filepath.Join(filepath.Dir(dir), "log")})
	return nil
}

// people adds users and logs them in: an administrator, a reader, one who has
// logged out, and nobody.
func (s *stand) people(ctx context.Context, b *backend, addr, socket string) error {
	c := admin.NewSocketClient(socket)
	for _, u := range []admin.NewUser{{Username: "alice", Roles: []string{"admin"}}, {Username: "bob", Roles: []string{"reader"}}, {Username: "gone", Roles: []string{"admin"}}} {
		u.Type, u.Password = "user", password
		var out admin.User
		if err := c.Post(ctx, "/users", u, &out); err != nil {
			return fmt.Errorf("adding %s: %w", u.Username, err)
		}
		tok, err := logIn(addr, u.Username)
		if err != nil {
			return err
		}
		s.tokens[b] = append(s.tokens[b], principal{u.Username, "Authorization: Bearer " + tok + "\r\n"})
		if u.Username == "gone" {
			if err := c.Post(ctx, "/users/"+out.ID+"/disable", struct{}{}, nil); err != nil {
				return fmt.Errorf("disabling %s: %w", u.Username, err)
			}
		}
	}
	s.tokens[b] = append(s.tokens[b], principal{"", ""}, principal{"broken", "Authorization: Bearer a.b.c\r\n"})
	return nil
}

func logIn(addr, name string) (string, error) {
	body, err := json.Marshal(map[string]string{"username": name, "password": password})
	if err != nil {
		return "", err
	}
	res, err := http.Post("http://"+addr+"/api/users/login", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }() // read below
	var out struct {
		AccessToken string `json:"accessToken"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.AccessToken == "" {
		return "", fmt.Errorf("logging %s in: status %d, %w", name, res.StatusCode, err)
	}
	return out.AccessToken, nil
}

// clientAddr is where clients come from.
var clientAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
