package config

import (
	"strings"
	"sync"
)

// Kind is the type of a setting as documentation names it.
type Kind string

// The kinds of settings and how each is written.
const (
	KindString   Kind = "text"
	KindPath     Kind = "path"
	KindURL      Kind = "URL"
	KindBool     Kind = "true or false"
	KindInt      Kind = "number"
	KindDuration Kind = "duration"
	KindList     Kind = "list"
	KindSecret   Kind = "secret"
	KindRules    Kind = "list of rules"
	KindMounts   Kind = "list of mounts"
)

// Key is one setting.
type Key struct {
	// Name is the place in the YAML file, parts joined by dots.
	Name string
	Kind Kind
	// Default is the default as one would write it.
	Default string
	// Doc is one or two sentences.
	Doc string

	ptr   any // of the field in the Config that bind was given
	check func(v any) string
}

// Env is the variable that sets the key.
func (k Key) Env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// Flag is the flag that sets the key, without dashes; "" for a secret.
func (k Key) Flag() string {
	if k.Kind == KindSecret {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.Name)
}

// Section is the part of the name before the last dot.
func (k Key) Section() string {
	i := strings.LastIndexByte(k.Name, '.')
	if i < 0 {
		return ""
	}
	return k.Name[:i]
}

// EnvPrefix begins every variable that is a setting.
const EnvPrefix = "SALLYPORT_"

// Keys lists every setting in the order of the documentation.
var Keys = sync.OnceValue(func() []Key { return bind(&Config{}) })

// bind is the table: every row points to its field of c.
func bind(c *Config) []Key {
	var ks []Key
	for _, part := range [][]Key{
		bindServer(c), bindStore(c), bindGateway(c), bindContracts(c), bindPolicy(c), bindOperation(c),
	} {
		ks = append(ks, part...)
	}
	return ks
}

func bindServer(c *Config) []Key {
	return []Key{
		{
			Name: "data", Kind: KindPath, Default: "./sallyport-data", ptr: &c.Data, check: notEmpty,
			Doc: "The data directory: the store, the sealed signing keys and the admin socket. It is made with mode 0700 when it is missing.",
		},
		{
			Name: "listen", Kind: KindList, Default: "127.0.0.1:8080", ptr: &c.Listen, check: addresses,
			Doc: "Where clients connect: host:port or unix:/path, one or several. Port 0 takes a free one; 0.0.0.0:8080 is every IPv4 address of the machine.",
		},
		{
			Name: "private_listen", Kind: KindList, Default: "127.0.0.1:8081", ptr: &c.PrivateListen, check: addresses,
			Doc: "Where health, readiness and metrics are served. It asks for no login, so it stays on loopback; an empty list turns it off.",
		},
		{
			Name: "private_off_loopback", Kind: KindBool, Default: "false", ptr: &c.PrivateOffLoopback,
			Doc: "Lets private_listen be reached from other machines, for probes and scrapers that live elsewhere.",
		},
		{
			Name: "private_hosts", Kind: KindList, ptr: &c.PrivateHosts, check: hostNames,
			Doc: "Host names under which the private listener answers, beside localhost and its own address. Others are refused, so that a web page cannot reach it by rebinding its name.",
		},
		{
			Name: "issuer", Kind: KindURL, ptr: &c.Issuer, check: baseURL,
			Doc: "The base URL that stands in tokens and metadata, as clients reach it. When empty it is made from the first listen address, which suits a trial only: it is stored at first start.",
		},
		{
			Name: "tls.cert", Kind: KindPath, ptr: &c.TLS.Cert,
			Doc: "The certificate chain in PEM. A changed file is taken up within a second of the next handshake; a broken one leaves the old in use.",
		},
		{
			Name: "tls.key", Kind: KindPath, ptr: &c.TLS.Key,
			Doc: "The private key of tls.cert in PEM.",
		},
		{
			Name: "h2c", Kind: KindBool, Default: "false", ptr: &c.H2C,
			Doc: "Accepts HTTP/2 without TLS on the public listener, as some proxies speak it. HTTP/2 over TLS is always on.",
		},
		{
			Name: "trusted_proxies", Kind: KindList, ptr: &c.TrustedProxies, check: networks,
			Doc: "Addresses and networks of the proxies whose forwarding headers count; the word unix stands for peers on Unix sockets. The default believes nobody.",
		},
		{
			Name: "trusted_header", Kind: KindString, Default: "x-forwarded-for", ptr: &c.TrustedHeader, check: oneOf("x-forwarded-for", "forwarded"),
			Doc: "The header family that those proxies set: x-forwarded-for, or forwarded (RFC 7239). The other is ignored, because a proxy passes it on as the client wrote it.",
		},
	}
}

func bindGateway(c *Config) []Key {
	h := &c.Gateway.IdentityHeaders
	return []Key{
		{
			Name: "upstream", Kind: KindURL, ptr: &c.Upstream, check: upstreamURL,
			Doc: "The API to protect. Everything but the contracts' own routes and ours goes there when the token is good; when empty there is no reverse proxy.",
		},
		{
			Name: "upstream_timeout.connect", Kind: KindDuration, Default: "5s", ptr: &c.UpstreamTimeout.Connect, check: between("100ms", "5m"),
			Doc: "How long connecting to the upstream may take.",
		},
		{
			Name: "upstream_timeout.response_header", Kind: KindDuration, Default: "1m", ptr: &c.UpstreamTimeout.ResponseHeader, check: between("100ms", "1h"),
			Doc: "How long the upstream may take to begin its answer. The answer itself may stream for as long as it likes.",
		},
		{
			Name: "upstream_timeout.idle", Kind: KindDuration, Default: "90s", ptr: &c.UpstreamTimeout.Idle, check: between("1s", "1h"),
			Doc: "How long an unused connection to the upstream is kept.",
		},
		{
			Name: "gateway.rules", Kind: KindRules, ptr: &c.Gateway.Rules,
			Doc: "Who may call which paths of the upstream, the longest prefix first. Without rules every path needs a token.",
		},
		{
			Name: "gateway.words", Kind: KindString, ptr: &c.Gateway.Words,
			Doc: "The contract that words a refusal when neither the rule, the token nor the path names one. When empty it is the first mount.",
		},
		{
			Name: "gateway.cors", Kind: KindString, Default: "upstream", ptr: &c.Gateway.CORS, check: oneOf("own", "upstream"),
			Doc: "Who answers a browser's CORS preflight on proxied paths: upstream, or own, which uses the cors settings. A preflight is never refused for want of a token.",
		},
		{
			Name: "gateway.pass_cookies", Kind: KindBool, Default: "false", ptr: &c.Gateway.PassCookies,
			Doc: "Passes the cookies that contracts read access tokens from on to the upstream, for an API that reads them itself. Otherwise they end here; other cookies always pass.",
		},
		{
			Name: "gateway.identity_headers.user", Kind: KindString, Default: "X-Sallyport-User", ptr: &h.User, check: headerName,
			Doc: "The header that tells the upstream the login name. Whatever a client sends under this name is removed.",
		},
		{
			Name: "gateway.identity_headers.user_id", Kind: KindString, Default: "X-Sallyport-User-Id", ptr: &h.UserID, check: headerName,
			Doc: "The header with the user's id.",
		},
		{
			Name: "gateway.identity_headers.account", Kind: KindString, Default: "X-Sallyport-Account", ptr: &h.Account, check: headerName,
			Doc: "The header with the account's short name.",
		},
		{
			Name: "gateway.identity_headers.type", Kind: KindString, Default: "X-Sallyport-Type", ptr: &h.Type, check: headerName,
			Doc: "The header with the type of the subject.",
		},
		{
			Name: "gateway.identity_headers.roles", Kind: KindString, Default: "X-Sallyport-Roles", ptr: &h.Roles, check: headerName,
			Doc: "The header with the roles.",
		},
		{
			Name: "gateway.identity_headers.session", Kind: KindString, Default: "X-Sallyport-Session", ptr: &h.Session, check: headerName,
			Doc: "The header with the session's id.",
		},
		{
			Name: "forward_auth.proxies", Kind: KindList, ptr: &c.ForwardAuth.Proxies, check: networks,
			Doc: "Addresses and networks of the proxies that may ask the forward-auth endpoints; unix stands for Unix sockets. The default refuses everybody and logs the line to add.",
		},
	}
}

func bindContracts(c *Config) []Key {
	return []Key{
		{
			Name: "mounts", Kind: KindMounts, ptr: &c.Mounts,
			Doc: "The contracts to serve, and where. The default is the three built-in ones, at the root, for the account default.",
		},
		{
			Name: "contracts.dir", Kind: KindPath, ptr: &c.Contracts.Dir,
			Doc: "A folder of contract files (*.yaml) that mounts may name.",
		},
		{
			Name: "contracts.files", Kind: KindList, ptr: &c.Contracts.Files,
			Doc: "Single contract files that mounts may name.",
		},
		{
			Name: "cors.origins", Kind: KindList, ptr: &c.CORS.Origins, check: origins,
			Doc: "The web origins that may call our routes from a browser, such as https://app.example, or * alone for all. The default allows none.",
		},
		{
			Name: "cors.methods", Kind: KindList, Default: "GET,POST,PUT,PATCH,DELETE", ptr: &c.CORS.Methods, check: methods,
			Doc: "The methods that a preflight grants.",
		},
		{
			Name: "cors.headers", Kind: KindList, Default: "Authorization,Content-Type,X-Api-Version", ptr: &c.CORS.Headers, check: headerNames,
			Doc: "The request headers that a preflight grants.",
		},
		{
			Name: "cors.expose", Kind: KindList, Default: "X-Api-Version,X-Request-Id", ptr: &c.CORS.Expose, check: headerNames,
			Doc: "The response headers that scripts may read.",
		},
		{
			Name: "cors.credentials", Kind: KindBool, Default: "false", ptr: &c.CORS.Credentials,
			Doc: "Lets browsers send cookies. It needs origins by name.",
		},
		{
			Name: "cors.max_age", Kind: KindDuration, Default: "10m", ptr: &c.CORS.MaxAge, check: between("0s", "24h"),
			Doc: "How long a browser may remember a preflight.",
		},
	}
}

func bindPolicy(c *Config) []Key {
	l := &c.Limits
	return []Key{
		{
			Name: "password.min_length", Kind: KindInt, Default: "15", ptr: &c.Password.MinLength, check: intBetween(8, 64),
			Doc: "The least number of characters of a new password. Existing ones are left alone.",
		},
		{
			Name: "password.slots", Kind: KindInt, Default: "0", ptr: &c.Password.Slots, check: intBetween(0, 1024),
			Doc: "How many passwords are hashed at once; each takes 19 MiB and one core. 0 is the number of cores less one.",
		},
		{
			Name: "password.queue", Kind: KindInt, Default: "0", ptr: &c.Password.Queue, check: intBetween(0, 100_000),
			Doc: "How many logins may wait for a slot before more are refused with 429. 0 is 64 for each slot.",
		},
		{
			Name: "sessions.grace", Kind: KindDuration, Default: "2m", ptr: &c.Sessions.Grace, check: between("0s", "10m"),
			Doc: "How long after a rotation the previous refresh token still yields the same successor, for lost answers and second tabs. Later it counts as stolen and ends the session.",
		},
		{
			Name: "sessions.max_per_subject", Kind: KindInt, Default: "200", ptr: &c.Sessions.MaxPerSubject, check: intBetween(1, 100_000),
			Doc: "How many live sessions a user or API key may have; the longest idle one ends first.",
		},
		{
			Name: "keys.rotate_every", Kind: KindDuration, Default: "2160h", ptr: &c.Keys.RotateEvery, check: between("0s", "87600h"),
			Doc: "How old a signing key with a public part gets before another takes its place (2160h is 90 days). 0 rotates by hand alone, with `sallyport key rotate`. Refresh tokens' keys and shared secrets are never rotated unasked.",
		},
		{
			Name: "keys.publish_ahead", Kind: KindDuration, Default: "24h", ptr: &c.Keys.PublishAhead, check: between("10m", "720h"),
			Doc: "How long a new key is published before it signs, so that every verifier has it by then. The keys are served with a max-age of at most five minutes; a proxy or a library that keeps them longer needs more.",
		},
		{
			Name: "oauth.enabled", Kind: KindBool, Default: "true", ptr: &c.OAuth.Enabled,
			Doc: "Serve OAuth 2.0 and OpenID Connect under /oauth2/ and their discovery documents. Nothing gets a token there before `sallyport client add` made a client.",
		},
		{
			Name: "oauth.login_lifetime", Kind: KindDuration, Default: "12h", ptr: &c.OAuth.LoginLifetime, check: between("5m", "2160h"),
			Doc: "How long a browser stays logged in at the hosted login page.",
		},
		{
			Name: "oauth.login_idle", Kind: KindDuration, Default: "2h", ptr: &c.OAuth.LoginIdle, check: between("5m", "2160h"),
			Doc: "A browser's login that was not used this long is over.",
		},
		{
			Name: "oauth.stylesheet", Kind: KindPath, ptr: &c.OAuth.Stylesheet,
			Doc: "A CSS file that takes the place of the one of the hosted login pages; docs/login-pages.md says what there is to style. It is read at start.",
		},
		{
			Name: "oauth.status_list", Kind: KindBool, Default: "true", ptr: &c.OAuth.StatusList,
			Doc: "Puts the status claim into the access tokens of OAuth sessions, for verifiers that read token status lists.",
		},
		{
			Name: "limits.body", Kind: KindInt, Default: "65536", ptr: &l.Body, check: intBetween(1024, 16<<20),
			Doc: "The largest request body of our own routes, in bytes. Proxied requests are not limited.",
		},
		{
			Name: "limits.request_timeout", Kind: KindDuration, Default: "30s", ptr: &l.RequestTimeout, check: between("1s", "10m"),
			Doc: "How long a request to our own routes may take, reading its body included.",
		},
		{
			Name: "limits.header_timeout", Kind: KindDuration, Default: "10s", ptr: &l.HeaderTimeout, check: between("100ms", "5m"),
			Doc: "How long a client may take to send its request headers.",
		},
		{
			Name: "limits.idle_timeout", Kind: KindDuration, Default: "2m", ptr: &l.IdleTimeout, check: between("1s", "1h"),
			Doc: "How long an unused client connection is kept.",
		},
		{
			Name: "limits.connections", Kind: KindInt, Default: "0", ptr: &l.Connections, check: intBetween(0, 1_000_000),
			Doc: "How many client connections may be open; beyond it the longest idle one is closed. 0 is 8192, or a third of the file descriptors of the process if that is less.",
		},
		{
			Name: "limits.connections_per_peer", Kind: KindInt, Default: "0", ptr: &l.ConnectionsPerPeer, check: intBetween(0, 1_000_000),
			Doc: "How many of them one address (of IPv6, one /64) may have; beyond it its own longest idle one is closed, or the new one when none is idle. Listed proxies may have all. 0 is a quarter. Raise it when a balancer that is not listed hides the clients' addresses.",
		},
		{
			Name: "limits.stranger_failures", Kind: KindInt, Default: "100", ptr: &l.StrangerFailures, check: intBetween(5, 10_000),
			Doc: "How many wrong passwords networks unknown to a user may try against a login name. Networks the user logged in from have a budget of their own.",
		},
		{
			Name: "limits.stranger_retry", Kind: KindDuration, Default: "10m", ptr: &l.StrangerRetry, check: between("1s", "24h"),
			Doc: "How often strangers may try once more after that.",
		},
		{
			Name: "limits.known_network", Kind: KindDuration, Default: "720h", ptr: &l.KnownNetwork, check: between("1h", "8760h"),
			Doc: "How long a network counts as known to a user after a login from it.",
		},
		{
			Name: "limits.application_tokens", Kind: KindInt, Default: "10", ptr: &l.ApplicationTokens, check: intBetween(1, 10_000),
			Doc: "How many application tokens a user may have.",
		},
		{
			Name: "audit.keep", Kind: KindDuration, Default: "9600h", ptr: &c.Audit.Keep, check: keepAudit,
			Doc: "How long audit records are kept; 0 is for ever. What goes is told in the log itself, so that it can still be proved whole.",
		},
		{
			Name: "audit.ship", Kind: KindList, ptr: &c.Audit.Ship, check: shipTargets,
			Doc: "Where audit records are also sent, as they come: syslog+udp://HOST:514, syslog+tcp://HOST:601, syslog+unix:///dev/log (RFC 5424), or file:///PATH (a JSON object a line). See docs/audit.md.",
		},
		{
			Name: "max_staleness", Kind: KindDuration, Default: "5s", ptr: &c.MaxStaleness, check: between("1s", "1m"),
			Doc: "How long a node that cannot hear of revocations goes on accepting tokens before it answers 503.",
		},
	}
}

func bindOperation(c *Config) []Key {
	return []Key{
		{
			Name: "master_key_file", Kind: KindPath, ptr: &c.MasterKeyFile,
			Doc: "The file of the master key that seals the signing keys. When empty it lies in the data directory, where the first start makes it.",
		},
		{
			Name: "master_key", Kind: KindSecret, ptr: &c.MasterKey,
			Doc: "The master key itself. It comes from the environment alone; a file or a flag is refused.",
		},
		{
			Name: "facts_journal", Kind: KindPath, ptr: &c.FactsJournal,
			Doc: "The file to which every revocation is also written, for restored backups: see docs/backup.md. When empty it is facts.journal beside the master key, or in the data directory if that folder cannot be written. Best on another disk than the store; every node needs one of its own.",
		},
		{
			Name: "ballast", Kind: KindInt, Default: "16777216", ptr: &c.Ballast, check: intBetween(0, 1<<30),
			Doc: "How many bytes of the store's disk are kept back, by a file in the data directory or a table in PostgreSQL, so that revocations can be written when it is full. 0 keeps none.",
		},
		{
			Name: "log.format", Kind: KindString, Default: "auto", ptr: &c.Log.Format, check: oneOf("auto", "json", "text"),
			Doc: "json, text, or auto, which is text on a terminal and JSON elsewhere.",
		},
		{
			Name: "log.level", Kind: KindString, Default: "info", ptr: &c.Log.Level, check: oneOf("debug", "info", "warn", "error"),
			Doc: "The least serious lines to write: debug, info, warn or error.",
		},
		{
			Name: "log.access", Kind: KindBool, Default: "true", ptr: &c.Log.Access,
			Doc: "Writes a line for every request, without query, headers or tokens. JSON lines into a file or a pipe are written several at once, within a tenth of a second: a crash can lose that much of them, and of no other lines.",
		},
		{
			Name: "metrics", Kind: KindBool, Default: "true", ptr: &c.Metrics,
			Doc: "Serves Prometheus metrics at /metrics on the private listener.",
		},
		{
			Name: "pprof", Kind: KindBool, Default: "false", ptr: &c.Pprof,
			Doc: "Serves Go's profiler at /debug/pprof/ on the private listener. A profile can hold secrets.",
		},
		{
			Name: "shutdown_timeout", Kind: KindDuration, Default: "5s", ptr: &c.ShutdownTimeout, check: between("500ms", "5m"),
			Doc: "How long a stop may take: requests in flight finish, streams are cut at the end.",
		},
		{
			Name: "dev", Kind: KindBool, Default: "false", ptr: &c.Dev,
			Doc: "Serves a demo: an upstream, users and an API key with random secrets, thrown away at the end.",
		},
		{
			Name: "dev_off_loopback", Kind: KindBool, Default: "false", ptr: &c.DevOffLoopback,
			Doc: "Lets a demo listen on other addresses than loopback.",
		},
	}
}
