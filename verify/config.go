package verify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

// Config says which tokens are accepted and with what they are checked. Issuer (or Secret and Issuers) must be set, and
// Audience to what the contract issues; everything else has a default that works.
type Config struct {
	// Issuer is the server's issuer, such as https://auth.example.com: the iss of its tokens, and where its keys and
	// its revocation feed are. It must be https unless the host is this machine or AllowPlainHTTP is set.
	Issuer string
	// Issuers are the values that iss may have; the default is Issuer alone. Former issuers of a server that was
	// renamed go here, together with the present one.
	Issuers []string

	// JWKSURL is where the keys are fetched; the default is Issuer + "/.well-known/jwks.json".
	JWKSURL string
	// JWKS, or the file JWKSFile, is a JWK Set to use instead of fetching one. It is read once, by New.
	JWKS     []byte
	JWKSFile string
	// Secret is the HMAC secret of an HS256 contract whose secret is shared, at least 32 bytes. Tokens are then
	// verified with it and with nothing else. Read "Shared secrets" in the package documentation first: whoever holds
	// it can mint tokens that this verifier accepts.
	Secret []byte
	// AllowShortSecret takes a Secret under 32 bytes, which can be guessed from one token.
	AllowShortSecret bool
	// JWKSCacheFile keeps the fetched keys, so that a service that starts while the issuer is down can verify. Whoever
	// can write the file can mint tokens; it is written with mode 0600.
	JWKSCacheFile string
	// MaxKeyAge is for how long fetched keys are used while the issuer does not answer; the default is seven days.
	MaxKeyAge time.Duration

	// Audience is the one audience that a token must be for. "" demands that it has none.
	Audience string
	// KindClaim and KindValue are the claim that says the kind of a token and the value it must have. The defaults are
	// "token_use" and "access"; for the ItemPath contract KindClaim is "type".
	KindClaim, KindValue string
	// Type is the typ that the header must have, such as "at+jwt" (RFC 9068); "" asks for none.
	Type string
	// Scopes are needed in every token.
	Scopes []string
	// MaxLifetime is the most time between iat and exp; the default is 24 h. Without a feed it bounds for how long a
	// revoked token is accepted.
	MaxLifetime time.Duration
	// Leeway is for how long after exp a token is still taken, at most a minute, where this machine's clock cannot be
	// kept right. The default is none.
	Leeway time.Duration

	// Revocations follows the server's revocation feed; nil follows none.
	Revocations *Revocations
	// AllowApplicationTokens takes application tokens, which have no exp. It needs Revocations, without StaleOK: they
	// end by revocation alone.
	AllowApplicationTokens bool
	// ApplicationKindValue is the value of KindClaim in application tokens. The default is "application"; for the
	// ItemPath contract it is "access".
	ApplicationKindValue string

	// CacheSize is how many accepted tokens are remembered, about; the default is 4096, below zero is none.
	CacheSize int
	// HTTPClient fetches keys and feed; the default is one with the transport of net/http. Redirects to other hosts
	// are not followed, whatever it says.
	HTTPClient *http.Client
	// AllowPlainHTTP takes an issuer without TLS. Whoever stands in between can then put in keys of their own, unless
	// JWKS is given.
	AllowPlainHTTP bool
	// Clock tells the time by which tokens are judged; the default is time.Now.
	Clock func() time.Time
	// Logger gets what an operator should know: fetches that fail, a feed that falls silent and returns. The default is
	// slog.Default(). Tokens and secrets are never logged.
	Logger *slog.Logger
}

// Revocations says how the revocation feed is followed.
type Revocations struct {
	// URL is the feed; the default is Issuer + "/_sallyport/revocations".
	URL string
	// Authorization gives the value of the Authorization header, asked before each poll. It is needed.
	Authorization func(ctx context.Context) (string, error)
	// Account is the account whose users' tokens come here, for tokens that do not name theirs (claim acct). "" means
	// that revocations of accounts are not seen in such tokens.
	Account string
	// StaleOK accepts tokens, with a line in the log, when the feed has not been heard for StaleAfter. The default is
	// to refuse them with ErrStale.
	StaleOK bool
	// StaleAfter is how long a silence is too long; the default is 30 s, the least 15 s.
	StaleAfter time.Duration
	// MaxFacts bounds the revocations kept in memory; the default is 1,000,000, which take about 200 MB. When there are
	// more the verifier is stale.
	MaxFacts int
}

// Defaults.
const (
	defaultKindClaim  = "token_use"
	defaultKindValue  = "access"
	defaultLifetime   = 24 * time.Hour
	defaultMaxKeyAge  = 7 * 24 * time.Hour
	defaultCacheSize  = 4096
	defaultStaleAfter = 30 * time.Second
	leastStaleAfter   = 15 * time.Second
	defaultMaxFacts   = 1_000_000
	mostLeeway        = time.Minute

	pathJWKS        = "/.well-known/jwks.json"
	pathRevocations = "/_sallyport/revocations"
)

// withDefaults returns a checked copy with everything filled in.
func (c Config) withDefaults() (Config, error) {
	if c.Issuer == "" && (len(c.Issuers) == 0 || c.fetches() && c.JWKSURL == "") {
		return c, configError("Issuer is empty; set it to the issuer of the server, as in https://auth.example.com")
	}
	if len(c.Issuers) == 0 {
		c.Issuers = []string{c.Issuer}
	}
	if slices.Contains(c.Issuers, "") {
		return c, configError("an entry of Issuers is empty")
	}
	c.KindClaim = or(c.KindClaim, defaultKindClaim)
	c.KindValue = or(c.KindValue, defaultKindValue)
	c.ApplicationKindValue = or(c.ApplicationKindValue, string(token.Application))
	c.MaxLifetime = or(c.MaxLifetime, defaultLifetime)
	c.MaxKeyAge = or(c.MaxKeyAge, defaultMaxKeyAge)
	c.CacheSize = or(c.CacheSize, defaultCacheSize)
	if c.MaxLifetime < time.Second || c.MaxKeyAge < 0 {
		return c, configError("MaxLifetime must be at least a second and MaxKeyAge positive")
	}
	if c.Leeway < 0 || c.Leeway > mostLeeway {
		return c, configError("Leeway is %s; at most %s is possible, set the clock right instead", c.Leeway, mostLeeway)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := c.checkKeys(); err != nil {
		return c, err
	}
	if err := c.checkFeed(); err != nil {
		return c, err
	}
	c.HTTPClient = ownHostOnly(c.HTTPClient)
	return c, nil
}

// fetches reports whether keys are to be fetched.
func (c *Config) fetches() bool {
	return c.JWKS == nil && c.JWKSFile == "" && (c.Secret == nil || c.Revocations != nil)
}

func (c *Config) checkKeys() error {
	switch {
	case c.JWKS != nil && c.JWKSFile != "":
		return configError("JWKS and JWKSFile are both set; give one")
	case c.Secret != nil && c.Revocations == nil && (c.JWKS != nil || c.JWKSFile != ""):
		return configError("Secret and a JWK Set are both set; tokens are of one contract, give what that one signs with")
	case !c.fetches() && c.JWKSURL != "":
		return configError("JWKSURL is set and keys are given; leave one out")
	case !c.fetches() && c.JWKSCacheFile != "":
		return configError("JWKSCacheFile is set and no keys are fetched; leave it out")
	}
	if !c.fetches() {
		return nil
	}
	c.JWKSURL = or(c.JWKSURL, strings.TrimSuffix(c.Issuer, "/")+pathJWKS)
	return c.checkURL("JWKSURL", c.JWKSURL)
}

func (c *Config) checkFeed() error {
	if c.Revocations == nil {
		if c.AllowApplicationTokens {
			return configError("AllowApplicationTokens needs Revocations: a token without exp that nobody revokes is good for ever")
		}
		return nil
	}
	r := *c.Revocations
	r.StaleAfter = or(r.StaleAfter, defaultStaleAfter)
	r.MaxFacts = or(r.MaxFacts, defaultMaxFacts)
	r.URL = or(r.URL, strings.TrimSuffix(c.Issuer, "/")+pathRevocations)
	c.Revocations = &r
	switch {
	case c.Issuer == "":
		return configError("Revocations needs Issuer: the feed must be the issuer's")
	case r.Authorization == nil:
		return configError("Revocations.Authorization is nil; readers of the feed authenticate")
	case r.StaleOK && c.AllowApplicationTokens:
		return configError("AllowApplicationTokens and StaleOK together would accept a revoked token for ever; leave one out")
	case r.StaleAfter < leastStaleAfter:
		return configError("StaleAfter is %s; at least %s is needed to hear of anything", r.StaleAfter, leastStaleAfter)
	case r.MaxFacts < 0:
		return configError("MaxFacts is negative")
	}
	return c.checkURL("Revocations.URL", r.URL)
}

// checkURL demands TLS: whoever can answer in the issuer's place can mint tokens.
func (c *Config) checkURL(name, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return configError("%s is %q; write it as in https://auth.example.com", name, text)
	}
	if u.Scheme == "http" && !c.AllowPlainHTTP && !loopback(u) {
		return configError("%s is %q, without TLS; use https, or set AllowPlainHTTP where the network is yours alone", name, text)
	}
	return nil
}

func loopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// or returns value, or fallback where value is zero.
func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// staticKeys reads the keys that were given, nil when none were.
func (c *Config) staticKeys() ([]*token.Key, error) {
	data, from := c.JWKS, "JWKS"
	if c.JWKSFile != "" {
		var err error
		if data, err = os.ReadFile(c.JWKSFile); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		from = c.JWKSFile
	}
	if data == nil {
		return nil, nil
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, from, err)
	}
	return keys, nil
}

func (c *Config) secretKey() (*token.Key, error) {
	k, err := token.NewHMAC("", c.Secret)
	if c.AllowShortSecret && len(c.Secret) > 0 {
		k, err = token.NewRequestKey(c.Secret)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: Secret: %w", ErrConfig, err)
	}
	return k, nil
}

// rules are what tokens are judged by: those with exp first.
func (c *Config) rules() []*token.Rules {
	access := &token.Rules{
		Kind: token.Access, KindClaim: c.KindClaim, KindValue: c.KindValue, Typ: c.Type,
		Issuers: slices.Clone(c.Issuers), Audience: c.Audience,
		MaxLifetime: int64(c.MaxLifetime / time.Second), ExpirySkew: int64(c.Leeway / time.Second),
		// Facts are compared with the epoch in the sid. A token without one could not be told from a revoked one.
		RequireSession: c.Revocations != nil,
	}
	if !c.AllowApplicationTokens {
		return []*token.Rules{access}
	}
	application := *access
	application.Kind, application.KindValue = token.Application, c.ApplicationKindValue
	application.NoExpiry, application.RequireSession = true, false
	return []*token.Rules{access, &application}
}
