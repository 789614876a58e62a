package core

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// Netosecret is what a client needs to build request tokens: the content of
// the string a vendor calls NETOSECRET, base64 of this JSON object.
type Netosecret struct {
	URL          string `json:"url"` // base URL plus /api/v1, no trailing slash
	AppName      string `json:"appname"`
	AppKey       string `json:"appkey"`
	Shortname    string `json:"shortname"`
	SharedSecret string `json:"sharedsecret"`
}

// Encode mints the one spelling we give out: standard alphabet, padded,
// compact JSON, one line, since a known client decodes strictly.
func (n Netosecret) Encode() string {
	b, _ := json.Marshal(n) // strings alone: cannot fail
	return base64.StdEncoding.EncodeToString(b)
}

// DecodeNetosecret reads every spelling seen in the field: with and without
// padding, standard and URL-safe alphabet, line breaks, pretty-printed JSON.
func DecodeNetosecret(s string) (*Netosecret, error) {
	s = strings.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case ' ', '\t', '\r', '\n':
			return -1
		}
		return r
	}, s)
	s = strings.TrimRight(s, "=")
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("this is not a NETOSECRET: it is not base64; copy the whole string, as it was printed when the key was made")
	}
	var n Netosecret
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, errors.New("this is not a NETOSECRET: the base64 does not hold a JSON object with url, appname, appkey, shortname and sharedsecret")
	}
	if n.AppName == "" || n.AppKey == "" || n.Shortname == "" || n.SharedSecret == "" {
		return nil, errors.New("this NETOSECRET lacks one of appname, appkey, shortname, sharedsecret")
	}
	return &n, nil
}
