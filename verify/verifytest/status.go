package verifytest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/sallyport/sallyport/internal/token"
)

// The status lists (draft-ietf-oauth-status-list-21), as a server has them: one bit a place.
const (
	pathLists     = "/oauth2/status-lists/"
	listSessions  = "s0"
	listTokens    = "t0"
	listPlaces    = 65536
	listLife      = 30 // seconds from iat to exp
	statusValid   = 0
	statusInvalid = 1
)

// minted is what is remembered of a token that has a place.
type minted struct {
	sub, sid, jti, client, acct string
	list                        *statusList
	idx                         int
}

// statusList is one list.
type statusList struct {
	uri  string
	next int
	bits []byte
}

func newLists(url string) map[string]*statusList {
	lists := map[string]*statusList{}
	for _, name := range []string{listSessions, listTokens} {
		lists[name] = &statusList{uri: url + pathLists + name, bits: make([]byte, listPlaces/8)}
	}
	return lists
}

// place gives a token its place: that of its session, or one of its own. mu is held.
func (i *Issuer) place(c map[string]any) {
	text := func(name string) string { s, _ := c[name].(string); return s }
	m := minted{sub: text("sub"), sid: text("sid"), jti: text("jti"), client: text("client_id"), acct: text("acct"), list: i.lists[listTokens]}
	if m.sid != "" {
		m.list = i.lists[listSessions]
	}
	m.idx = -1
	for n := range i.minted {
		if m.sid != "" && i.minted[n].sid == m.sid {
			m.idx = i.minted[n].idx
		}
	}
	if m.idx < 0 {
		m.idx = m.list.next % listPlaces
		m.list.next++
	}
	i.minted = append(i.minted, m)
	c["status"] = map[string]any{"status_list": map[string]any{"idx": m.idx, "uri": m.list.uri}}
}

// mark sets the places of tokens. mu is held.
func (i *Issuer) mark(value byte, of func(*minted) bool) {
	for n := range i.minted {
		m := &i.minted[n]
		if !of(m) {
			continue
		}
		bit := byte(1) << (m.idx % 8)
		m.list.bits[m.idx/8] &^= bit
		if value == statusInvalid {
			m.list.bits[m.idx/8] |= bit
		}
	}
}

func (i *Issuer) serveList(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.reads++
	list := i.lists[r.URL.Path[len(pathLists):]]
	body, etag := "", ""
	if list != nil {
		body = i.signList(list)
		sum := sha256.Sum256(list.bits)
		etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	}
	i.mu.Unlock()
	if list == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/statuslist+jwt")
	h.Set("Cache-Control", "public, max-age=1")
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(body))
}

// signList makes the signed list. mu is held.
func (i *Issuer) signList(list *statusList) string {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err := z.Write(list.bits)
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	var payload []byte
	if err == nil {
		now := i.now.Unix()
		payload, err = json.Marshal(map[string]any{
			"iss": i.url, "sub": list.uri, "iat": now, "exp": now + listLife, "ttl": 2,
			"status_list": map[string]any{"bits": 1, "lst": base64.RawURLEncoding.EncodeToString(packed.Bytes())},
		})
	}
	var body string
	if err == nil {
		body, err = token.SignDocument(i.active().key, "statuslist+jwt", payload)
	}
	if err != nil {
		panic(fmt.Errorf("verifytest: status list: %w", err))
	}
	return body
}
