package authserver

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// accessClaims are the claims of RFC 9068 section 2.2 beyond those that every
// token of ours has.
type accessClaims struct {
	client   string
	scope    []string
	audience []string
	authTime int64  // 0 = a machine's
	parent   string // jti of the token that this one narrows
}

// AppendMembers implements Claims.
func (a *accessClaims) AppendMembers(dst []byte, _ *core.TokenValues) ([]byte, error) {
	dst = appendAudience(dst, a.audience)
	dst = append(dst, `,"client_id":`...)
	dst = core.AppendString(dst, a.client)
	dst = append(dst, `,"scope":`...)
	dst = core.AppendString(dst, strings.Join(a.scope, " "))
	if a.authTime != 0 {
		dst = append(dst, `,"auth_time":`...)
		dst = strconv.AppendInt(dst, a.authTime/1000, 10)
	}
	if a.parent != "" {
		dst = append(dst, `,"parent":`...)
		dst = core.AppendString(dst, a.parent)
	}
	return dst, nil
}

func appendAudience(dst []byte, list []string) []byte {
	dst = append(dst, `"aud":`...)
	if len(list) == 1 {
		return core.AppendString(dst, list[0])
	}
	for i, one := range list {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		dst = core.AppendString(append(dst, sep), one)
	}
	return append(dst, ']')
}

// idClaims are the claims of OpenID Connect Core section 2.
type idClaims struct {
	client   string
	authTime int64
	nonce    string // "" after the first (section 12.2)
	access   string // the access token beside it
	alg      token.Algorithm
}

// AppendMembers implements Claims.
func (c *idClaims) AppendMembers(dst []byte, _ *core.TokenValues) ([]byte, error) {
	dst = appendAudience(dst, []string{c.client})
	dst = append(dst, `,"auth_time":`...)
	dst = strconv.AppendInt(dst, c.authTime/1000, 10)
	if c.nonce != "" {
		dst = append(dst, `,"nonce":`...)
		dst = core.AppendString(dst, c.nonce)
	}
	dst = append(dst, `,"at_hash":`...)
	return core.AppendString(dst, accessHash(c.alg, c.access)), nil
}

// accessHash is at_hash (OpenID Connect Core section 3.1.3.6): half of the hash
// that goes with the algorithm. For Ed25519 that is SHA-512.
func accessHash(alg token.Algorithm, access string) string {
	if alg == token.EdDSA {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// issueSession makes the tokens of an OAuth session, as issue does those of a
// contract's: after the store's step, and by the same signing functions. first
// says that a code was just redeemed.
func (s *Server) issueSession(c *core.OAuthClient, grant *core.SessionGrant, sess *core.Session, subj *core.Subject, now int64, first bool) (*Granted, error) {
	m := s.mount
	g := &Granted{Granted: core.Granted{Now: now - now%1000, Session: sess, Subject: subj}}
	for _, w := range liveScope(grant.Scope, subj.Roles) {
		if slices.Contains(c.Scopes, w) { // a scope taken from the client is gone, too
			g.Scope = append(g.Scope, w)
		}
	}
	access := *m.Policy.Access
	access.LifetimeMS = c.AccessMS
	access.Claims = &accessClaims{client: c.ID, scope: g.Scope, audience: grant.Audience, authTime: grant.AuthTime}
	var err error
	if g.AccessToken, g.AccessExpires, err = s.engine.Sign(m, &access, sess, subj, now); err != nil {
		return nil, err
	}
	if slices.Contains(g.Scope, core.ScopeOpenID) {
		nonce := ""
		if first {
			nonce = grant.Nonce
		}
		if err := s.signID(c, grant, sess, subj, nonce, g); err != nil {
			return nil, err
		}
	}
	if sess.RefreshKey == "" {
		return g, nil
	}
	g.RefreshExpires = sess.RefreshExpires
	g.RefreshToken, err = s.engine.RefreshToken(m, sess)
	return g, err
}

// signID adds an id token.
func (s *Server) signID(c *core.OAuthClient, grant *core.SessionGrant, sess *core.Session, subj *core.Subject, nonce string, g *Granted) error {
	spec := *s.mount.Policy.ID
	spec.LifetimeMS, spec.Algorithm = c.AccessMS, c.IDTokenAlg
	spec.Claims = &idClaims{client: c.ID, authTime: grant.AuthTime, nonce: nonce, access: g.AccessToken, alg: c.IDTokenAlg}
	var err error
	// The set of the algorithm differs from the mount's; sign takes it by id.
	m := *s.mount
	m.ID = idSet(c.IDTokenAlg).Mount
	g.IDToken, g.IDExpires, err = s.engine.Sign(&m, &spec, sess, subj, g.Now)
	return err
}

// issueMachine makes the access token of a client or API key that speaks for
// itself. It has no session row: its sid carries the epoch, so a fact on the
// machine kills it, and each use reads whether the machine is alive.
func (s *Server) issueMachine(subj *core.Subject, epoch int64, client string, scope, audience []string, life, now int64) (*Granted, error) {
	m := s.mount
	sess := &core.Session{
		ID: core.SessionID{Epoch: epoch, Key: core.NewSessionKey()}, Mount: m.ID, Account: subj.Account,
		SubjectKind: subj.Kind, Subject: subj.ID, CreatedAt: now,
	}
	access := *m.Policy.Access
	access.LifetimeMS = life
	access.Claims = &accessClaims{client: client, scope: scope, audience: audience}
	g := &Granted{Granted: core.Granted{Now: now - now%1000, Session: sess, Subject: subj}, Scope: scope}
	var err error
	g.AccessToken, g.AccessExpires, err = s.engine.Sign(m, &access, sess, subj, now)
	return g, err
}
