// Command gen makes the embedded set of package blocklist from lists of words:
//
//	go run ./internal/blocklist/gen [-o internal/blocklist/passwords.gcs] FILE…
//
// A file is text with a word a line, the same compressed with gzip (.gz), or a
// JSON array of strings (.json). Words that fold to fewer than four characters
// are left out.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/blocklist"
)

func main() {
	out := flag.String("o", "internal/blocklist/passwords.gcs", "the file to write")
	flag.Parse()
	words := map[string]bool{}
	for _, name := range flag.Args() {
		list, err := read(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
		before := len(words)
		for _, w := range list {
			if w = blocklist.Fold(strings.TrimSpace(w)); utf8.RuneCountInString(w) >= 4 {
				words[w] = true
			}
		}
		fmt.Printf("%s: %d words, %d of them new\n", name, len(list), len(words)-before)
	}
	data := blocklist.Encode(slices.Sorted(maps.Keys(words)))
	if err := os.WriteFile(*out, data, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d words in %d bytes\n", *out, len(words), len(data))
}

func read(name string) ([]string, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if raw, err = io.ReadAll(z); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if strings.HasSuffix(name, ".json") {
		var list []string
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return list, nil
	}
	return strings.Split(string(raw), "\n"), nil
}
