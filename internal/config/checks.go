package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A check gets a decoded value and returns what is wrong with it, or "".

func notEmpty(v any) string {
	if v == "" {
		return "must not be empty"
	}
	return ""
}

func oneOf(words ...string) func(any) string {
	return func(v any) string {
		s, _ := v.(string)
		if slices.Contains(words, s) {
			return ""
		}
		if n := nearest(s, words); n != "" {
			return fmt.Sprintf("%q is none of %s; did you mean %s?", s, orList(words), n)
		}
		return fmt.Sprintf("%q is none of %s", s, orList(words))
	}
}

func someOf(words ...string) func(any) string {
	one := oneOf(words...)
	return eachText(func(s string) string { return one(s) })
}

func orList(words []string) string {
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func eachText(check func(string) string) func(any) string {
	return func(v any) string {
		list, _ := v.([]string)
		for _, s := range list {
			if msg := check(s); msg != "" {
				return msg
			}
		}
		return ""
	}
}

func between(lo, hi string) func(any) string {
	return func(v any) string {
		min, errLo := time.ParseDuration(lo)
		max, errHi := time.ParseDuration(hi)
		if d, _ := v.(time.Duration); errLo == nil && errHi == nil && (d < min || d > max) {
			return fmt.Sprintf("%s is outside %s to %s", shortDuration(d), lo, hi)
		}
		return ""
	}
}

func intBetween(lo, hi int) func(any) string {
	return func(v any) string {
		if n, _ := v.(int); n < lo || n > hi {
			return fmt.Sprintf("%d is outside %d to %d", n, lo, hi)
		}
		return ""
	}
}

var addresses = eachText(func(s string) string {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Sprintf("%q: want an absolute path, as in unix:/run/sallyport.sock", s)
		}
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if _, nerr := strconv.ParseUint(s, 10, 16); nerr == nil {
			return fmt.Sprintf("%q has no host; write 127.0.0.1:%s, or 0.0.0.0:%s for every address of the machine", s, s, s)
		}
		if strings.Contains(s, "://") {
			return fmt.Sprintf("%q is a URL; want host:port or unix:/path", s)
		}
		if !strings.Contains(s, ":") {
			return fmt.Sprintf("%q has no port; write %s:8080", s, s)
		}
		return fmt.Sprintf("%q: want host:port or unix:/path; an IPv6 address stands in brackets, as in [::1]:8080", s)
	}
	if host == "" {
		return fmt.Sprintf("%q has no host; write 127.0.0.1:%s, or 0.0.0.0:%s for every address of the machine", s, port, port)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Sprintf("%q: the port must be a number from 0 to 65535", s)
	}
	return ""
})

// shipTargets are where audit records may be sent.
var shipTargets = eachText(func(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Sprintf("%q is no URL", s)
	}
	_, port, err := net.SplitHostPort(u.Host)
	switch u.Scheme {
	case "syslog+udp", "syslog+tcp":
		if err != nil || port == "" {
			return fmt.Sprintf("%q: want a host and a port, as in %s://logs.example:514", s, u.Scheme)
		}
		return ""
	case "file", "syslog+unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return fmt.Sprintf("%q: want an absolute path after three slashes, as in %s:///var/log/sallyport.jsonl", s, u.Scheme)
		}
		return ""
	}
	return fmt.Sprintf("%q: want syslog+udp://, syslog+tcp://, syslog+unix:// or file://", s)
})

// keepAudit is for ever, or a day to ten years.
func keepAudit(v any) string {
	if d, _ := v.(time.Duration); d == 0 {
		return ""
	}
	return between("24h", "87600h")(v)
}

var networks = eachText(func(s string) string {
	if s == "unix" {
		return ""
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return ""
	}
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return ""
	}
	return fmt.Sprintf("%q: want an address (192.0.2.7), a network (10.0.0.0/8) or the word unix", s)
})

func hostName(v any) string {
	s, _ := v.(string)
	if s == "" || len(s) > 253 || strings.ContainsAny(s, "/:[] \t") {
		return fmt.Sprintf("%q: want a host name without scheme and port, as in api.example.com", s)
	}
	return ""
}

var hostNames = eachText(func(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	return hostName(s)
})

// plainURL reads an absolute http or https URL without what has no meaning in
// a base: credentials, query, fragment.
func plainURL(s string) (*url.URL, string) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Sprintf("%q: want a URL such as https://api.example.com", s)
	}
	if u.User != nil {
		return nil, "a URL with a user name or password in it is refused; it would end up in logs"
	}
	if u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.HasSuffix(s, "#") {
		return nil, fmt.Sprintf("%q: a query or fragment has no meaning here", s)
	}
	return u, ""
}

func baseURL(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	_, msg := plainURL(s)
	if msg == "" && strings.HasSuffix(s, "/") {
		return fmt.Sprintf("%q: leave the slash at the end away; tokens are compared byte by byte", s)
	}
	return msg
}

func upstreamURL(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	web := s
	if rest, ok := strings.CutPrefix(s, "h2c://"); ok {
		web = "http://" + rest // HTTP/2 without TLS: a URL like any other
	}
	u, msg := plainURL(web)
	switch {
	case msg != "":
		return strings.ReplaceAll(msg, strconv.Quote(web), strconv.Quote(s))
	case strings.Trim(u.Path, "/") != "":
		return fmt.Sprintf("%q: leave the path %s away; a request is forwarded with the path that it came with", s, u.Path)
	}
	return ""
}

var origins = eachText(func(s string) string {
	if s == "*" {
		return ""
	}
	u, msg := plainURL(s)
	if msg != "" || u.Path != "" {
		return fmt.Sprintf("%q: want an origin such as https://app.example, without a path, or * alone", s)
	}
	return ""
})

var methods = eachText(func(s string) string {
	if !isToken(s) || strings.ToUpper(s) != s {
		return fmt.Sprintf("%q: want a method in capitals, as in GET", s)
	}
	return ""
})

func headerName(v any) string {
	s, _ := v.(string)
	if !isToken(s) {
		return fmt.Sprintf("%q is no header name", s)
	}
	return ""
}

var headerNames = eachText(func(s string) string { return headerName(s) })

// isToken is the token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// rulePrefix wants the one spelling that the gateway matches; another would
// never match, and a deny that never matches is a hole.
func rulePrefix(v any) string {
	s, _ := v.(string)
	if !strings.HasPrefix(s, "/") {
		return fmt.Sprintf("%q: want a path that begins with a slash", s)
	}
	if strings.Contains(s, "//") || strings.ContainsAny(s, "\\;?#%* \t") || hasDotSegment(s) {
		return fmt.Sprintf("%q: want a plain path, as in /api/v1, without dot segments, doubled slashes, encodings or wildcards", s)
	}
	return ""
}

func mountPrefix(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	if msg := rulePrefix(s); msg != "" {
		return msg
	}
	if strings.HasSuffix(s, "/") {
		return fmt.Sprintf("%q: leave the slash at the end away", s)
	}
	return ""
}

func hasDotSegment(path string) bool {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

func mountName(v any) string {
	s, _ := v.(string)
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return fmt.Sprintf("%q: want small letters, digits, - and _", s)
		}
	}
	if s == "" || len(s) > 64 {
		return "want 1 to 64 characters"
	}
	return ""
}

// reachable turns a listen address into one that a client on this machine can
// use.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "localhost"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

func isLoopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // reported as malformed already
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// shortDuration prints 15m instead of 15m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
