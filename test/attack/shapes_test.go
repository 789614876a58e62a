package attack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
)

type adminClient = admin.OAuthClient

const inactive = `{"active":false}`

func members(r response, of map[string]any) error {
	if r.status < 400 || r.status >= 500 {
		return fmt.Errorf("status %d is no refusal", r.status)
	}
	if ct := r.header.Get("Content-Type"); ct != asJSON {
		return fmt.Errorf("content type %q", ct)
	}
	return json.Unmarshal(r.body, &of)
}

func pathstackShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	e, ok := m["error"].(map[string]any)
	if len(m) != 1 || !ok || e["code"] != float64(r.status) || e["message"] == "" {
		return fmt.Errorf("not PathStack's envelope: %s", r.body)
	}
	return nil
}

func itempathShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	msg, ok := m["msg"].(string)
	if !ok || msg == "" || len(m) != 1 {
		return fmt.Errorf("not ItemPath's envelope: %s", r.body)
	}
	return nil
}

func netographyShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(m))
	if !slices.Equal(names, []string{"message", "name", "status"}) || m["status"] != float64(r.status) || m["name"] != http.StatusText(r.status) {
		return fmt.Errorf("not Netography's error: %s", r.body)
	}
	return nil
}

func directusShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	list, _ := m["errors"].([]any)
	if len(m) != 1 || len(list) != 1 {
		return fmt.Errorf("not Directus's envelope: %s", r.body)
	}
	first, _ := list[0].(map[string]any)
	if msg, _ := first["message"].(string); msg == "" {
		return fmt.Errorf("not Directus's envelope: %s", r.body)
	}
	return nil
}

// anyShape is for the gateway, which speaks as the token's contract.
func anyShape(r response) error {
	for _, shape := range []func(response) error{pathstackShape, itempathShape, netographyShape, directusShape, bearerShape} {
		if shape(r) == nil {
			return nil
		}
	}
	return fmt.Errorf("no contract's shape: %s", r)
}

// bareShape is what nginx takes from its auth_request.
func bareShape(r response) error {
	if r.status != http.StatusUnauthorized {
		return fmt.Errorf("nginx knows 401 alone: %s", r)
	}
	return nil
}

// oauthShape is RFC 6749 section 5.2.
func oauthShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	name, _ := m["error"].(string)
	delete(m, "error")
	delete(m, "error_description")
	switch {
	case name == "" || len(m) != 0:
		return fmt.Errorf("not an OAuth error: %s", r.body)
	case r.header.Get("Cache-Control") != "no-store":
		return fmt.Errorf("Cache-Control is %q", r.header.Get("Cache-Control"))
	case (r.status == http.StatusUnauthorized) != (name == "invalid_client"):
		return fmt.Errorf("%d for %s", r.status, name)
	case r.status == http.StatusUnauthorized && !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic "):
		return fmt.Errorf("401 with WWW-Authenticate %q", r.header.Get("WWW-Authenticate"))
	}
	return nil
}

// bearerShape is RFC 6750 section 3.
func bearerShape(r response) error {
	m := map[string]any{}
	if err := members(r, m); err != nil {
		return err
	}
	name, _ := m["error"].(string)
	if challenge := r.header.Get("WWW-Authenticate"); name == "" || r.status < 404 && !strings.HasPrefix(challenge, "Bearer ") {
		return fmt.Errorf("not a refusal of a protected resource: %s, WWW-Authenticate %q", r.body, challenge)
	}
	return nil
}

func inactiveShape(r response) error {
	if r.status == 200 && string(r.body) == inactive {
		return nil
	}
	return oauthShape(r)
}

func revokedShape(r response) error {
	if r.status == 200 && len(r.body) == 0 {
		return nil
	}
	return oauthShape(r)
}

// toldShape is a redirect that tells the client of an error, and of nothing else.
func toldShape(r response, name string) error {
	if r.status == http.StatusBadRequest {
		return pageShape(r) // so malformed that no client can be told
	}
	to, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusSeeOther || !strings.HasPrefix(to.String(), callback+"?") {
		return fmt.Errorf("answered %s, Location %q", r, r.header.Get("Location"))
	}
	if q := to.Query(); q.Get("error") != name || q.Has("code") || q.Get("state") != "st" {
		return fmt.Errorf("the client is told %v", q)
	}
	return nil
}

// pageShape is an error page that sends nobody anywhere.
func pageShape(r response) error {
	if r.status < 400 || r.status >= 500 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || r.header.Get("Location") != "" {
		return fmt.Errorf("not an error page: %s", r)
	}
	return nil
}
