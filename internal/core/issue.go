package core

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/internal/token"
)

// issue makes the tokens of a session. It is the only function that signs
// access, id and refresh tokens, and it is called only after the store's step
// that said the session is open, moved or current.
//
// presented is the refresh token the client came with, handed back as it is
// where the chain does not rotate.
func (s *Service) issue(m *Mount, sess *Session, subj *Subject, now int64, withRefresh bool, presented string) (*Granted, error) {
	// Tokens count whole seconds from their iat; so must expires_in.
	g := &Granted{Now: now - now%1000, Session: sess, Subject: subj}
	var err error
	if g.AccessToken, g.AccessExpires, err = s.sign(m, m.Policy.Access, sess, subj, now); err != nil {
		return nil, err
	}
	if spec := m.Policy.ID; spec != nil {
		if g.IDToken, g.IDExpires, err = s.sign(m, spec, sess, subj, now); err != nil {
			return nil, err
		}
	}
	if m.Policy.Refresh == nil || !withRefresh || sess.RefreshKey == "" {
		return g, nil
	}
	g.RefreshExpires = sess.RefreshExpires
	if presented != "" {
		g.RefreshToken = presented
		return g, nil
	}
	g.RefreshToken, err = s.refreshToken(m, sess)
	return g, err
}

// payloads are room for claims while they are signed, which keeps none of it.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// sign makes an access or id token.
func (s *Service) sign(m *Mount, spec *TokenSpec, sess *Session, subj *Subject, now int64) (tok string, expires int64, err error) {
	iat := now / 1000
	exp := iat + spec.LifetimeMS/1000
	// No token outlives the absolute end of its session.
	if sess.AbsoluteMS > 0 {
		exp = min(exp, (sess.CreatedAt+sess.AbsoluteMS)/1000)
	}
	v := TokenValues{
		Kind: spec.Kind, TokenID: NewUUID(), Issuer: s.issuerOf(spec, s.issuer),
		IssuedAt: iat * 1000, ExpiresAt: exp * 1000, Session: sess, Subject: subj,
	}
	if !m.Policy.NoStatusList {
		v.Status = sess.Status
	}
	room := payloads.Get().(*[]byte)
	defer payloads.Put(room)
	payload, err := s.appendPayload((*room)[:0], m, spec, &v)
	if err != nil {
		return "", 0, err
	}
	*room = payload
	tok, _, err = s.keys.Sign(KeySet{Mount: m.ID, Kind: spec.Kind}, spec.Header, payload)
	return tok, exp * 1000, err
}

// refreshToken makes the session's current refresh token, from its row and
// constants alone: the same bytes whenever it is asked for.
func (s *Service) refreshToken(m *Mount, sess *Session) (string, error) {
	spec := m.Policy.Refresh
	issuer := s.issuer
	if n := sess.Issuer; n >= 1 && int(n) <= len(s.issuers) {
		issuer = s.issuers[n-1]
	}
	v := TokenValues{
		Kind: token.Refresh, TokenID: refreshTokenID(sess), Issuer: s.issuerOf(spec, issuer),
		IssuedAt: sess.Moves[0] - sess.Moves[0]%1000, ExpiresAt: sess.RefreshExpires, Session: sess,
	}
	room := payloads.Get().(*[]byte)
	defer payloads.Put(room)
	payload, err := s.appendPayload((*room)[:0], m, spec, &v)
	if err != nil {
		return "", err
	}
	*room = payload
	return s.keys.SignWith(KeySet{Mount: m.ID, Kind: token.Refresh}, sess.RefreshKey, spec.Header, payload)
}

func (s *Service) issuerOf(spec *TokenSpec, fallback string) string {
	if spec.Issuer != "" {
		return spec.Issuer
	}
	return fallback
}

// refreshTokenID derives the jti of a refresh token from its session and
// generation. It is an identifier, not a secret; the signature guards it.
func refreshTokenID(sess *Session) string {
	var room [64]byte
	text := append(room[:0], "sallyport refresh jti"...)
	text = append(text, sess.ID.Key[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(text, uint64(sess.Generation)))
	return uuidString([16]byte(sum[:16]))
}

// appendPayload writes the claims that verification and revocation stand on,
// then the contract's own.
func (s *Service) appendPayload(dst []byte, m *Mount, spec *TokenSpec, v *TokenValues) ([]byte, error) {
	dst = append(dst, `{"iss":`...)
	dst = AppendString(dst, v.Issuer)
	if !spec.OwnSubject {
		dst = append(dst, `,"sub":`...)
		dst = AppendString(dst, v.Session.Subject)
	}
	if spec.Audience != "" {
		dst = append(dst, `,"aud":`...)
		dst = AppendString(dst, spec.Audience)
	}
	// An application token counts by its own row and outlives the session it
	// was minted in: it carries no sid.
	if v.Kind != token.Application {
		dst = append(dst, `,"sid":"`...)
		dst = v.Session.ID.append(dst)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"jti":"`...)
	dst = append(dst, v.TokenID...)
	dst = append(dst, `","iat":`...)
	dst = strconv.AppendInt(dst, v.IssuedAt/1000, 10)
	if spec.NotBefore {
		dst = append(dst, `,"nbf":`...)
		dst = strconv.AppendInt(dst, v.IssuedAt/1000, 10)
	}
	if v.ExpiresAt != 0 {
		dst = append(dst, `,"exp":`...)
		dst = strconv.AppendInt(dst, v.ExpiresAt/1000, 10)
	}
	if v.Kind == token.Access || v.Kind == token.Application {
		dst = s.appendFollowed(dst, spec, v)
	}
	// The first generation is 0 and is left out, so that contracts that never
	// rotate carry documented claims only.
	if v.Kind == token.Refresh && v.Session.Generation != 0 {
		dst = append(dst, `,"gen":`...)
		dst = strconv.AppendInt(dst, v.Session.Generation, 10)
	}
	// From the row, like all of a refresh token, whatever the contract says now.
	if name := v.Session.Variant(); v.Kind == token.Refresh && name != "" {
		dst = append(dst, `,"`+variantClaim+`":`...)
		dst = AppendString(dst, name)
	}
	if m.Policy.KindClaim != "" {
		dst = append(dst, ',')
		dst = AppendString(dst, m.Policy.KindClaim)
		dst = append(dst, ':')
		dst = AppendString(dst, spec.KindValue)
	}
	if spec.Claims != nil {
		mark := len(dst)
		dst = append(dst, ',')
		with, err := spec.Claims.AppendMembers(dst, v)
		if err != nil {
			return nil, &Error{Code: Internal, Reason: "claims of " + m.ID, Err: err}
		}
		if len(with) == len(dst) {
			with = with[:mark]
		}
		dst = with
	}
	return append(dst, '}'), nil
}

// appendFollowed writes what those need who verify elsewhere and follow
// revocations: whose token it is, as facts name him, and where its status is.
func (s *Service) appendFollowed(dst []byte, spec *TokenSpec, v *TokenValues) []byte {
	if !spec.Own.Account {
		dst = append(dst, `,"acct":`...)
		dst = AppendString(dst, v.Subject.Account)
	}
	if spec.OwnSubject && !spec.Own.UserID {
		dst = append(dst, `,"uid":`...)
		dst = AppendString(dst, v.Session.Subject)
	}
	if v.Status == 0 || spec.Own.Status {
		return dst
	}
	space := StatusSessions
	if v.Kind == token.Application {
		space = StatusTokens
	}
	return s.statuses[space].appendStatus(dst, v.Status)
}

// AppendString appends s as a JSON string. Plain ASCII, which nearly all are,
// takes no allocation.
func AppendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			b, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...)
			}
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
