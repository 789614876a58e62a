package verifytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

const mostWait = 25 // seconds

// ServeHTTP answers for keys, feed and status lists.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	down := i.down
	i.mu.Unlock()
	switch {
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case r.URL.Path == "/.well-known/jwks.json":
		i.serveKeys(w, r)
	case r.URL.Path == "/_sallyport/revocations":
		i.serveFeed(w, r)
	case strings.HasPrefix(r.URL.Path, pathLists):
		i.serveList(w, r)
	default:
		http.NotFound(w, r)
	}
}

// JWKS returns the published keys as a JWK Set.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all [][]byte
	for _, k := range i.keys {
		all = append(all, k.jwk)
	}
	return fmt.Appendf(nil, `{"keys":[%s]}`, bytes.Join(all, []byte{','}))
}

func (i *Issuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.fetches++
	i.mu.Unlock()
	body := i.JWKS()
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(i.opts.MaxAge/time.Second)))
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(body)
}

// fact is a revocation as the feed has it.
type fact struct {
	Number  int64  `json:"n"`
	Kind    string `json:"k"`
	Subject string `json:"s,omitempty"`
	Spare   string `json:"x,omitempty"`
	Purge   int64  `json:"p"`
}

const factLife = 48 * time.Hour

// LastRevocation is the number of the last revocation.
func (i *Issuer) LastRevocation() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}

// serveFeed answers at once when it has news, else when it has some or the time is up.
func (i *Issuer) serveFeed(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != i.authorization {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "authorization needed", http.StatusUnauthorized)
		return
	}
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	log := r.URL.Query().Get("log")
	wait, err2 := strconv.Atoi(r.URL.Query().Get("wait"))
	if err != nil || err2 != nil || since < 0 || wait < 0 {
		http.Error(w, "since and wait must be numbers", http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	i.polls++
	i.mu.Unlock()
	timer := time.NewTimer(time.Duration(min(wait, mostWait)) * time.Second)
	defer timer.Stop()
	for expired := wait == 0; ; {
		body, news, changed := i.answer(since, log)
		if body == "" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if news || expired {
			w.Header().Set("Content-Type", "application/revocations+jwt")
			w.Header().Set("Cache-Control", "no-store")
			_, _ = w.Write([]byte(body))
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			expired = true
		case <-r.Context().Done():
			return
		}
	}
}

// answer signs what there is above since, "" when the issuer is down.
func (i *Issuer) answer(since int64, log string) (body string, news bool, changed chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return "", false, nil
	}
	restart := log != "" && log != i.log
	if restart {
		since = 0
	}
	list := []fact{}
	last, more := i.last, false
	for _, f := range i.facts {
		if f.Number <= since {
			continue
		}
		if len(list) == i.opts.PageSize {
			last, more = list[len(list)-1].Number, true
			break
		}
		list = append(list, f)
	}
	now := i.now.Unix()
	payload, err := json.Marshal(map[string]any{
		"iss": i.url, "iat": now, "exp": now + 30, "log": i.log, "since": since, "last": last, "full": since == 0, "more": more, "facts": list,
	})
	if err == nil {
		body, err = token.SignDocument(i.active().key, "revocations+jwt", payload)
	}
	if err != nil {
		panic(fmt.Errorf("verifytest: feed: %w", err))
	}
	return body, len(list) > 0 || i.last < since || restart, i.changed
}
