package dump

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Type is the type of a column; rows have Go values of it, or nil where the
// column may be null.
type Type string

// The types.
const (
	Int   Type = "int"   // int64
	Bool  Type = "bool"  // bool
	Text  Type = "text"  // string
	Bytes Type = "bytes" // []byte
)

// Column is a column of a table.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	Null bool   `json:"null,omitempty"`
	// Default is the value for rows of a dump that was made before there was
	// this column; nil where there always was one.
	Default any `json:"-"`
}

// Table is a table, of names that a store may spell otherwise in its own.
type Table struct {
	Name    string
	Columns []Column
	Key     []string // columns that no two rows share
}

// Column tells where a column stands, -1 for none.
func (t *Table) Column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// MarshalJSON gives what a file says of a table.
func (t *Table) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name    string   `json:"name"`
		Columns []Column `json:"columns"`
	}{t.Name, t.Columns})
}

func cols(typ Type, names ...string) (out []Column) {
	for _, n := range names {
		out = append(out, Column{Name: n, Type: typ})
	}
	return out
}

func table(name string, key []string, columns ...[]Column) *Table {
	return &Table{Name: name, Key: key, Columns: slices.Concat(columns...)}
}

func key(names ...string) []string { return names }

// since gives columns that came later a value for older dumps.
func since(value any, columns []Column) []Column {
	for i := range columns {
		columns[i].Default = value
	}
	return columns
}

func nullable(columns []Column) []Column {
	for i := range columns {
		columns[i].Null = true
	}
	return columns
}

// Counters is a table that no store need have: the highest numbers that the
// store has given. The row "facts" is that of facts.
const Counters = "counters"

// LoadCounters hands the numbers in rows of Counters to skipFacts, above which
// facts are to be numbered. Another counter is an error: what it bounds would
// be numbered twice.
func LoadCounters(rows [][]any, skipFacts func(above int64) error) error {
	for _, row := range rows {
		name, _ := row[0].(string)
		value, _ := row[1].(int64)
		if name != "facts" {
			return fmt.Errorf("loading %s: there is no counter %q here", Counters, name)
		}
		if err := skipFacts(value); err != nil {
			return err
		}
	}
	return nil
}

// tables is every table of a store, those that others refer to first. What
// belongs to one kind of store alone (its schema's number) is not in it. A
// column or table that a migration adds must be added here, with a Default, or
// a backup would lose it; each store's tests see to that.
var tables = []*Table{
	table("meta", key("name"), cols(Text, "name", "value")),
	table(Counters, key("name"), cols(Text, "name"), cols(Int, "value")),
	table("issuers", key("number"), cols(Int, "number"), cols(Text, "issuer"), cols(Int, "created_at")),
	table("mounts", key("id"), cols(Text, "id", "contract", "host", "prefix", "account"), cols(Int, "first_seen_at", "seen_at")),
	table("accounts", key("id"), cols(Text, "id", "shortname", "state"), cols(Int, "version", "ended_fact", "created_at")),
	table("users", key("id"),
		cols(Text, "id", "account", "type", "state", "username", "username_canon", "email", "email_canon"), cols(Bool, "email_verified"),
		cols(Text, "roles"), cols(Bytes, "attributes"), cols(Text, "password_hash", "password_format"),
		cols(Int, "version", "created_at", "updated_at", "password_at", "last_login_at"), cols(Text, "last_login_from"), cols(Bool, "had_app_token")),
	table("login_names", key("account", "name"), cols(Text, "account", "name", "user"), nullable(cols(Int, "reserved_until"))),
	table("known_networks", key("user", "network"), cols(Text, "user", "network"), cols(Int, "last_used")),
	table("attempts", key("key", "network"), cols(Bytes, "key"), cols(Text, "network"), cols(Int, "tat")),
	table("sessions", key("key"),
		cols(Bytes, "key"), cols(Int, "epoch"), cols(Text, "mount", "account", "subject_kind", "subject", "credential", "login_name"),
		cols(Int, "issuer", "generation", "move0", "move1", "move2", "move3"), cols(Text, "refresh_key"),
		cols(Int, "refresh_expires", "created_at", "last_used_at"), cols(Bool, "rotates"), cols(Int, "grace_ms", "idle_ms", "absolute_ms", "revoked_at"),
		cols(Text, "revoked_reason", "address", "user_agent"), since(int64(0), cols(Int, "status"))),
	table("app_tokens", key("id"),
		cols(Text, "id"), cols(Bytes, "hash"), cols(Text, "user", "account", "mount", "session", "label", "networks", "scopes"),
		cols(Int, "created_at"), cols(Text, "created_by"), cols(Int, "last_used"), cols(Text, "last_from"), cols(Int, "revoked_at"),
		cols(Bool, "suspended"), since(int64(0), cols(Int, "status"))),
	table("api_keys", key("id"),
		cols(Text, "id", "account", "app_name", "app_key", "description", "roles", "state"), cols(Int, "version"), cols(Text, "owner"),
		cols(Int, "created_at", "updated_at", "last_login"), cols(Text, "last_from")),
	table("api_secrets", key("key", "number"), cols(Text, "key"), cols(Int, "number"), cols(Bytes, "sealed"), cols(Int, "created_at", "expires_at")),
	table("request_tokens", key("hash"), cols(Bytes, "hash"), cols(Text, "address"), cols(Int, "accepted_at", "remember_until"), cols(Bytes, "session")),
	table("facts", key("number"), cols(Int, "number"), cols(Text, "kind", "subject", "spare", "reason"), cols(Int, "at", "purge_at")),
	table("audit", key("node", "sequence"),
		cols(Text, "node"), cols(Int, "sequence", "at"), cols(Text, "kind", "actor", "account", "subject", "session", "mount", "address", "request_id", "detail"),
		cols(Bytes, "prev_hash", "hash")),
	table("signing_keys", key("id"),
		cols(Text, "id", "mount", "kind", "class", "algorithm", "state"), nullable(cols(Bytes, "sealed", "public")), cols(Text, "master_key"),
		cols(Int, "created_at", "activated_at", "retired_at", "dropped_at")),
	table("oauth_clients", key("id"),
		cols(Text, "id", "account", "name", "type", "auth", "secrets", "jwks", "redirect_uris", "logout_uris", "grants", "scopes", "audiences", "id_token_alg"),
		cols(Bool, "require_consent", "introspect_all"), cols(Int, "access_ms", "refresh_idle_ms", "session_ms"), cols(Text, "state"),
		cols(Int, "version", "created_at", "updated_at")),
	table("oauth_codes", key("hash"),
		cols(Bytes, "hash"), cols(Text, "client"), cols(Int, "client_version"), cols(Text, "redirect_uri", "challenge", "nonce", "scope", "audience", "subject"),
		cols(Int, "subject_version"), cols(Text, "account"), cols(Int, "account_version", "auth_time"), cols(Text, "browser", "login_name"),
		cols(Int, "created_at", "expires_at", "used_at"), cols(Bytes, "session")),
	table("oauth_sessions", key("key"), cols(Bytes, "key"), cols(Text, "client", "scope", "audience"), cols(Int, "auth_time"), cols(Text, "nonce", "browser")),
	table("oauth_consents", key("user", "client"), cols(Text, "user", "client", "scope"), cols(Int, "created_at", "updated_at")),
	table("oauth_assertions", key("hash"), cols(Bytes, "hash"), cols(Int, "remember_until")),
	table("status_counters", key("space"), cols(Text, "space"), cols(Int, "next"), cols(Text, "incarnation")),
	table("status_blocks", key("space", "first"), cols(Text, "space"), cols(Int, "first", "count", "reserved_at")),
	table("status_burnt", key("number"), cols(Int, "number", "at")),
	// After facts: one on everything raises the versions of lists.
	table("status_lists", key("space", "list"), cols(Text, "space"), cols(Int, "list", "version")),
}

// Tables lists all tables, those that others refer to first.
func Tables() []*Table { return slices.Clone(tables) }

// Named finds a table, nil for none.
func Named(name string) *Table {
	i := slices.IndexFunc(tables, func(t *Table) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return tables[i]
}

// check says whether a row has the types of its table.
func (t *Table) check(row []any) error {
	if len(row) != len(t.Columns) {
		return fmt.Errorf("a row of %s has %d values, not %d", t.Name, len(row), len(t.Columns))
	}
	for i, c := range t.Columns {
		ok := false
		switch row[i].(type) {
		case nil:
			ok = c.Null
		case int64:
			ok = c.Type == Int
		case bool:
			ok = c.Type == Bool
		case string:
			ok = c.Type == Text
		case []byte:
			ok = c.Type == Bytes
		}
		if !ok {
			return fmt.Errorf("%s.%s is %s and a row has %T", t.Name, c.Name, c.Type, row[i])
		}
	}
	return nil
}
