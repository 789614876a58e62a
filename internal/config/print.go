package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// setting is a key with its effective value, for printing.
type setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

// Print writes the effective configuration, with the origin of every value
// and with secrets redacted: as YAML that Load reads back, or as JSON.
func (c *Config) Print(w io.Writer, asJSON bool) error {
	keys := bind(c)
	if asJSON {
		settings := make([]setting, 0, len(keys))
		for _, k := range keys {
			settings = append(settings, setting{k.Name, k.plainValue(), c.Origin(k.Name)})
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"settings": settings})
	}
	_, err := io.WriteString(w, c.yaml(keys))
	return err
}

func (c *Config) yaml(keys []Key) string {
	var b strings.Builder
	var open []string // the sections that the last line stood in
	for _, k := range keys {
		parts := strings.Split(k.Name, ".")
		common := 0
		for common < len(open) && common < len(parts)-1 && open[common] == parts[common] {
			common++
		}
		for i := common; i < len(parts)-1; i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), parts[i])
		}
		open = parts[:len(parts)-1]
		c.yamlLine(&b, k, strings.Repeat("  ", len(open)), parts[len(parts)-1])
	}
	return b.String()
}

// yamlLine writes one key. JSON is YAML, so lists and objects are written as
// that, on one line.
func (c *Config) yamlLine(b *strings.Builder, k Key, indent, name string) {
	if k.Kind == KindSecret {
		state := "not set"
		if p, ok := k.ptr.(*Secret); ok && *p != "" {
			state = redacted
		}
		fmt.Fprintf(b, "%s# %s: %s  # %s\n", indent, name, state, c.Origin(k.Name))
		return
	}
	fmt.Fprintf(b, "%s%s: %s  # %s\n", indent, name, yamlText(k.plainValue()), c.Origin(k.Name))
}

func yamlText(v any) string {
	if s, ok := v.(string); ok {
		if plainScalar(s) {
			return s
		}
		return quoteYAML(s)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return strconv.Quote(err.Error()) // strings, numbers and lists of them always encode
	}
	return string(text)
}

// plainScalar says whether s needs no quotes: it begins with a letter or one
// of /., holds nothing that YAML reads as more than text, and is no word that
// YAML takes for another type.
func plainScalar(s string) bool {
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	c := s[0]
	if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '/' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isToken(string(rune(c))) && c != '/' && c != ':' || strings.IndexByte("#'`|&*!%", c) >= 0 {
			return false
		}
	}
	return !strings.HasSuffix(s, ":")
}

func quoteYAML(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

// plainValue is the value as a person would write it.
func (k Key) plainValue() any {
	switch p := k.ptr.(type) {
	case *string:
		return *p
	case *[]string:
		return append([]string{}, *p...)
	case *bool:
		return *p
	case *int:
		return *p
	case *time.Duration:
		return shortDuration(*p)
	case *StoreURL:
		return p.String()
	case *Secret:
		if *p == "" {
			return nil
		}
		return redacted
	case *[]Rule:
		return plainRules(*p)
	case *[]Mount:
		return plainMounts(*p)
	}
	return nil
}

type plainRule struct {
	Prefix  string   `json:"prefix"`
	Methods []string `json:"methods,omitempty"`
	Access  string   `json:"access"`
	Roles   []string `json:"roles,omitempty"`
	Scopes  []string `json:"scopes,omitempty"`
	Kinds   []string `json:"kinds,omitempty"`
	Words   string   `json:"words,omitempty"`
	Account string   `json:"account,omitempty"`
}

func plainRules(rules []Rule) []plainRule {
	out := make([]plainRule, 0, len(rules))
	for _, r := range rules {
		out = append(out, plainRule{r.Prefix, r.Methods, r.Access, r.Roles, r.Scopes, r.Kinds, r.Words, r.Account})
	}
	return out
}

type plainMount struct {
	Contract   string          `json:"contract"`
	Name       string          `json:"name"`
	Host       string          `json:"host,omitempty"`
	Prefix     string          `json:"prefix,omitempty"`
	Account    string          `json:"account"`
	StatusList *bool           `json:"status_list,omitempty"` // when it is not the default
	Keys       *plainMountKeys `json:"keys,omitempty"`
}

type plainMountKeys struct {
	SharedSecretFile string   `json:"shared_secret_file"`
	SharedFor        []string `json:"shared_for,omitempty"`
	WeakUntil        string   `json:"weak_until,omitempty"`
}

func plainMounts(mounts []Mount) []plainMount {
	out := make([]plainMount, 0, len(mounts))
	for _, m := range mounts {
		pm := plainMount{Contract: m.Contract, Name: m.Name, Host: m.Host, Prefix: m.Prefix, Account: m.Account}
		if m.NoStatusList {
			pm.StatusList = new(bool)
		}
		if m.Keys.SharedSecretFile != "" {
			pm.Keys = &plainMountKeys{SharedSecretFile: m.Keys.SharedSecretFile, SharedFor: m.Keys.SharedFor}
			if !m.Keys.WeakUntil.IsZero() {
				pm.Keys.WeakUntil = m.Keys.WeakUntil.Format(time.DateOnly)
			}
		}
		out = append(out, pm)
	}
	return out
}
