package httpd_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
)

// writePair makes a self-signed certificate with the given serial number.
func writePair(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePEM(t, certFile, "CERTIFICATE", der, serial)
	writePEM(t, keyFile, "PRIVATE KEY", keyDER, serial)
	return certFile, keyFile
}

// writePEM gives the file a time of its own, as real renewals have.
func writePEM(t *testing.T, path, kind string, der []byte, serial int64) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000+serial, 0)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// serialOf shakes hands and returns the serial number of the certificate.
func serialOf(t *testing.T, addr string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the handshake is all that matters
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTLSReload(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, 1)
	var buf bytes.Buffer
	var clock atomic.Int64
	clock.Store(time.Now().UnixMilli())
	s := start(t, httpd.Config{Public: handler(func(w http.ResponseWriter, r *http.Request) {
		if !httpd.Info(r).Secure {
			t.Error("a TLS request is not secure")
		}
		_, _ = w.Write([]byte(r.Proto)) // compared below
	}), CertFile: cert, KeyFile: key, Front: httpd.Front{
		Logger: slog.New(slog.NewTextHandler(&buf, nil)), NoAccessLog: true, Now: func() time.Time { return time.UnixMilli(clock.Load()) },
	}})
	if got := serialOf(t, s.addr()); got != 1 {
		t.Fatalf("serial %d, want 1", got)
	}
	writePair(t, dir, 2)
	if got := serialOf(t, s.addr()); got != 1 {
		t.Errorf("serial %d within the same second, want 1", got)
	}
	clock.Add(1000)
	if got := serialOf(t, s.addr()); got != 2 {
		t.Errorf("serial %d a second later, want 2", got)
	}
	writePEM(t, key, "PRIVATE KEY", []byte("half written"), 3)
	clock.Add(1000)
	if got := serialOf(t, s.addr()); got != 2 {
		t.Errorf("serial %d after a broken renewal, want 2", got)
	}
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "tls.key") {
		t.Errorf("Reload of a broken pair: %v", err)
	}
	writePair(t, dir, 4)
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	if got := serialOf(t, s.addr()); got != 4 {
		t.Errorf("serial %d after Reload, want 4", got)
	}
	p := new(http.Protocols)
	p.SetHTTP2(true)
	res, err := (&http.Client{Transport: &http.Transport{Protocols: p, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}).Get("https://" + s.addr())
	if err != nil || res.Proto != "HTTP/2.0" {
		t.Fatalf("HTTP/2 over TLS: %v", err)
	}
	_ = res.Body.Close() // the protocol is all that matters
	s.stop()
	s.wait(t)
	if !strings.Contains(buf.String(), "the old one stays") {
		t.Errorf("the broken renewal is not logged:\n%s", buf.String())
	}
}

func TestTLSRefusesOldVersionsAndHalfPairs(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), 1)
	s := start(t, httpd.Config{Public: say("ok"), CertFile: cert, KeyFile: key})
	c, err := tls.Dial("tcp", s.addr(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		_ = c.Close() // the test has failed already
		t.Error("TLS 1.1 is accepted")
	}
	for _, cfg := range []httpd.Config{{CertFile: cert}, {KeyFile: key}, {CertFile: cert, KeyFile: cert}, {CertFile: "/none", KeyFile: key}} {
		cfg.Public, cfg.Listen, cfg.Front.Logger = say(""), []string{"127.0.0.1:0"}, quiet
		if _, err := httpd.New(cfg); err == nil {
			t.Errorf("%q and %q are accepted", cfg.CertFile, cfg.KeyFile)
		}
	}
}
