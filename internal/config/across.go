package config

import (
	"net"
	"slices"
	"strings"
)

// across judges what spans several keys.
func (l *loader) across() {
	c := l.c
	if len(c.Listen) == 0 {
		l.at("listen", "must not be empty: without a listener nobody can log in")
	}
	if len(c.Mounts) == 0 {
		c.Mounts = defaultMounts()
		delete(c.origins, "mounts")
	}
	l.tls()
	l.listeners()
	if c.CORS.Credentials && slices.Contains(c.CORS.Origins, "*") {
		l.at("cors.credentials", "cannot be true while cors.origins holds *; list the origins by name")
	}
	if len(c.CORS.Origins) > 1 && slices.Contains(c.CORS.Origins, "*") {
		l.at("cors.origins", "* stands alone; it covers the others")
	}
	if len(c.Gateway.Rules) > 0 && c.Upstream == "" && len(c.ForwardAuth.Proxies) == 0 && !c.Dev {
		c.Warnings = append(c.Warnings, c.Origin("gateway.rules")+": gateway.rules apply to nothing: neither upstream nor forward_auth.proxies is set")
	}
	if c.Keys.RotateEvery != 0 && c.Keys.RotateEvery < 2*c.Keys.PublishAhead {
		l.at("keys.rotate_every", "must be at least twice keys.publish_ahead, or 0 to rotate by hand")
	}
	l.identityHeaders()
	l.masterKey()
	l.store()
}

// at reports a mistake where the key was set.
func (l *loader) at(key, format string, args ...any) {
	l.fail(l.c.Origin(key), key, format, args...)
}

func (l *loader) tls() {
	cert, key := l.c.TLS.Cert, l.c.TLS.Key
	switch {
	case cert != "" && key == "":
		l.at("tls.cert", "is set without tls.key; TLS needs both")
	case cert == "" && key != "":
		l.at("tls.key", "is set without tls.cert; TLS needs both")
	}
}

func (l *loader) listeners() {
	c := l.c
	taken := map[string]string{}
	for _, set := range []struct {
		key   string
		addrs []string
	}{{"listen", c.Listen}, {"private_listen", c.PrivateListen}} {
		for _, a := range set.addrs {
			if first := clash(taken, a); first != "" {
				l.at(set.key, "%s is taken by %s; give one of them another port", a, first)
			}
			taken[a] = set.key
		}
	}
	for _, a := range c.PrivateListen {
		if !c.PrivateOffLoopback && !isLoopback(a) {
			l.at("private_listen", "%s can be reached from other machines, and this listener asks for no login; use 127.0.0.1 or set private_off_loopback: true", a)
		}
	}
	for _, a := range c.Listen {
		if c.Dev && !c.DevOffLoopback && !isLoopback(a) {
			l.at("listen", "%s can be reached from other machines, and a demo prints its passwords; use 127.0.0.1 or set dev_off_loopback", a)
		}
	}
}

// clash finds a listener on the same port of the same address, or of all.
func clash(taken map[string]string, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	for other, key := range taken {
		if other == addr && port != "0" {
			return key
		}
		oh, op, oerr := net.SplitHostPort(other)
		if err != nil || oerr != nil || op != port || port == "0" {
			continue
		}
		if everyAddress(host) || everyAddress(oh) {
			return key
		}
	}
	return ""
}

func everyAddress(host string) bool { return host == "0.0.0.0" || host == "::" }

// identityHeaders must differ, also in the spellings that servers fold
// together, or one would overwrite another.
func (l *loader) identityHeaders() {
	seen := map[string]string{}
	for _, k := range l.order {
		name, ok := k.ptr.(*string)
		if !ok || k.Section() != "gateway.identity_headers" {
			continue
		}
		folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(*name))
		if first, dup := seen[folded]; dup {
			l.at(k.Name, "%s is the header of %s, too", *name, first)
		}
		seen[folded] = k.Name
	}
}

func (l *loader) masterKey() {
	if l.c.MasterKey != "" && l.c.MasterKeyFile != "" {
		l.at("master_key", "is set, and so is master_key_file (%s); keep one of them", l.c.Origin("master_key_file"))
	}
}
