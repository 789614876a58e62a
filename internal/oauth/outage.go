package oauth

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// outageEvery is how often requests that the store left unanswered are told of,
// in milliseconds. Each is a 503 in the access log anyhow, and a disk that has
// filled, or a database that has gone, must not fill the log.
const outageEvery = 1000

// outages counts the lines that were left out.
type outages struct {
	mu   sync.Mutex
	last int64
	left int
}

// due says whether a line is due at now, and how many were left out since the
// last.
func (o *outages) due(now int64) (left int, due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last != 0 && now-o.last < outageEvery && now >= o.last {
		o.left++
		return 0, false
	}
	left, o.last, o.left = o.left, now, 0
	return left, true
}

// failed logs why a request got an answer of class 5xx. What is not known to
// pass is always told of.
func (h *Handler) failed(r *http.Request, what string, err error) {
	attrs := []any{"err", err, "request_id", httpd.Info(r).ID}
	if core.CodeOf(err).Is(core.Unavailable) {
		if errors.Is(r.Context().Err(), context.Canceled) {
			return // whoever breaks off requests must not take the lines of others
		}
		left, due := h.outages.due(h.cfg.Now())
		if !due {
			return
		}
		if left > 0 {
			attrs = append(attrs, "others_since", left)
		}
	}
	h.log.Error(what, attrs...)
}
