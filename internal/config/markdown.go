package config

import (
	"fmt"
	"strings"
)

// markdownHead opens the generated page.
const markdownHead = `# Configuration

<!-- Generated from internal/config; change the table there and run: go test ./internal/config -run TestDocs -update -->

` + "`sallyport serve`" + ` needs no configuration: every setting has a default that works. What you set comes from, later ones winning:

1. the YAML file given with ` + "`--config FILE` or `SALLYPORT_CONFIG`" + `,
2. variables of the environment: the key in capitals with ` + "`SALLYPORT_`" + ` in front, dots as underscores,
3. flags: the key with dots and underscores as dashes.

` + "```yaml" + `
# sallyport.yaml
listen: 0.0.0.0:8443
issuer: https://api.example.com
tls: {cert: /etc/sallyport/tls.crt, key: /etc/sallyport/tls.key}
upstream: http://127.0.0.1:3000
trusted_proxies: [10.0.0.0/8]
` + "```" + `

The same ` + "`tls.cert`" + ` is ` + "`SALLYPORT_TLS_CERT`" + ` and ` + "`--tls-cert`" + `. Durations are written ` + "`15m` or `720h`" + `. Lists are YAML lists in the
file and separated by commas elsewhere. Lists of rules and mounts are YAML everywhere:
` + "`SALLYPORT_MOUNTS='[{contract: itempath}]'`" + `.

An unknown key is an error that names file, line, column and the nearest right key. ` + "`sallyport config check`" + ` says the same
without starting; ` + "`sallyport config print`" + ` shows every value in force and where it came from.

Secrets stand in files that a setting names, or in the environment. A literal secret in the configuration file or in a flag
is refused: files get committed, and every user of a machine can read its command lines.
`

// sectionTitles name the groups of the page by the first key of each.
var sectionTitles = map[string]string{
	"data":                "Server",
	"store":               "Store",
	"upstream":            "Gateway",
	"mounts":              "Contracts and browsers",
	"password.min_length": "Passwords, sessions, limits",
	"master_key_file":     "Keys, logs, operation",
}

// Markdown is docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(markdownHead)
	for _, k := range Keys() {
		if title, ok := sectionTitles[k.Name]; ok {
			fmt.Fprintf(&b, "\n## %s\n", title)
		}
		markdownKey(&b, k)
	}
	b.WriteString("\n## Rules\n\nThe members of an entry of `gateway.rules`. The longest prefix that covers a path decides; no rule means a token.\n\n")
	markdownMembers(&b, ruleDocs)
	b.WriteString("\n```yaml\ngateway:\n  rules:\n    - {prefix: /api/public, access: public}\n    - {prefix: /api/admin, methods: [POST, DELETE], roles: [admin]}\n    - {prefix: /internal, access: deny}\n```\n")
	b.WriteString("\n## Mounts\n\nThe members of an entry of `mounts`. A name alone is short for `{contract: name}`.\n\n")
	markdownMembers(&b, mountDocs)
	b.WriteString("\n```yaml\nmounts:\n  - itempath\n  - contract: pathstack\n    prefix: /v2\n    account: acme\n    keys: {shared_secret_file: /etc/sallyport/pathstack.secret, shared_for: [access]}\n```\n")
	return b.String()
}

func markdownKey(b *strings.Builder, k Key) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s\n\n", k.Name, k.Doc)
	def := "empty"
	if k.Default != "" {
		def = "`" + k.Default + "`"
	}
	if k.Kind == KindMounts {
		def = "the built-in contracts"
	}
	if k.Kind == KindSecret {
		fmt.Fprintf(b, "%s · default: %s · `%s` only\n", k.Kind, def, k.Env())
		return
	}
	fmt.Fprintf(b, "%s · default: %s · `%s` · `--%s`\n", k.Kind, def, k.Env(), k.Flag())
}

func markdownMembers(b *strings.Builder, docs []memberDoc) {
	b.WriteString("| member | default | meaning |\n| --- | --- | --- |\n")
	for _, d := range docs {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", d.name, d.def, d.doc)
	}
}
