package config

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Config is the whole configuration. Load fills it; a zero Config has no
// defaults in it.
type Config struct {
	// Data is the data directory, as given.
	Data string

	// Store is where the store is, "" for the data directory. Load fills it
	// from StoreFile, too.
	Store     StoreURL
	StoreFile string
	Postgres  Postgres

	// Listen and PrivateListen hold "host:port" or "unix:/path".
	Listen             []string
	PrivateListen      []string
	PrivateOffLoopback bool
	PrivateHosts       []string

	// Issuer is the base URL of the tokens; empty means [Config.IssuerFor].
	Issuer string

	TLS struct{ Cert, Key string }
	H2C bool

	TrustedProxies []string
	// TrustedHeader is "x-forwarded-for" or "forwarded".
	TrustedHeader string

	// Upstream is the URL of the protected API; empty means no gateway.
	Upstream        string
	UpstreamTimeout struct{ Connect, ResponseHeader, Idle time.Duration }

	Gateway struct {
		Rules []Rule
		// Words names the contract that speaks when nothing else decides.
		Words string
		// CORS is "own" or "upstream".
		CORS            string
		IdentityHeaders IdentityHeaders
		// PassCookies lets the upstream see the cookies that tokens lie in.
		PassCookies bool
	}
	ForwardAuth struct{ Proxies []string }

	// Mounts is never empty after Load.
	Mounts    []Mount
	Contracts struct {
		Dir   string
		Files []string
	}

	CORS struct {
		Origins, Methods, Headers, Expose []string
		Credentials                       bool
		MaxAge                            time.Duration
	}

	Log struct {
		Format, Level string
		Access        bool
	}

	// Audit.Keep 0 means that audit records are kept for ever.
	Audit struct {
		Keep time.Duration
		Ship []string
	}

	// Password.Slots 0 means the number of cores less one, at least one.
	Password struct{ MinLength, Slots, Queue int }

	// Keys.RotateEvery 0 means that keys are rotated by hand alone.
	Keys struct{ RotateEvery, PublishAhead time.Duration }

	// OAuth is the OAuth 2.0 and OpenID Connect endpoints.
	OAuth struct {
		Enabled       bool
		LoginLifetime time.Duration
		LoginIdle     time.Duration
		StatusList    bool
		Stylesheet    string
	}

	Sessions struct {
		Grace         time.Duration
		MaxPerSubject int
	}

	Limits Limits

	MaxStaleness time.Duration

	// MasterKeyFile names the file of the master key; MasterKey is the key
	// itself, from the environment. At most one is set.
	MasterKeyFile string
	MasterKey     Secret

	// FactsJournal is the file of the facts journal, "" for the default.
	FactsJournal string
	// Ballast is in bytes.
	Ballast int

	Metrics, Pprof  bool
	ShutdownTimeout time.Duration

	Dev, DevOffLoopback bool

	// File is the configuration file that was read, if any.
	File string
	// Warnings are things that are probably not meant, for the log.
	Warnings []string

	origins map[string]string
}

// Limits are the bounds on what callers may cost.
type Limits struct {
	// Body is in bytes, for our own routes.
	Body                                       int
	RequestTimeout, HeaderTimeout, IdleTimeout time.Duration
	// Connections 0 derives the bound from the descriptors of the process.
	Connections int
	// ConnectionsPerPeer 0 is a quarter of Connections.
	ConnectionsPerPeer int
	// StrangerFailures is how many wrong passwords networks that never logged
	// in to a name may try; then one attempt per StrangerRetry is let through.
	StrangerFailures int
	StrangerRetry    time.Duration
	// KnownNetwork is how long a network counts as known after a login.
	KnownNetwork time.Duration
	// ApplicationTokens is how many one user may have.
	ApplicationTokens int
}

// IdentityHeaders are the names of the headers that tell the upstream who calls.
type IdentityHeaders struct {
	User, UserID, Account, Type, Roles, Session string
}

// Rule says who may pass the gateway to paths below Prefix.
type Rule struct {
	// Prefix ends at a path segment: /api covers /api and /api/x, not /apix.
	Prefix string
	// Methods empty means all.
	Methods []string
	// Access is "public", "token" or "deny".
	Access string
	// Any one of Roles is needed, and all of Scopes; Kinds are the token kinds that count
	// ("access", "application"), empty for both.
	Roles, Scopes, Kinds []string
	// Words names the contract that words a refusal.
	Words string
	// Account limits the rule to tokens of one account.
	Account string
	// Source is where the rule was written.
	Source string
}

// Mount puts a contract on the listener.
type Mount struct {
	// Contract is the name of a built-in or loaded contract, or a file's path.
	Contract string
	// Name is unique; it defaults to the contract's name.
	Name string
	// Host empty means every host; Prefix empty means the root.
	Host, Prefix string
	// Account is the shortname whose users this mount serves, or "any".
	Account string
	// NoStatusList leaves the status claim out of its tokens.
	NoStatusList bool
	Keys         MountKeys
	// Source is where the mount was written.
	Source string
}

// MountKeys brings a secret that the vendor's verifiers already hold.
type MountKeys struct {
	SharedSecretFile string
	// SharedFor lists what the secret signs: "access", "application".
	SharedFor []string
	// WeakUntil allows a secret under 32 bytes until that day; zero is never.
	WeakUntil time.Time
}

// IssuerFor returns the issuer: the configured one, or the base URL of addr,
// an address really listened on.
func (c *Config) IssuerFor(addr string) string {
	if c.Issuer != "" {
		return c.Issuer
	}
	scheme := "http"
	if c.TLS.Cert != "" {
		scheme = "https"
	}
	return scheme + "://" + reachable(addr)
}

// Origin says where the value of a key came from: "default", "file:line:col",
// a variable or a flag.
func (c *Config) Origin(key string) string {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return originDefault
}

const originDefault = "default"

// Secret is a string that neither fmt, nor slog, nor an encoder prints.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt has nobody to tell

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
