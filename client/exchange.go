package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	maxAnswer     = 1 << 20
	maxMessage    = 200
	maxRetryAfter = time.Hour // a server that asks for more is asked again after this
)

// exchanger posts to the token endpoints of one server.
type exchanger struct {
	client *http.Client
	base   string // no slash at the end
	now    func() time.Time
}

// newExchanger checks the URL. Plain HTTP is for this machine alone unless allowed: passwords would be readable on the
// wire.
func newExchanger(o *Options, base string) (*exchanger, error) {
	u, err := checkURL(base, o.AllowPlainHTTP)
	if err != nil {
		return nil, err
	}
	c := http.Client{}
	if o.HTTPClient != nil {
		c = *o.HTTPClient
	}
	// A 307 would carry password or refresh token to wherever it points.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &exchanger{client: &c, base: strings.TrimRight(u, "/"), now: o.env.now}, nil
}

func checkURL(raw string, plain bool) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", errors.New("client: the URL must be absolute, such as https://auth.example.com")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("client: the URL must have no user, query or fragment")
	}
	if u.Scheme == "http" && !plain && !loopback(u.Hostname()) {
		return "", fmt.Errorf("client: %s is plain HTTP, which shows passwords and tokens to the network; use https, or set AllowPlainHTTP", u.Host)
	}
	return u.String(), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// message is one request: JSON, form or neither.
type message struct {
	op     string
	path   string // appended to the base, or a whole URL
	json   any
	form   url.Values
	bearer string
	basic  [2]string // user and password, already form-encoded (RFC 6749 section 2.3.1)
	header map[string]string
	secret []string // what must not come back in an error
}

func (x *exchanger) request(ctx context.Context, m *message) (*http.Request, error) {
	target := m.path
	if !strings.Contains(target, "://") {
		target = x.base + target
	}
	var body io.Reader = http.NoBody
	ctype := ""
	switch {
	case m.json != nil:
		raw, err := json.Marshal(m.json)
		if err != nil {
			return nil, err
		}
		body, ctype = bytes.NewReader(raw), "application/json"
	case m.form != nil:
		body, ctype = strings.NewReader(m.form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	if m.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+m.bearer)
	}
	if m.basic[0] != "" {
		req.SetBasicAuth(m.basic[0], m.basic[1])
	}
	for k, v := range m.header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// post sends m and reads a 200 into out. It returns the time before sending: a lifetime counted from there ends early
// rather than late.
func (x *exchanger) post(ctx context.Context, m *message, out any) (time.Time, error) {
	req, err := x.request(ctx, m)
	if err != nil {
		return time.Time{}, fmt.Errorf("client: %s: %w", m.op, err)
	}
	sent := x.now()
	res, err := x.client.Do(req)
	if err != nil {
		return sent, &Error{Op: m.op, Err: err}
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or given up
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode != http.StatusOK {
		return sent, x.failure(m, res, raw)
	}
	if err != nil {
		return sent, &Error{Op: m.op, Status: res.StatusCode, Err: fmt.Errorf("the answer broke off: %w", err)}
	}
	if err := json.Unmarshal(raw, out); err != nil {
		// The text of a JSON error can quote the answer, which holds tokens.
		return sent, &Error{Op: m.op, Status: res.StatusCode, Err: errors.New("the answer is not the JSON of a token endpoint; check the URL")}
	}
	return sent, nil
}

// failure reads an answer that is no 200. The shapes are those of all contracts and of OAuth.
func (x *exchanger) failure(m *message, res *http.Response, raw []byte) *Error {
	e := &Error{Op: m.op, Status: res.StatusCode, RetryAfter: x.parseRetryAfter(res.Header.Get("Retry-After"))}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		e.Message = "the server redirects, which is not followed with credentials; set the URL to where it points"
		return e
	}
	var body struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
		Message     string          `json:"message"`
		Msg         string          `json:"msg"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return e
	}
	var inner struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body.Error, &e.Code) != nil && json.Unmarshal(body.Error, &inner) == nil {
		body.Message = inner.Message
	}
	for _, text := range []string{body.Message, body.Msg, body.Description} {
		if text != "" {
			e.Message = clean(text, m.secret)
			break
		}
	}
	e.Code = clean(e.Code, m.secret)
	return e
}

// clean shortens what a server said, and drops it when it quotes what it was sent: errors end in logs.
func clean(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" && strings.Contains(s, secret) {
			return "(the server's message quotes a secret and is left out)"
		}
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return s
}

// parseRetryAfter reads both forms of RFC 9110 section 10.2.3.
func (x *exchanger) parseRetryAfter(v string) time.Duration {
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), maxRetryAfter)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(x.now()), 0), maxRetryAfter)
	}
	return 0
}

// until is the end of a token that lives for seconds, as answers say it; zero when they don't.
func until(sent time.Time, seconds json.Number) time.Time {
	n, err := seconds.Int64()
	if err != nil || n <= 0 || n > 1<<31 {
		return time.Time{}
	}
	return sent.Add(time.Duration(n) * time.Second)
}

// untilClaims is the end of a token whose answer does not say it, by what the token says of itself. The difference of
// its two times is used, not the times: the clocks of server and client need not agree. Nothing is verified; whoever
// forged the token would be sent it, no more.
func untilClaims(sent time.Time, tok string) time.Time {
	parts := strings.Split(tok, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var c struct {
		IAT float64 `json:"iat"`
		EXP float64 `json:"exp"`
	}
	if json.Unmarshal(raw, &c) != nil || c.IAT <= 0 || c.EXP <= c.IAT || c.EXP-c.IAT > 1<<31 {
		return time.Time{}
	}
	return sent.Add(time.Duration((c.EXP - c.IAT) * float64(time.Second)))
}

// lacking is a 200 without a token in it: an answer of something else.
func lacking(op, member string) error {
	return &Error{Op: op, Status: http.StatusOK, Err: errors.New("the answer has no " + member + "; check the URL")}
}

// bearer refuses a token that is not simply shown to whoever asks for it (RFC 6749 section 7.1): this package knows no
// other kind. An answer that does not say is one of a contract that has no other kind either.
func bearer(op, typ string) error {
	if typ == "" || strings.EqualFold(typ, "Bearer") {
		return nil
	}
	return &Error{Op: op, Status: http.StatusOK, Err: fmt.Errorf("the token is of type %q, which this package cannot use; only Bearer", clean(typ, nil))}
}
