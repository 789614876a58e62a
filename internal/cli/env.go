package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/config"
)

// env is what a command has of the world.
type env struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
	environ  []string
	now      func() time.Time
	rt       runtime

	global   Global
	settings config.Flags
	json     bool
	closers  []func() error
}

// socketName is the administration socket within the data directory.
const socketName = "admin.sock"

func (e *env) close() error {
	var errs []error
	for _, c := range e.closers {
		errs = append(errs, c())
	}
	e.closers = nil
	return errors.Join(errs...)
}

// getenv reads a variable of the given environment.
func (e *env) getenv(name string) string {
	for _, v := range e.environ {
		if val, ok := strings.CutPrefix(v, name+"="); ok {
			return val
		}
	}
	return ""
}

// loadConfig reads the configuration as serve would.
func (e *env) loadConfig() (*config.Config, error) {
	flags := config.Flags{}
	for name, v := range e.settings {
		flags[name] = v
	}
	if e.global.Data != "" {
		flags["data"] = []string{e.global.Data}
	}
	environ := e.environ
	if environ == nil {
		environ = []string{} // nil would mean the process's own
	}
	return config.Load(config.Options{File: e.global.Config, Environ: environ, Flags: flags})
}

// again gives the flags that lead another command to the same installation,
// with a blank before them; "" when none were given.
func (e *env) again() string {
	s := ""
	if e.global.Data != "" {
		s += " --data " + shellWord(e.global.Data)
	}
	if e.global.Config != "" {
		s += " --config " + shellWord(e.global.Config)
	}
	return s
}

// connect gives a client of the installation in the data directory.
func (e *env) connect() (*admin.Client, error) {
	cfg, cfgErr := e.loadConfig()
	data := e.global.Data
	if cfgErr == nil {
		data = cfg.Data
	} else if data == "" {
		return nil, cfgErr
	}
	// With the directory named, a running server can be reached whatever is
	// wrong with the configuration: an operator who must disable a user now
	// should not have to mend a file first.
	fi, err := os.Stat(data)
	switch {
	case cfgErr == nil && cfg.Store != "" && errors.Is(err, fs.ErrNotExist): // what counts is elsewhere
	case errors.Is(err, fs.ErrNotExist), err == nil && !fi.IsDir():
		return nil, fmt.Errorf("no Sallyport data in %s. `sallyport serve` creates it, or give --data", shown(data))
	case err != nil:
		return nil, fmt.Errorf("the data directory cannot be read: %w", err)
	}
	deadline := e.now().Add(waitForData)
	for {
		client, err := e.connectOnce(data, cfg, cfgErr)
		if err == nil || !e.rt.inUse(err) || e.now().After(deadline) {
			return client, err
		}
		// A server that is just starting, or another command: either is over
		// soon.
		select {
		case <-e.ctx.Done():
			return nil, err
		case <-time.After(waitStep):
		}
	}
}

// How long a command waits for another that holds the data directory.
const (
	waitForData = 3 * time.Second
	waitStep    = 50 * time.Millisecond
)

func (e *env) connectOnce(data string, cfg *config.Config, cfgErr error) (*admin.Client, error) {
	client := admin.NewSocketClient(filepath.Join(data, socketName))
	err := client.Ping(e.ctx)
	if err == nil {
		return client, nil
	}
	if !noServer(err) {
		return nil, err
	}
	if cfgErr != nil {
		return nil, cfgErr
	}
	h, closer, err := e.rt.offline(e.ctx, e, cfg)
	if err != nil {
		return nil, err
	}
	e.closers = append(e.closers, closer)
	return admin.NewHandlerClient(h), nil
}

// noServer says whether err means that nobody listens on the socket: it is
// not there, or a killed server left it behind.
func noServer(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// shown is a path as a person finds it again.
func shown(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
