package httpd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certSource serves a certificate from two files and follows their changes. A
// renewal that is broken or half written never takes the listener down: the
// certificate in use stays until a good pair is there.
type certSource struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu        sync.Mutex
	cert      *tls.Certificate
	stamp     fileStamp // of the files last tried, good or not
	lastCheck time.Time
}

// fileStamp tells one version of the pair from the next.
type fileStamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// newCertSource loads the pair; the first load must succeed.
func newCertSource(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certSource, error) {
	s := &certSource{certFile: certFile, keyFile: keyFile, log: log, now: now}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// config is the TLS configuration of the public listener: TLS 1.2 or newer,
// and Go's own choice of suites, which holds no weak one.
func (s *certSource) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.getCertificate}
}

// getCertificate looks at the files at most once a second; handshakes are
// frequent, renewals are not.
func (s *certSource) getCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.lastCheck) >= time.Second || now.Before(s.lastCheck) {
		s.lastCheck = now
		if st, err := s.stat(); err == nil && st != s.stamp {
			_ = s.loadLocked(st) // logged there; the handshake goes on with the old one
		}
	}
	return s.cert, nil
}

// reload reads the files now, as SIGHUP asks, and returns what was wrong.
func (s *certSource) reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stat()
	if err != nil {
		return err
	}
	return s.loadLocked(st)
}

// loadLocked takes the stamp before it reads, so that a change in between is
// seen as a change at the next look.
func (s *certSource) loadLocked(st fileStamp) error {
	s.stamp = st
	cert, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err == nil && cert.Leaf == nil {
		err = errors.New("the file holds no certificate")
	}
	if err != nil {
		err = fmt.Errorf("tls certificate %s with key %s: %w", s.certFile, s.keyFile, err)
		if s.cert != nil {
			s.log.Error("the new TLS certificate cannot be used, the old one stays", "error", err)
		}
		return err
	}
	s.cert = &cert
	s.announce(cert.Leaf)
	return nil
}

func (s *certSource) announce(leaf *x509.Certificate) {
	args := []any{"file", s.certFile, "names", leaf.DNSNames, "not_after", leaf.NotAfter.UTC()}
	if s.now().After(leaf.NotAfter) {
		s.log.Warn("TLS certificate loaded, but it has expired: clients will refuse it", args...)
		return
	}
	s.log.Info("TLS certificate loaded", args...)
}

func (s *certSource) stat() (fileStamp, error) {
	c, err := os.Stat(s.certFile)
	if err != nil {
		return fileStamp{}, fmt.Errorf("tls certificate: %w", err)
	}
	k, err := os.Stat(s.keyFile)
	if err != nil {
		return fileStamp{}, fmt.Errorf("tls key: %w", err)
	}
	return fileStamp{c.ModTime(), k.ModTime(), c.Size(), k.Size()}, nil
}
