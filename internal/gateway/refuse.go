package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// refuse finds the words for an error: the rule's; else those of the mount of
// a token whose signature verified (an expired one counts); else those of the
// mount that covers host and path; else the gateway's own.
func (g *Gateway) refuse(host, path string, r *rule, err error) *refusal {
	w, _ := g.wordsFor(host, path, r, err)
	return &refusal{err: err, words: w}
}

// wordsFor also names the mount; "" for the gateway's own words.
func (g *Gateway) wordsFor(host, path string, r *rule, err error) (w Words, mount string) {
	if r != nil && r.words != nil {
		return r.words.Words, r.words.ID
	}
	var e *core.Error
	if errors.As(err, &e) && e.Principal != nil {
		if o := g.cfg.OAuth; o != nil && o.ID == e.Principal.Mount {
			return o.Words, o.ID
		}
		for i := range g.cfg.Mounts {
			if g.cfg.Mounts[i].ID == e.Principal.Mount {
				return g.cfg.Mounts[i].Words, g.cfg.Mounts[i].ID
			}
		}
	}
	mounts, byPath := g.covering(host, path)
	if byPath {
		// Several contracts on one prefix cover it alike: then the operator's
		// choice goes first.
		alone := len(mounts) == 1 || mounts[0].Prefix != mounts[1].Prefix || mounts[0].Host != mounts[1].Host
		if alone || g.cfg.Words == nil {
			return mounts[0].Words, mounts[0].ID
		}
	}
	if g.cfg.Words != nil {
		return g.cfg.Words, ""
	}
	return g.cfg.Mounts[0].Words, g.cfg.Mounts[0].ID
}

// render gives the refusal's answer, with what every refusal has.
func (f *refusal) render(r *http.Request) Refusal {
	a := f.words.RenderRefusal(r, f.err)
	if a.Header == nil {
		a.Header = http.Header{}
	}
	if a.Status < 400 || a.Status > 599 {
		a.Status = http.StatusInternalServerError // a refusal must never look like success
	}
	if a.Header.Get("Retry-After") == "" && (a.Status == http.StatusServiceUnavailable || a.Status == http.StatusTooManyRequests) {
		a.Header.Set("Retry-After", retryAfter(f.err))
	}
	httpd.NoStore(a.Header)
	return a
}

func retryAfter(err error) string {
	var e *core.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return strconv.FormatInt((e.RetryAfter+999)/1000, 10)
	}
	return "5"
}

func (a *Refusal) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may be gone; nobody is left to tell
}

// reason is what the log may know of a refusal.
func reason(err error) string {
	var e *core.Error
	if errors.As(err, &e) && e.Reason != "" {
		return e.Reason
	}
	return string(core.CodeOf(err))
}

// minuteLog lets one line a minute through.
type minuteLog struct{ last atomic.Int64 }

func (m *minuteLog) due(now int64) bool {
	last := m.last.Load()
	return (last == 0 || now-last >= 60_000 || now < last) && m.last.CompareAndSwap(last, now)
}
