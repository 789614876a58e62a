package client

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Netosecret is an API key of the Netography contract, as the string called NETOSECRET carries it.
type Netosecret struct {
	URL          string `json:"url"` // as in the string; BaseURL cleans it
	AppName      string `json:"appname"`
	AppKey       string `json:"appkey"`
	Shortname    string `json:"shortname"`
	SharedSecret string `json:"sharedsecret"`
}

// ParseNetosecret reads a NETOSECRET: base64 of a JSON object. Every spelling in use is taken: with padding and
// without, either alphabet, line breaks and blanks in between, indented JSON. Errors quote nothing of it.
func ParseNetosecret(s string) (*Netosecret, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Map(plainBase64, s), "="))
	if err != nil {
		return nil, errors.New("client: the NETOSECRET is not base64; copy the whole string")
	}
	n := new(Netosecret)
	if json.Unmarshal(raw, n) != nil {
		return nil, errors.New("client: the NETOSECRET holds no JSON object of strings; copy the whole string")
	}
	if n.AppName == "" || n.AppKey == "" || n.Shortname == "" || n.SharedSecret == "" {
		return nil, errors.New("client: the NETOSECRET lacks one of appname, appkey, shortname, sharedsecret")
	}
	return n, nil
}

// plainBase64 maps the URL-safe alphabet to the standard one and drops blanks.
func plainBase64(r rune) rune {
	switch r {
	case '-':
		return '+'
	case '_':
		return '/'
	case ' ', '\t', '\r', '\n':
		return -1
	}
	return r
}

// String names the key and hides its secret.
func (n Netosecret) String() string { return "NETOSECRET of " + n.Shortname + "/" + n.AppName }

// GoString is String, so that %#v shows no secret.
func (n Netosecret) GoString() string { return n.String() }

// BaseURL is the server's address, without the /api/v1 and the slashes that the string may end in.
func (n *Netosecret) BaseURL() string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(n.URL, "/"), "/api/v1"), "/")
}

// RequestToken signs a request token with HS256. The server takes it within five minutes of now.
func (n *Netosecret) RequestToken(now time.Time) (string, error) {
	payload, err := json.Marshal(map[string]any{
		"iat": now.Unix(), "jti": rand.Text(),
		"appname": n.AppName, "appkey": n.AppKey, "shortname": n.Shortname,
	})
	if err != nil {
		return "", err
	}
	in := joinSegments([]byte(`{"alg":"HS256","typ":"JWT"}`), payload)
	mac := hmac.New(sha256.New, []byte(n.SharedSecret))
	mac.Write([]byte(in))
	return in + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// joinSegments is the signing input of a JWS (RFC 7515 section 5.1).
func joinSegments(header, payload []byte) string {
	return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
}
