package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/httpd"
)

// document is the metadata of RFC 8414 section 2 and of OpenID Connect
// Discovery section 3. One text serves both: what the one does not know, it
// ignores.
type document struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint,omitempty"`
	Token                 string   `json:"token_endpoint"`
	Userinfo              string   `json:"userinfo_endpoint,omitempty"`
	EndSession            string   `json:"end_session_endpoint,omitempty"`
	JWKS                  string   `json:"jwks_uri"`
	Introspection         string   `json:"introspection_endpoint"`
	Revocation            string   `json:"revocation_endpoint"`
	StatusLists           string   `json:"status_list_aggregation_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	Grants                []string `json:"grant_types_supported"`
	Subjects              []string `json:"subject_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	Challenges            []string `json:"code_challenge_methods_supported"`
	Claims                []string `json:"claims_supported"`
	Prompts               []string `json:"prompt_values_supported,omitempty"`
	IssParameter          bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
}

// documents renders the metadata once: it depends on the configured issuer
// alone. An issuer with a path has its documents where each specification puts
// them: before the path (RFC 8414 section 3.1) and behind it (OpenID).
func (h *Handler) documents() error {
	issuer, err := url.Parse(h.cfg.Issuer)
	if err != nil || issuer.Host == "" {
		return fmt.Errorf("the issuer %q is not a URL", h.cfg.Issuer)
	}
	body, err := json.Marshal(h.describe())
	if err != nil {
		return fmt.Errorf("writing the metadata: %w", err)
	}
	h.meta = map[string][]byte{pathServer: body, pathOpenID: body}
	if path := strings.TrimSuffix(issuer.Path, "/"); path != "" {
		h.meta[pathServer+path], h.meta[path+pathOpenID], h.meta[pathOpenID+path] = body, body, body
	}
	return nil
}

func (h *Handler) describe() *document {
	base := strings.TrimSuffix(h.cfg.Issuer, "/")
	at := func(path string) string {
		if h.routes[path] == nil {
			return ""
		}
		return base + path
	}
	confidential := []string{string(core.AuthSecretBasic), string(core.AuthSecretPost), string(core.AuthPrivateKey)}
	anyone := append(append([]string{}, confidential...), string(core.AuthNone))
	asserted := []string{"ES256", "RS256", "EdDSA"}
	d := &document{
		Issuer: h.cfg.Issuer, Authorization: at(PathAuthorize), Token: at(PathToken), Userinfo: at(PathUserinfo), EndSession: at(PathLogout),
		JWKS: base + pathJWKS, Introspection: at(PathIntrospect), Revocation: at(PathRevoke),
		StatusLists: base + core.StatusListsPath,
		Scopes:      core.OIDCScopes(), ResponseTypes: []string{}, ResponseModes: []string{},
		Grants:   []string{core.GrantCode, core.GrantRefresh, core.GrantCredentials, core.GrantAssertion, core.GrantExchange},
		Subjects: []string{"public"}, TokenAuth: anyone, TokenAuthAlgs: asserted,
		IntrospectionAuth: confidential, IntrospectionAuthAlgs: asserted, RevocationAuth: anyone, RevocationAuthAlgs: asserted,
		Challenges: []string{"S256"}, IssParameter: true,
		Claims: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "preferred_username", "email", "email_verified", "updated_at",
		},
	}
	d.Claims = append(d.Claims, profileClaims...)
	for _, alg := range authserver.IDTokenAlgorithms() {
		d.IDTokenAlgs = append(d.IDTokenAlgs, string(alg))
	}
	if d.Authorization != "" {
		d.ResponseTypes, d.ResponseModes = []string{"code"}, []string{"query"}
		d.Prompts = []string{"none", "login", "consent"}
	}
	return d
}

// metadata serves a document to anybody, scripts of other origins included.
func (h *Handler) metadata(w http.ResponseWriter, r *http.Request) {
	hd := w.Header()
	hd.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		hd.Set("Allow", "GET, HEAD, OPTIONS")
		hd.Set("Access-Control-Allow-Methods", "GET, HEAD")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		hd.Set("Allow", "GET, HEAD, OPTIONS")
		h.writeError(w, r, core.Errorf(core.MethodNotAllowed, "this document answers GET"))
		return
	}
	hd.Set("Cache-Control", "public, max-age=300")
	_ = httpd.WriteJSON(w, http.StatusOK, json.RawMessage(h.meta[r.URL.Path])) // it was rendered by us
}
