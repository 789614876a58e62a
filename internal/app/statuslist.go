package app

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Token status lists (draft-ietf-oauth-status-list-21): one bit for each
// session and application token, in signed lists that any verifier may fetch
// and keep for a moment, whatever language it is written in. A list tells how
// many there are and how many are over, and of whom nothing, so it is public,
// as the draft presumes.
//
// From a revocation to the refusal: listAge here, listTTL at the reader, one
// second in a proxy between; in sum below the five seconds we promise.
const (
	listType = "statuslist+jwt"
	listLife = 30 // seconds from iat to exp: how long anyone can hold an answer back
	listTTL  = 2  // seconds that a reader keeps one
	listAge  = time.Second
	// listSlowest is how old a list may become that is expensive to build: a
	// list is not built for more than a twentieth of the time.
	listSlowest = 2 * time.Second
	listShare   = 20
	// listResign is how old a signature may be before an unchanged list gets
	// another: who fetches shall have most of listLife before him.
	listResign = 5 // seconds
	listsKept  = 512
	// indexAge is how long the list of lists is kept.
	indexAge = 10 * time.Second
)

// statusSource is core.Service.
type statusSource interface {
	StatusList(ctx context.Context, q core.StatusQuery) (*core.StatusList, error)
	StatusLists(ctx context.Context) ([]string, error)
	Issuer() string
	Issuers() []string
}

// documentSigner is keyring.Keyring.
type documentSigner interface {
	SignDocument(set core.KeySet, typ string, payload []byte) (string, error)
}

// statusLists serves them. What strangers ask for costs no more than one look
// into an index, whatever they ask for and how often.
type statusLists struct {
	service statusSource
	keys    documentSigner
	now     func() int64
	steady  func() int64 // milliseconds of a clock that nobody sets

	mu    sync.Mutex
	lists map[listID]*servedList
	index servedIndex
}

type listID struct {
	issuer string
	space  core.StatusSpace
	list   int64
}

// servedList is one list as it was last built. Its lock makes one request look
// and the others wait for what it finds.
type servedList struct {
	mu      sync.Mutex
	version int64
	packed  string // the compressed bits
	doc     string // the signed token
	tag     string
	signed  int64 // its iat
	next    int64 // steady time of the next look
	used    int64 // steady time of the last request; guarded by statusLists.mu
}

type servedIndex struct {
	mu   sync.Mutex
	body []byte
	next int64
}

func newStatusLists(e *engine) *statusLists {
	return &statusLists{service: e.service, keys: e.keys, now: e.now, steady: steadyClock(), lists: map[listID]*servedList{}}
}

// ownsStatusLists reports whether a path is one of these.
func ownsStatusLists(path string) bool {
	return path == core.StatusListsPath || strings.HasPrefix(path, core.StatusListsPath+"/")
}

func (s *statusLists) handler() http.Handler { return httpd.Wrap(s.serve, refuseStatusList) }

// refuseStatusList answers in RFC 9457's words.
func refuseStatusList(w http.ResponseWriter, _ *http.Request, err error) {
	status, detail := http.StatusInternalServerError, "this is a defect of ours"
	switch code := core.CodeOf(err); {
	case code == core.NotFound:
		status, detail = http.StatusNotFound, err.Error()
	case code.Is(core.Unavailable):
		status, detail = http.StatusServiceUnavailable, "the status cannot be told now; try again shortly"
		w.Header().Set("Retry-After", "1")
	}
	httpd.WriteProblem(w, status, "", "", detail, nil)
}

func (s *statusLists) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if !allowGet(w, r) {
		return nil
	}
	if r.URL.Path == core.StatusListsPath {
		return s.serveIndex(w, r)
	}
	space, list, ok := core.ParseStatusList(strings.TrimPrefix(r.URL.Path, core.StatusListsPath+"/"))
	switch {
	case !ok:
		return core.Errorf(core.NotFound, "there is no such status list")
	case r.URL.Query().Has("time"):
		// Section 8.4 (historical resolution) asks for this status.
		httpd.WriteProblem(w, http.StatusNotImplemented, "", "", "only the status of now is told", nil)
		return nil
	case !accepts(r.Header.Values("Accept"), "application/"+listType):
		httpd.WriteProblem(w, http.StatusNotAcceptable, "", "", "this is application/"+listType, nil)
		return nil
	}
	doc, tag, err := s.get(r, listID{s.issuerFor(r.Host), space, list})
	if err != nil {
		return err
	}
	h.Set("Cache-Control", "public, max-age=1")
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/"+listType)
	_, _ = w.Write([]byte(doc)) // a client that went away has nobody to tell
	return nil
}

// accepts reports whether a media type is among those that a client takes; no
// header takes all. Weights are not compared: there is one form.
func accepts(fields []string, media string) bool {
	group, _, _ := strings.Cut(media, "/")
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			one, _, _ = strings.Cut(one, ";")
			if one = strings.ToLower(strings.TrimSpace(one)); one == media || one == "*/*" || one == group+"/*" {
				return true
			}
		}
	}
	return len(fields) == 0
}

// issuerFor is the issuer whose tokens name a list under this host: a token
// says for ever what the issuer was when it was made, and the sub of the list
// must be the same text.
func (s *statusLists) issuerFor(host string) string {
	issuer := s.service.Issuer()
	for _, one := range append([]string{issuer}, s.service.Issuers()...) {
		if u, err := url.Parse(one); err == nil && strings.EqualFold(u.Host, host) {
			return one
		}
	}
	return issuer
}

// get gives a list that is no older than listAge, or twice that if it is
// expensive.
func (s *statusLists) get(r *http.Request, id listID) (doc, tag string, err error) {
	l := s.entry(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	began := s.steady()
	if l.doc != "" && began < l.next {
		return l.doc, l.tag, nil
	}
	found, err := s.service.StatusList(r.Context(), core.StatusQuery{Space: id.space, List: id.list, Known: l.version})
	if err != nil {
		if l.doc == "" {
			s.drop(id, l)
		}
		return "", "", err
	}
	now := s.now() / 1000
	changed := found.Dead != nil
	if changed {
		if l.packed, err = pack(found.Dead); err != nil {
			return "", "", err
		}
		l.version = found.Version
	}
	if changed || now-l.signed >= listResign || now < l.signed {
		if err := s.sign(id, l, now); err != nil {
			return "", "", err
		}
	}
	took := s.steady() - began
	l.next = began + min(max(listAge.Milliseconds(), listShare*took), listSlowest.Milliseconds())
	return l.doc, l.tag, nil
}

// entry finds or makes the place of a list. When there are too many, those
// asked for longest ago go.
func (s *statusLists) entry(id listID) *servedList {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[id]
	if l == nil {
		if len(s.lists) >= listsKept {
			s.forget()
		}
		l = &servedList{}
		s.lists[id] = l
	}
	l.used = s.steady()
	return l
}

func (s *statusLists) forget() {
	var oldest listID
	at := int64(-1)
	for id, l := range s.lists {
		if at < 0 || l.used < at {
			oldest, at = id, l.used
		}
	}
	delete(s.lists, oldest)
}

// drop forgets a list that turned out not to be there.
func (s *statusLists) drop(id listID, l *servedList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists[id] == l {
		delete(s.lists, id)
	}
}

// pack compresses the bits as section 4.1 says.
func pack(bits []byte) (string, error) {
	var buf bytes.Buffer
	z, err := zlib.NewWriterLevel(&buf, zlib.BestCompression)
	if err == nil {
		_, err = z.Write(bits)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return "", &core.Error{Code: core.Internal, Reason: "compressing a status list", Err: err}
	}
	return base64.RawURLEncoding.EncodeToString(buf.Bytes()), nil
}

// listAnswer is the payload (section 5.1).
type listAnswer struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	TTL      int      `json:"ttl"`
	List     listBits `json:"status_list"`
}

type listBits struct {
	Bits        int    `json:"bits"`
	List        string `json:"lst"`
	Aggregation string `json:"aggregation_uri"`
}

func (s *statusLists) sign(id listID, l *servedList, now int64) error {
	payload, err := json.Marshal(listAnswer{
		Issuer: s.service.Issuer(), Subject: core.StatusListURI(id.issuer, id.space, id.list),
		IssuedAt: now, Expires: now + listLife, TTL: listTTL,
		List: listBits{Bits: 1, List: l.packed, Aggregation: strings.TrimSuffix(id.issuer, "/") + core.StatusListsPath},
	})
	if err != nil {
		return &core.Error{Code: core.Internal, Reason: "status list", Err: err}
	}
	doc, err := s.keys.SignDocument(core.FeedKeys(), listType, payload)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(doc))
	l.doc, l.signed, l.tag = doc, now, `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`
	return nil
}

// serveIndex tells which lists there are (section 9, status list aggregation).
func (s *statusLists) serveIndex(w http.ResponseWriter, r *http.Request) error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := s.steady(); x.body == nil || now >= x.next {
		uris, err := s.service.StatusLists(r.Context())
		if err != nil {
			return err
		}
		if uris == nil {
			uris = []string{}
		}
		body, err := json.Marshal(map[string][]string{"status_lists": uris})
		if err != nil {
			return &core.Error{Code: core.Internal, Reason: "index of status lists", Err: err}
		}
		x.body, x.next = body, now+indexAge.Milliseconds()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=10")
	_, _ = w.Write(x.body) // a client that went away has nobody to tell
	return nil
}
