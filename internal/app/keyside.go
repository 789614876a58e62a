package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/keyring"
	"github.com/sallyport/sallyport/internal/token"
)

// The keys are served with a max-age in between, so that verifiers that
// started together do not come back together. keys.publish_ahead is at least
// twice the most.
const (
	jwksMostAge  = 300 // seconds
	jwksLeastAge = 240
)

// jwks serves the public keys (RFC 7517 section 5).
func (f *front) jwks(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if !allowGet(w, r) {
		return
	}
	doc, etag := f.app.engine.keys.Served()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", jwksAge()))
	h.Set("ETag", etag)
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(doc) // a client that went away has nobody to tell
}

func jwksAge() int {
	var b [1]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it aborts the process instead
	return jwksLeastAge + int(b[0])%(jwksMostAge-jwksLeastAge+1)
}

// matches says whether If-None-Match names the tag (RFC 9110 section 13.1.2,
// weak comparison: caches and compressing proxies weaken tags).
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
				return true
			}
		}
	}
	return false
}

// followKeys takes the signing keys on once a minute: what is due is done. What
// another process changed is read then, or when another node tells of it. News
// that could not be read is not told again, so it is read as soon as that goes.
func (a *App) followKeys(ctx context.Context) {
	tick, poll := time.NewTicker(time.Minute), time.NewTicker(pollKeys)
	defer tick.Stop()
	defer poll.Stop()
	behind := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-a.engine.keyNews():
			err = a.engine.keys.Reload(ctx)
		case <-poll.C:
			if !behind && !a.engine.keys.Behind() && !a.engine.keysUnheard() {
				continue
			}
			err = a.engine.keys.Reload(ctx)
		case <-tick.C:
			err = a.engine.tickKeys(ctx, a.cfg.Keys.RotateEvery)
		}
		if err != nil && !behind && ctx.Err() == nil {
			a.opts.Logger.Error("the signing keys could not be taken on; it is tried again until they can", "err", err)
		}
		behind = err != nil
	}
}

// tickKeys does what is due, if it is this node's turn. While the clock is in
// doubt nothing is.
func (e *engine) tickKeys(ctx context.Context, every time.Duration) error {
	if e.service.ClockInDoubt() || !e.takesKeysOn(ctx) {
		return e.keys.Reload(ctx)
	}
	return e.keys.Tick(ctx, &keyring.Plan{RotateEveryMS: every.Milliseconds(), KeepMS: e.service.KeepKeyMS})
}

// keySide implements admin.Keys.
type keySide struct{ e *engine }

var _ admin.Keys = keySide{}

// ListKeys implements admin.Keys.
func (k keySide) ListKeys(context.Context) []keyring.KeyInfo { return k.e.keys.List() }

// PublicKey implements admin.Keys.
func (k keySide) PublicKey(_ context.Context, id string) []byte { return k.e.keys.PublicJWK(id) }

// JWKS implements admin.Keys.
func (k keySide) JWKS(context.Context) []byte { return k.e.keys.JWKS() }

// RotateKey implements admin.Keys.
func (k keySide) RotateKey(ctx context.Context, actor core.Actor, set core.KeySet, now bool) (*keyring.Rotation, error) {
	if now {
		return k.e.keys.RotateNow(ctx, set, actor.Name)
	}
	if k.e.service.ClockInDoubt() {
		// A key that waits might seem due, and one published now be due too soon.
		return nil, core.Errorf(core.Conflict, "the clock is in doubt, so nobody knows when a new key may sign; say `sallyport clock confirm` when it is right, or give --now")
	}
	return k.e.keys.Rotate(ctx, set, actor.Name)
}

// KeyEnds implements admin.Keys.
func (k keySide) KeyEnds(ctx context.Context, id string) (*core.KeyEnds, error) {
	info, ok := k.e.keys.Inspect(id)
	if !ok {
		return nil, core.Errorf(core.NotFound, "there is no signing key %s; `sallyport key list` shows those there are", id)
	}
	return k.e.service.KeyEnds(ctx, &info)
}

// DropKey implements admin.Keys. Dropping the active key is an emergency: a new
// one takes its place at once, the old one is gone, and everything that was
// opened before ends. It ends first as well as last: whoever holds the key may
// open sessions until it is gone, and a server that dies in between must not
// leave those of before alive.
func (k keySide) DropKey(ctx context.Context, actor core.Actor, id string) (replaced string, err error) {
	ends, err := k.KeyEnds(ctx, id)
	if err != nil {
		return "", err
	}
	end := func() error {
		if !ends.Everything {
			return nil
		}
		return k.e.service.EndEverythingBefore(ctx, actor, id)
	}
	// A restored store has the key again; the journal says that it must go.
	if err := k.e.service.NoteKeyDropped(ctx, id); err != nil {
		return "", err
	}
	if info, _ := k.e.keys.Inspect(id); info.State == core.KeyActive {
		if info.Class == core.SharedKey {
			return "", core.Errorf(core.Conflict, "others hold the secret %s; import the secret that replaces it, then drop this one", id)
		}
		if err := end(); err != nil {
			return "", err
		}
		if replaced, err = k.e.keys.Replace(ctx, id, actor.Name); err != nil {
			return "", err
		}
	}
	if err := k.e.keys.Drop(ctx, id, actor.Name); err != nil {
		return replaced, err
	}
	return replaced, end()
}

// ImportKey implements admin.Keys.
func (k keySide) ImportKey(ctx context.Context, actor core.Actor, set core.KeySet, secret []byte, weakUntil int64) (string, error) {
	var m *mounted
	for _, one := range k.e.mounts {
		if one.core.ID == set.Mount {
			m = one
		}
	}
	if m == nil {
		return "", core.Errorf(core.NotFound, "there is no mount %q", set.Mount)
	}
	if spec := m.core.Policy.Spec(set.Kind); spec == nil || spec.Algorithm != token.HS256 {
		return "", core.Errorf(core.Conflict, "the contract %s does not sign %s tokens with HS256, so a shared secret cannot sign them", m.core.Contract, set.Kind)
	}
	return k.e.keys.ImportShared(ctx, set, secret, keyring.ImportOptions{WeakUntil: weakUntil, Actor: actor.Name})
}

// Rewrap implements admin.Keys.
func (k keySide) Rewrap(ctx context.Context, actor core.Actor, file string) (was, is string, err error) {
	if !filepath.IsAbs(file) {
		return "", "", core.Errorf(core.FieldInvalid, "the file of the new master key is to be an absolute path")
	}
	master, err := keyring.LoadMaster(keyring.Source{File: file})
	if err != nil {
		return "", "", core.Errorf(core.FieldInvalid, "%s", err)
	}
	was = k.e.keys.MasterID()
	if err := k.e.keys.Rewrap(ctx, master, actor.Name); err != nil {
		var e *core.Error
		if errors.As(err, &e) {
			return "", "", err
		}
		return "", "", fmt.Errorf("changing the master key: %w", err)
	}
	return was, master.ID(), nil
}
