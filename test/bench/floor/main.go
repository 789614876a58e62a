// Command floor is what the machine allows: an HTTP server that does the least
// that a measured request must, with bare cryptography and a bare store.
//
//	floor -listen ADDR [-db FILE [-rows N] [-keys] [-cache KIB] [-log PAGES] [-fill]] [-upstream URL]
//	floor -db FILE [-rows N] [-keys] [-cache KIB] [-log PAGES] -loop 10s [-n 16] [-chains 1000]
//
// The second moves rows with no server around the store, and says how many.
// POST /fixed reads a form and answers 600 bytes. POST /mac checks one HMAC and
// makes one: a refresh that changes nothing. POST /rotate checks one, moves one
// row of a SQLite file by one conditional update, durable before the answer and
// committed in groups, and makes two: a rotating refresh. POST /rotate-es256
// adds two ES256 signatures. POST /hash computes one argon2id hash, -slots at
// once. GET /stations is an API to stand in front of;
// /proxied is that of -upstream behind a bare httputil.ReverseProxy.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	db := flag.String("db", "", "SQLite file for /rotate")
	upstream := flag.String("upstream", "", "URL behind /proxied")
	slots := flag.Int("slots", 1, "hashes at once")
	var t table
	flag.Int64Var(&t.rows, "rows", 1000, "sessions in the file")
	flag.BoolVar(&t.keys, "keys", false, "sessions have keys of 16 bytes, in an index, and not numbers")
	flag.IntVar(&t.cache, "cache", 0, "page cache, in KiB; 0 = as SQLite comes")
	flag.IntVar(&t.log, "log", 0, "pages of log before it is carried over; 0 = as SQLite comes")
	only := flag.Bool("fill", false, "make the file of sessions and end")
	length := flag.Duration("loop", 0, "move rows for so long, without a server, and end")
	n := flag.Int("n", 16, "moves at once")
	chains := flag.Int("chains", 1000, "rows that are moved")
	flag.Parse()
	if *only || *length > 0 {
		s, err := openStore(*db, t)
		if err == nil && *length > 0 {
			err = s.loop(*length, *n, *chains, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			os.Exit(1)
		}
		return
	}
	mux, err := routes(*db, t, *slots, *upstream)
	if err == nil {
		err = http.ListenAndServe(*listen, mux)
	}
	fmt.Fprintln(os.Stderr, "floor:", err)
	os.Exit(1)
}

func routes(db string, t table, slots int, upstream string) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	fixed := []byte(`{"access_token":"` + strings.Repeat("x", 580) + `"}`)
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /fixed", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() == nil {
			answer(w, fixed)
		}
	})
	slot := make(chan struct{}, slots)
	mux.HandleFunc("POST /hash", func(w http.ResponseWriter, r *http.Request) {
		slot <- struct{}{}
		argon2.IDKey([]byte(r.PostFormValue("password")), make([]byte, 16), 2, 19*1024, 1, 32)
		<-slot
		answer(w, fixed)
	})
	mux.HandleFunc("GET /stations", func(w http.ResponseWriter, _ *http.Request) { answer(w, fixed) })
	f, err := newForge()
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("POST /mac", f.refresh(func(session) error { return nil }, 1, 0))
	if db != "" {
		s, err := openStore(db, t)
		if err != nil {
			return nil, err
		}
		mux.HandleFunc("POST /rotate", f.refresh(s.move, 2, 0))
		mux.HandleFunc("POST /rotate-es256", f.refresh(s.move, 1, 2))
	}
	if upstream != "" {
		u, err := url.Parse(upstream)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /proxied", &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.URL.Path = "/stations" },
			Transport: &http.Transport{MaxIdleConnsPerHost: 256},
		})
	}
	return mux, nil
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client counts what it got
}

// session is what a token of the floor says.
type session struct{ row, gen int64 }

// forge makes and checks tokens with nothing but the primitives. A token is
// padding of the size of real claims, row and generation, and a MAC.
type forge struct {
	secret  []byte
	key     *ecdsa.PrivateKey
	padding string
}

func newForge() (*forge, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return &forge{secret, key, strings.Repeat("claims--", 35)}, err
}

func (f *forge) mac(text string) []byte {
	m := hmac.New(sha256.New, f.secret)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (f *forge) maced(s session) string {
	text := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s.%d.%d", f.padding, s.row, s.gen))
	return text + "." + base64.RawURLEncoding.EncodeToString(f.mac(text))
}

func (f *forge) signed(s session) (string, error) {
	text := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s.%d.%d", f.padding, s.row, s.gen))
	sum := sha256.Sum256([]byte(text))
	sig, err := f.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), err
}

var errToken = errors.New("not a token of mine")

// open reads a token; "new.N" is the first one of row N.
func (f *forge) open(token string) (s session, err error) {
	text, sig, ok := strings.Cut(token, ".")
	if text == "new" {
		s.row, err = strconv.ParseInt(sig, 10, 64)
		return s, err
	}
	mac, err := base64.RawURLEncoding.DecodeString(sig)
	if !ok || err != nil || !hmac.Equal(mac, f.mac(text)) {
		return s, errToken
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return s, errToken
	}
	parts := bytes.Split(raw, []byte{'.'})
	if len(parts) != 3 {
		return s, errToken
	}
	s.row, _ = strconv.ParseInt(string(parts[1]), 10, 64) // we wrote them
	s.gen, _ = strconv.ParseInt(string(parts[2]), 10, 64)
	return s, nil
}

// refresh checks the token, moves the session, and makes tokens anew: with
// macs 2 an access and a refresh token, with signatures as many beside.
func (f *forge) refresh(move func(session) error, macs, signatures int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := f.open(r.PostFormValue("refresh_token"))
		if err == nil {
			err = move(s)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.gen++
		out := []byte(`{"refresh_token":"` + f.maced(s) + `"`)
		for range macs - 1 {
			out = append(out, `,"access_token":"`+f.maced(s)+`"`...)
		}
		for i := range signatures {
			tok, err := f.signed(s)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			out = fmt.Appendf(out, `,"signed_%d":"%s"`, i, tok)
		}
		answer(w, append(out, '}'))
	}
}
