package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// TestAuditShipped: what happens stands in the file that audit.ship names, and
// what stands there can be proved whole.
func TestAuditShipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := serve(t, fmt.Sprintf("audit: {ship: ['file://%s']}\n", path))
	s.user("", "ann", "user")
	s.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	deadline := time.Now().Add(time.Minute)
	for {
		kinds, err := provedKinds(path)
		if err == nil && kinds["user.create"] == 1 && kinds["login"] == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v", kinds, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// provedKinds counts the records of a file by kind.
func provedKinds(path string) (map[string]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, kinds := core.NewAuditVerifier(nil), map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r admin.AuditRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return kinds, err
		}
		rec, err := r.Core()
		if err == nil {
			err = v.Add(&rec)
		}
		if err != nil {
			return kinds, err
		}
		kinds[r.Kind]++
	}
	return kinds, nil
}

// TestBackupIsTold: a copy of everything is an act of administration. Its record
// comes before the copy and is in it.
func TestBackupIsTold(t *testing.T) {
	s := serve(t, "")
	if err := s.admin.Backup(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	var told admin.Page[admin.AuditRecord]
	if err := s.admin.Get(t.Context(), "/audit", url.Values{"kind": {"backup.take"}}, &told); err != nil {
		t.Fatal(err)
	}
	if len(told.Items) != 1 || !strings.HasPrefix(told.Items[0].Actor, "operator:") {
		t.Fatalf("%+v", told.Items)
	}
}

// TestMachineGrantsAreTold: tokens that open no session are in the audit log,
// a record a minute for each client and grant, however many there were.
func TestMachineGrantsAreTold(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	m, other := s.machine(), s.machine()
	key := newSigner(t)
	signing := s.oauthClient(admin.NewOAuthClient{Auth: "private_key_jwt", JWKS: key.set, Grants: []string{core.GrantAssertion}})
	narrowing := s.oauthClient(admin.NewOAuthClient{Grants: []string{core.GrantCode, core.GrantExchange}})
	for range 3 {
		s.token(m, "grant_type", "client_credentials").want(200, "")
	}
	s.token(other, "grant_type", "client_credentials").want(200, "")
	now := s.clock.Load() / 1000
	s.token(nil, "grant_type", core.GrantAssertion, "assertion", key.sign(t, jwt.MapClaims{
		"iss": signing.ID, "sub": signing.ID, "aud": s.url, "exp": now + 60, "iat": now, "jti": "1",
	})).want(200, "")
	s.token(narrowing, "grant_type", core.GrantExchange, "subject_token", s.session(narrowing, "ann", "openid").text("access_token"),
		"subject_token_type", authserver.TypeAccessToken).want(200, "")
	s.app.Service().Flush(t.Context())
	var told admin.Page[admin.AuditRecord]
	if err := s.admin.Get(t.Context(), "/audit", url.Values{"kind": {"token.grants"}}, &told); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range told.Items {
		got[r.Actor+" "+r.Detail["grant"]] = r.Detail["count"]
	}
	want := map[string]string{
		"client:" + m.ID + " client_credentials": "3", "client:" + other.ID + " client_credentials": "1",
		"client:" + signing.ID + " assertion": "1", "client:" + narrowing.ID + " token_exchange": "1",
	}
	if !maps.Equal(got, want) {
		t.Fatalf("told: %v, want %v", got, want)
	}
}
