package core

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// idEncoding is lower-case base32 without padding: 26 characters for 16
// bytes, safe in paths, flags and double-clicks.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID gives an identifier of 128 random bits with the given prefix.
func NewID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it aborts the process instead
	return prefix + idEncoding.EncodeToString(b[:])
}

// NewUUID gives a version 4 UUID (RFC 9562 section 5.4) in lower case.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return uuidString(b)
}

func uuidString(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// SessionID names a session. Its text form, the sid of every token, starts
// with the session's epoch, so that whoever holds a token and the list of
// facts can tell which facts came later.
type SessionID struct {
	Epoch int64    // highest fact number committed when the session was opened
	Key   [16]byte // 128 random bits; alone unique
}

// NewSessionKey gives the random part of a new session's id.
func NewSessionKey() (key [16]byte) {
	_, _ = rand.Read(key[:])
	return key
}

// String is the sid: epoch, a dash, 26 characters of base32.
func (id SessionID) String() string {
	var room [48]byte
	return string(id.append(room[:0]))
}

func (id SessionID) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, id.Epoch, 10)
	dst = append(dst, '-')
	return idEncoding.AppendEncode(dst, id.Key[:])
}

// ParseSessionID reads a sid. Only the one spelling that String gives is
// accepted, so that a fact on a sid cannot be dodged by spelling it otherwise.
func ParseSessionID(s string) (SessionID, error) {
	epoch, key, ok := strings.Cut(s, "-")
	if !ok || len(s) > 48 {
		return SessionID{}, fmt.Errorf("%q is not a session id: want EPOCH-KEY as in 12-abc…", Clip(s))
	}
	var id SessionID
	n, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || n < 0 || len(key) != 26 {
		return SessionID{}, fmt.Errorf("%q is not a session id", Clip(s))
	}
	id.Epoch = n
	var room [48]byte
	if _, err := idEncoding.Decode(id.Key[:], []byte(key)); err != nil || string(id.append(room[:0])) != s {
		return SessionID{}, fmt.Errorf("%q is not a session id", Clip(s))
	}
	return id, nil
}

// Clip cuts what somebody sent to what an error message has room for.
func Clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "…"
	}
	return s
}
