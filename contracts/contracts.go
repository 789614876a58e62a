// Package contracts holds the contract files that come with Sallyport and the
// JSON Schema of their format. The files are data: internal/contract reads,
// checks and serves them, exactly as it does a user's own.
package contracts

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.yaml examples/*.yaml
var files embed.FS

// Schema is the JSON Schema (draft 2020-12) of the file format, for editors.
// `sallyport contract check` is stricter: it also knows which values exist
// where.
//
//go:embed schema.json
var Schema []byte

// Names lists the contracts that come with Sallyport: "itempath", …
func Names() []string { return names(".") }

// Examples lists the example contracts: "directus", "simplejwt".
func Examples() []string { return names("examples") }

func names(dir string) []string {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil // the folders are part of the binary
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			out = append(out, name)
		}
	}
	return out
}

// Read gives a contract or example by name, and the file name for messages.
func Read(name string) (file string, data []byte, err error) {
	for _, dir := range []string{"", "examples/"} {
		if data, err = files.ReadFile(dir + name + ".yaml"); err == nil {
			return "contracts/" + dir + name + ".yaml", data, nil
		}
	}
	return "", nil, err
}
