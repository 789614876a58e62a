package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// StoreURL says where the store is: "" for the data directory, or the URL of a
// PostgreSQL database. It may hold a password, which neither fmt, nor slog, nor
// an encoder prints.
type StoreURL string

// Reveal returns the URL with its password.
func (s StoreURL) Reveal() string { return string(s) }

// String is the URL with *** in place of its password.
func (s StoreURL) String() string {
	u, err := url.Parse(string(s))
	if err != nil {
		return redacted
	}
	if _, has := u.User.Password(); has {
		// Not url.UserPassword, which would write %2A.
		u.User = url.User(u.User.Username())
		return strings.Replace(u.String(), "@", ":***@", 1)
	}
	if q := u.Query(); q.Has("password") || q.Has("sslpassword") {
		return redacted
	}
	return u.String()
}

// LogValue hides the password from slog.
func (s StoreURL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Format hides the password from every verb of fmt.
func (s StoreURL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) } // fmt has nobody to tell

// MarshalText hides the password from encoders.
func (s StoreURL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// hasPassword says whether the URL holds one.
func (s StoreURL) hasPassword() bool {
	u, err := url.Parse(string(s))
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// Postgres is what a store in PostgreSQL may cost.
type Postgres struct {
	// Pooler is "none" or "transaction".
	Pooler                        string
	Connections                   int
	StatementTimeout, LockTimeout time.Duration
}

// storeURL must not repeat what it refuses: a password may be in it.
func storeURL(v any) string {
	s, _ := v.(StoreURL)
	if s == "" {
		return ""
	}
	u, err := url.Parse(string(s))
	switch {
	case err != nil:
		return "this is no URL; want postgres://USER@HOST:PORT/DATABASE (a password with odd characters in it is written with %XX for each)"
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return fmt.Sprintf("want postgres://USER@HOST:PORT/DATABASE, or nothing for a store in the data directory, got a URL of the scheme %q", u.Scheme)
	case strings.Trim(u.Path, "/") == "" && !u.Query().Has("dbname"):
		return "the URL names no database; want postgres://USER@HOST:PORT/DATABASE"
	}
	return ""
}

func bindStore(c *Config) []Key {
	p := &c.Postgres
	return []Key{
		{
			Name: "store", Kind: KindURL, ptr: &c.Store, check: storeURL,
			Doc: "Where everything is kept: a PostgreSQL database, as in postgres://sallyport@db.internal/sallyport, for several nodes; when empty a file in the data directory. docs/postgresql.md says how to set one up. A password belongs into store_file, the variable, or libpq's password file: every user of the machine can read a command line.",
		},
		{
			Name: "store_file", Kind: KindPath, ptr: &c.StoreFile,
			Doc: "A file that holds the URL of the store, with its password.",
		},
		{
			Name: "postgres.connections", Kind: KindInt, Default: "10", ptr: &p.Connections, check: intBetween(2, 1000),
			Doc: "How many connections a node may have to PostgreSQL for its work; three more follow the other nodes. All nodes together must stay below the server's max_connections. More than a few for each of its cores make it slower, not faster.",
		},
		{
			Name: "postgres.pooler", Kind: KindString, Default: "none", ptr: &p.Pooler, check: oneOf("none", "transaction"),
			Doc: "transaction when pgbouncer stands between with pool_mode transaction: nothing is then prepared or listened to, so news between nodes is polled for. Session pooling needs none.",
		},
		{
			Name: "postgres.statement_timeout", Kind: KindDuration, Default: "10s", ptr: &p.StatementTimeout, check: between("1s", "5m"),
			Doc: "How long one statement may take in PostgreSQL before it is given up and answered with 503.",
		},
		{
			Name: "postgres.lock_timeout", Kind: KindDuration, Default: "3s", ptr: &p.LockTimeout, check: between("100ms", "1m"),
			Doc: "How long a statement waits for a row that another one is changing.",
		},
	}
}

// store reads the URL from its file and judges the two together.
func (l *loader) store() {
	c := l.c
	if c.StoreFile != "" {
		if c.Store != "" {
			l.at("store", "is set, and so is store_file (%s); keep one of them", c.Origin("store_file"))
			return
		}
		s, err := ReadSecret(c.StoreFile)
		if err != nil {
			l.at("store_file", "%v", err)
			return
		}
		c.Store = StoreURL(strings.TrimSpace(s.Reveal()))
		if msg := storeURL(c.Store); msg != "" {
			l.at("store_file", "%s: %s", c.StoreFile, msg)
			return
		}
		c.origins["store"] = c.StoreFile
	}
	if c.Store == "" {
		return
	}
	switch origin := c.Origin("store"); {
	case !c.Store.hasPassword():
	case strings.HasPrefix(origin, "--"):
		c.Warnings = append(c.Warnings, "--store: the password in it can be read by every user of the machine; put the URL into a file and give --store-file, or set SALLYPORT_STORE")
	case c.File != "" && strings.HasPrefix(origin, c.File+":"):
		c.Warnings = append(c.Warnings, origin+": the URL of the store holds a password; put it into a file and name that with store_file, or set SALLYPORT_STORE")
	}
}

// sharedKeys are the settings that nodes of one store should have in common:
// what they do to the same sessions, keys and attempts. Where a node listens,
// keeps its files and logs is its own affair.
var sharedKeys = []string{
	"gateway.rules", "gateway.words", "password.min_length", "sessions.", "keys.", "oauth.enabled", "oauth.login_lifetime",
	"oauth.login_idle", "oauth.status_list", "limits.stranger_failures", "limits.stranger_retry", "limits.known_network",
	"limits.application_tokens", "max_staleness",
}

// SharedSettings gives the values of the settings that all nodes of one store
// should have in common, by key.
func (c *Config) SharedSettings() map[string]string {
	all := map[string]string{}
	for _, k := range bind(c) {
		for _, name := range sharedKeys {
			if k.Name == name || strings.HasSuffix(name, ".") && strings.HasPrefix(k.Name, name) {
				all[k.Name] = fmt.Sprint(k.plainValue())
			}
		}
	}
	return all
}
