package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/test/sut"
)

// rightPassword is everybody's.
const rightPassword = "nine quiet herons by the weir"

// stand is a server under attack. It believes its peer (this process) about
// client addresses, so that one machine can be many networks.
type stand struct {
	progress   io.Writer
	began      time.Time
	slots      int
	gomaxprocs string
	args       func() []string // of the server, beside the usual ones; nil for none

	dir    string
	server *sut.Server
	hash   string // of rightPassword
}

func (s *stand) say(format string, args ...any) {
	fmt.Fprintf(s.progress, "\r\x1b[K%4.0fs  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// measure builds and starts a server, runs the measurement and ends it.
func (s *stand) measure(ctx context.Context, run func(context.Context) (report, error)) (_ report, err error) {
	if s.dir, err = os.MkdirTemp("", "sallyport-guess-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	s.say("building the server")
	binary, err := sut.Build(ctx, s.dir, "cmd/sallyport")
	if err != nil {
		return nil, err
	}
	args := []string{"--trusted-proxies", "127.0.0.1"}
	if s.args != nil {
		args = append(args, s.args()...)
	}
	if s.slots > 0 {
		args = append(args, "--password-slots", strconv.Itoa(s.slots))
	}
	if s.server, err = sut.NewServer(binary, s.dir, args...); err != nil {
		return nil, err
	}
	if s.gomaxprocs != "" {
		s.server.Env = append(s.server.Env, "GOMAXPROCS="+s.gomaxprocs)
	}
	s.say("starting it")
	defer s.server.Kill()
	if _, err := s.server.Start(ctx); err != nil {
		return nil, err
	}
	h, err := password.New(password.Config{})
	if err != nil {
		return nil, err
	}
	if s.hash, err = h.Hash(ctx, password.Lane{}, rightPassword); err != nil {
		return nil, err
	}
	rep, err := run(ctx)
	if err == nil && !s.server.Alive() {
		err = fmt.Errorf("the server ended; its log: %s", s.server.LogTail(2000))
	}
	s.say("done\n")
	return rep, err
}

// addUser makes a user of the default account, with the usual password unless
// a hash is given, and returns its id.
func (s *stand) addUser(ctx context.Context, name, typ, hash string) (string, error) {
	if hash == "" {
		hash = s.hash
	}
	var u admin.User
	err := s.server.Admin().Post(ctx, "/users", admin.NewUser{Username: name, Type: typ, PasswordHash: hash}, &u)
	if err != nil {
		return "", fmt.Errorf("adding %s: %w", name, err)
	}
	return u.ID, nil
}

func (s *stand) address() string {
	u, err := url.Parse(s.server.URL)
	if err != nil {
		return "" // made by sut; dialling it fails at once
	}
	return u.Host
}

// logSize is how much the server has written to its log, in bytes.
func (s *stand) logSize() int64 {
	fi, err := os.Stat(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return 0
	}
	return fi.Size()
}

// login is the raw request of a login with one of the contracts.
func login(contract, name, pw, from string) []byte {
	path, asJSON := loginPath(contract)
	if asJSON {
		return post(path, "application/json", fmt.Sprintf(`{"username":%q,"password":%q}`, name, pw), "X-Forwarded-For: "+from)
	}
	return post(path, "application/x-www-form-urlencoded", url.Values{"username": {name}, "password": {pw}}.Encode(), "X-Forwarded-For: "+from)
}

// malformed is one without a password.
func malformed(contract, name, from string) []byte {
	path, asJSON := loginPath(contract)
	if asJSON {
		return post(path, "application/json", fmt.Sprintf(`{"username":%q}`, name), "X-Forwarded-For: "+from)
	}
	return post(path, "application/x-www-form-urlencoded", url.Values{"username": {name}}.Encode(), "X-Forwarded-For: "+from)
}

func loginPath(contract string) (path string, asJSON bool) {
	switch contract {
	case "pathstack":
		return "/token", true
	case "itempath":
		return "/api/users/login", true
	}
	return "/api/auth/bearer/token", false
}

// post is the raw request of a POST; headers are whole lines.
func post(path, media, body string, headers ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: guess\r\nContent-Type: %s\r\nContent-Length: %d\r\n", path, media, len(body))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return []byte(b.String())
}

var contracts = []string{"pathstack", "itempath", "netography"}
