package verify

import (
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
	// Secret is the HMAC secret of an HS256 contract whose secret is shared, at least 32 bytes. The contract's tokens are
	// then verified with it and with nothing else. Read "Shared secrets" in the package documentation first: whoever
	// holds it can mint tokens that this verifier accepts.
	Secret []byte
	// Secrets are more of them, each taken like Secret: while a secret is replaced, the tokens under the old one live on.
	Secrets [][]byte
	// AllowShortSecret takes secrets under 32 bytes, which can be guessed from one token.
	AllowShortSecret bool
	// JWKSCacheFile keeps the fetched keys, so that a service that starts while the issuer is down can verify. Whoever
	// can write the file can mint tokens; it is written with mode 0600, and one that others can write is not read. Put it
	// into a folder of the service's own.
	JWKSCacheFile string
	// MaxKeyAge is for how long fetched keys are used while the issuer does not answer; the default is seven days.
	MaxKeyAge time.Duration

	// Accept says whose access tokens are taken: a contract's (ContractTokens, the default), those of the OAuth endpoints
	// (OAuthTokens), or both (ContractTokens | OAuthTokens). Nothing else that the server signs passes as either.
	Accept Tokens
	// Audience is the one audience that a token must be for. "" demands that it has none.
	Audience string
	// OAuthAudience is Audience for OAuth access tokens, which always name one: the issuer, unless their client asks for
	// another (resource). The default is Audience.
	OAuthAudience string
	// SharedAudience takes OAuth access tokens that are for others beside OAuthAudience. Each of those others can then
	// present them here.
	SharedAudience bool
	// KindClaim and KindValue are the claim that says the kind of a contract's token and the value it must have. The
	// defaults are "token_use" and "access"; for the ItemPath contract KindClaim is "type".
	KindClaim, KindValue string
	// Type is the typ that the header of a contract's tokens must have; "" asks for JWT or none.
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
	// StatusLists looks up the tokens that name a status list in it; nil leaves them. One of Revocations and StatusLists
	// is enough to hear of revocations; with both, a token that either calls revoked is refused.
	StatusLists *StatusLists
	// AllowApplicationTokens takes application tokens, which have no exp. It needs Revocations or StatusLists, without
	// StaleOK: they end by revocation alone. With StatusLists alone, one that names no list is refused.
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

// Tokens is a set of kinds of access tokens.
type Tokens uint

const (
	// ContractTokens are the access tokens of a contract. A claim says that they are (Config.KindClaim), and their typ is
	// JWT or absent, unless Config.Type says otherwise.
	ContractTokens Tokens = 1 << iota
	// OAuthTokens are access tokens of the OAuth endpoints (RFC 9068): their typ is at+jwt, they name their client, and
	// they do not have the claim by which a contract tells kinds apart.
	OAuthTokens
)

// oauthType is the typ of OAuth access tokens (RFC 9068 section 2.1).
const oauthType = "at+jwt"

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
	c.Accept = or(c.Accept, ContractTokens)
	c.OAuthAudience = or(c.OAuthAudience, c.Audience)
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
	if err := c.checkTokens(); err != nil {
		return c, err
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

// secrets are all of them.
func (c *Config) secrets() [][]byte {
	if c.Secret == nil {
		return c.Secrets
	}
	return append([][]byte{c.Secret}, c.Secrets...)
}

// hasSecret reports that the contract's tokens are verified with secrets.
func (c *Config) hasSecret() bool { return c.Secret != nil || len(c.Secrets) > 0 }

// takes reports whether tokens of a kind are accepted.
func (c *Config) takes(t Tokens) bool { return c.Accept&t != 0 }

// needsKeys reports whether there is anything to verify with public keys.
func (c *Config) needsKeys() bool {
	return !c.hasSecret() || c.takes(OAuthTokens) || c.Revocations != nil || c.StatusLists != nil
}

// fetches reports whether keys are to be fetched.
func (c *Config) fetches() bool { return c.needsKeys() && c.JWKS == nil && c.JWKSFile == "" }

func (c *Config) checkTokens() error {
	switch {
	case c.Accept&^(ContractTokens|OAuthTokens) != 0:
		return configError("Accept is %d; use ContractTokens, OAuthTokens or both", c.Accept)
	case c.takes(OAuthTokens) && c.OAuthAudience == "":
		return configError("OAuthAudience is empty, and OAuth access tokens always name one: the issuer unless their client asked for another")
	case !c.takes(OAuthTokens) && (c.SharedAudience || c.OAuthAudience != c.Audience):
		return configError("OAuthAudience and SharedAudience are about OAuth access tokens; set Accept to take those")
	case !c.takes(ContractTokens) && (c.hasSecret() || c.Type != ""):
		return configError("Secret and Type are about a contract's tokens; set Accept to ContractTokens, or to both")
	case !c.takes(ContractTokens) && c.AllowApplicationTokens:
		return configError("AllowApplicationTokens is about a contract's tokens; set Accept to both")
	}
	return nil
}

func (c *Config) checkKeys() error {
	given := c.JWKS != nil || c.JWKSFile != ""
	switch {
	case c.JWKS != nil && c.JWKSFile != "":
		return configError("JWKS and JWKSFile are both set; give one")
	case given && !c.needsKeys():
		return configError("Secret and a JWK Set are both set; tokens are of one contract, give what that one signs with")
	case !c.fetches() && c.JWKSURL != "":
		return configError("JWKSURL is set and no keys are fetched; leave it out")
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
	if c.AllowApplicationTokens {
		switch {
		case c.Revocations == nil && c.StatusLists == nil:
			return configError("AllowApplicationTokens needs Revocations or StatusLists: a token without exp that nobody revokes is good for ever")
		case c.Revocations != nil && c.Revocations.StaleOK, c.StatusLists != nil && c.StatusLists.StaleOK:
			return configError("AllowApplicationTokens and StaleOK together would accept a revoked token for ever; leave one out")
		}
	}
	if err := c.checkStatusLists(); err != nil || c.Revocations == nil {
		return err
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
	case r.StaleAfter < leastStaleAfter:
		return configError("StaleAfter is %s; at least %s is needed to hear of anything", r.StaleAfter, leastStaleAfter)
	case r.MaxFacts < 0:
		return configError("MaxFacts is negative")
	}
	return c.checkURL("Revocations.URL", r.URL)
}

func (c *Config) checkStatusLists() error {
	if c.StatusLists == nil {
		return nil
	}
	l := *c.StatusLists
	l.Every = or(l.Every, defaultListEvery)
	l.StaleAfter = or(l.StaleAfter, defaultStaleAfter)
	l.MaxLists = or(l.MaxLists, defaultMaxLists)
	l.MaxBytes = or(l.MaxBytes, defaultMaxBytes)
	c.StatusLists = &l
	switch {
	case c.Issuer == "":
		return configError("StatusLists needs Issuer: lists are fetched from there and from nowhere else")
	case l.Every < leastListEvery || l.StaleAfter < 2*l.Every:
		return configError("StatusLists.Every must be at least %s, and StaleAfter twice as long as it", leastListEvery)
	case l.MaxLists < 0 || l.MaxBytes < 0:
		return configError("StatusLists.MaxLists or MaxBytes is negative")
	}
	return c.checkURL("Issuer", c.Issuer)
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

func (c *Config) secretKeys() ([]*token.Key, error) {
	var keys []*token.Key
	for _, secret := range c.secrets() {
		k, err := token.NewHMAC("", secret)
		if c.AllowShortSecret && len(secret) > 0 {
			k, err = token.NewRequestKey(secret)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: Secret: %w", ErrConfig, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// rules are what tokens are judged by: a contract's, those with exp first, and OAuth's.
func (c *Config) rules() (contract, oauth []*token.Rules) {
	base := token.Rules{
		Kind: token.Access, Issuers: slices.Clone(c.Issuers), Audience: c.Audience,
		MaxLifetime: int64(c.MaxLifetime / time.Second), ExpirySkew: int64(c.Leeway / time.Second),
		// Facts are compared with the epoch in the sid. A token without one could not be told from a revoked one.
		RequireSession: c.Revocations != nil,
	}
	if c.takes(OAuthTokens) {
		r := base
		r.Typ, r.ForbiddenClaim, r.RequireClient = oauthType, c.KindClaim, true
		r.Audience, r.SharedAudience = c.OAuthAudience, c.SharedAudience
		oauth = append(oauth, &r)
	}
	if c.takes(ContractTokens) {
		access := base
		access.KindClaim, access.KindValue, access.Typ, access.PlainTyp = c.KindClaim, c.KindValue, c.Type, true
		contract = append(contract, &access)
	}
	if c.AllowApplicationTokens {
		application := *contract[0]
		application.Kind, application.KindValue = token.Application, c.ApplicationKindValue
		application.NoExpiry, application.RequireSession = true, false
		contract = append(contract, &application)
	}
	return contract, oauth
}
