//go:build pin

package vectors

// The module is read as files, not imported: what it embeds would make the
// tests 100 MB larger. This keeps it in go.mod.
import _ "github.com/c2sp/wycheproof"
