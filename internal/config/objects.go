package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// memberDoc documents a member of a rule or a mount.
type memberDoc struct{ name, def, doc string }

var ruleDocs = []memberDoc{
	{"prefix", "", "The path and everything below it, ending at a segment: /api covers /api/x and not /apix. Needed."},
	{"methods", "all", "The methods that the rule is for."},
	{"access", "token", "public lets everybody in, token wants a good token, deny refuses all."},
	{"roles", "none", "Roles of which the subject must have one."},
	{"scopes", "none", "Scopes that the token must have, all of them."},
	{"kinds", "access, application", "The kinds of token that count."},
	{"words", "", "The contract in whose words this rule refuses."},
	{"account", "any", "The account whose tokens count."},
}

var mountDocs = []memberDoc{
	{"contract", "", "The name of a built-in or loaded contract, or the path of a contract file. Needed."},
	{"name", "the contract's name", "What the mount is called in keys, sessions and logs; unique, and not to be changed later."},
	{"host", "every host", "The Host under which the mount answers."},
	{"prefix", "the root", "The path that is put before the contract's own."},
	{"account", "default", "The account whose users the mount serves, or any."},
	{"status_list", "true", "Puts the status claim into the mount's tokens, for verifiers that read token status lists."},
	{"keys.shared_secret_file", "", "The file of an HS256 secret that the vendor's verifiers already hold."},
	{"keys.shared_for", "access", "What that secret signs: access, application, or both."},
	{"keys.weak_until", "", "Accepts a secret under 32 bytes until this day (YYYY-MM-DD)."},
}

var builtinMounts = []string{"pathstack", "itempath", "netography"}

func defaultMounts() []Mount {
	var ms []Mount
	for _, name := range builtinMounts {
		ms = append(ms, Mount{Contract: name, Name: name, Account: "default", Source: originDefault})
	}
	return ms
}

// items lists the entries of a list of objects.
func items(key string, v value) ([]value, Problems) {
	v, ps := structured(key, v)
	if len(ps) > 0 {
		for i := range ps {
			ps[i].Key = key
		}
		return nil, ps
	}
	switch v.kind {
	case kindNull:
		return nil, nil
	case kindList:
		return v.items, nil
	}
	return nil, Problems{{Source: v.source, Key: key, Message: "want a list, each entry beginning with a dash; got " + v.what()}}
}

func decodeRules(key string, v value) ([]Rule, Problems) {
	entries, ps := items(key, v)
	var rules []Rule
	seen := map[string]string{}
	for i, e := range entries {
		r := Rule{Source: e.source, Access: "token"}
		o := members(fmt.Sprintf("%s[%d]", key, i), e, &ps, "prefix", "methods", "access", "roles", "scopes", "kinds", "words", "account")
		o.text("prefix", &r.Prefix, rulePrefix)
		o.list("methods", &r.Methods, methods)
		o.text("access", &r.Access, oneOf("public", "token", "deny"))
		o.list("roles", &r.Roles, nil)
		o.list("scopes", &r.Scopes, nil)
		o.list("kinds", &r.Kinds, someOf("access", "application"))
		o.text("words", &r.Words, nil)
		o.text("account", &r.Account, nil)
		if r.Prefix == "" && o.fields["prefix"].text == "" {
			o.fail(e.source, "", "a rule needs a prefix; / covers everything")
		}
		if r.Access != "token" && len(r.Roles)+len(r.Scopes)+len(r.Kinds) > 0 {
			o.fail(e.source, "", "roles, scopes and kinds mean nothing with access: %s; they need access: token", r.Access)
		}
		for _, m := range orAll(r.Methods) {
			id := r.Prefix + " " + m
			if first, dup := seen[id]; dup {
				o.fail(e.source, "", "the rule at %s has the same prefix and method (%s); join the two", first, m)
				break
			}
			seen[id] = e.source
		}
		rules = append(rules, r)
	}
	return rules, ps
}

func orAll(methods []string) []string {
	if len(methods) == 0 {
		return []string{"all methods"}
	}
	return methods
}

func decodeMounts(key string, v value) ([]Mount, Problems) {
	entries, ps := items(key, v)
	var mounts []Mount
	names := map[string]string{}
	for i, e := range entries {
		m := decodeMount(fmt.Sprintf("%s[%d]", key, i), e, &ps)
		if first, dup := names[m.Name]; dup && m.Name != "" {
			ps = append(ps, Problem{
				Source: e.source, Key: fmt.Sprintf("%s[%d]", key, i),
				Message: fmt.Sprintf("the mount at %s is called %q, too; give one of them another name", first, m.Name),
			})
		}
		names[m.Name] = e.source
		mounts = append(mounts, m)
	}
	return mounts, ps
}

func decodeMount(key string, e value, ps *Problems) Mount {
	m := Mount{Source: e.source, Account: "default"}
	if e.kind == kindString { // - itempath
		e = value{source: e.source, kind: kindMap, fields: []field{{name: "contract", source: e.source, value: e}}}
	}
	o := members(key, e, ps, "contract", "name", "host", "prefix", "account", "status_list", "keys")
	o.text("contract", &m.Contract, nil)
	o.text("name", &m.Name, mountName)
	o.text("host", &m.Host, hostName)
	o.text("prefix", &m.Prefix, mountPrefix)
	o.text("account", &m.Account, notEmpty)
	status := true
	o.flag("status_list", &status)
	m.NoStatusList = !status
	if m.Contract == "" {
		o.fail(e.source, "", "a mount needs a contract: one of %s, or the path of a contract file", strings.Join(builtinMounts, ", "))
	}
	if named := o.fields["name"]; named.kind == kindNull && m.Contract != "" {
		m.Name = contractName(m.Contract)
		if mountName(m.Name) != "" {
			o.fail(e.source, "", "%q cannot be the name of a mount; set name to small letters, digits, - and _", m.Name)
		}
	}
	if k, ok := o.fields["keys"]; ok {
		m.Keys = decodeMountKeys(key+".keys", k, ps)
	}
	return m
}

func decodeMountKeys(key string, v value, ps *Problems) MountKeys {
	var mk MountKeys
	if v.kind == kindMap {
		for i, f := range v.fields {
			if f.name == "shared_secret" {
				*ps = append(*ps, Problem{
					Source: f.source, Key: key + "." + f.name,
					Message: "a secret does not belong into the configuration; put it into a file and name that with shared_secret_file",
				})
				v.fields = append(append([]field{}, v.fields[:i]...), v.fields[i+1:]...)
				break
			}
		}
	}
	o := members(key, v, ps, "shared_secret_file", "shared_for", "weak_until")
	o.text("shared_secret_file", &mk.SharedSecretFile, nil)
	o.list("shared_for", &mk.SharedFor, someOf("access", "application"))
	var day string
	o.text("weak_until", &day, nil)
	if day != "" {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			o.fail(o.fields["weak_until"].source, "weak_until", "want a day such as 2031-12-31, got %q", day)
		}
		mk.WeakUntil = t
	}
	if mk.SharedSecretFile == "" && (len(mk.SharedFor) > 0 || day != "") {
		o.fail(v.source, "", "shared_for and weak_until mean nothing without shared_secret_file")
	}
	if mk.SharedSecretFile != "" && len(mk.SharedFor) == 0 {
		mk.SharedFor = []string{"access"}
	}
	return mk
}

// contractName is what a contract is called when its mount says nothing.
func contractName(contract string) string {
	base := filepath.Base(contract)
	if contract == "" || base == "." || base == string(filepath.Separator) {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
}
