package contract

import (
	"fmt"
	"os"
	"slices"

	"github.com/sallyport/sallyport/contracts"
)

// Load reads, checks and compiles a contract: one that comes with Sallyport
// ("itempath", "directus") by name, else a file.
func Load(nameOrFile string, opts Options) (*Contract, error) {
	def, err := LoadDefinition(nameOrFile)
	if err != nil {
		return nil, err
	}
	return Compile(def, opts)
}

// LoadDefinition reads and checks a contract as Load does.
func LoadDefinition(nameOrFile string) (*Definition, error) {
	file, data, err := Source(nameOrFile)
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}

// Source gives the text of a contract file, and its name for messages. It is
// not checked.
func Source(nameOrFile string) (file string, data []byte, err error) {
	file, data, err = contracts.Read(nameOrFile)
	if err == nil {
		return file, data, nil
	}
	if data, err = readFile(nameOrFile); err != nil {
		known := slices.Concat(contracts.Names(), contracts.Examples())
		return "", nil, fmt.Errorf("contract %q is neither a file nor one that comes with Sallyport (%w); %s", nameOrFile, err, suggest(nameOrFile, known))
	}
	return nameOrFile, data, nil
}

// readFile refuses what is far too large before it is in memory.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("it has %d bytes; a contract file has at most %d", info.Size(), maxFile)
	}
	return os.ReadFile(file)
}

// List tells the contracts that come with Sallyport.
func List() []Summary {
	var out []Summary
	for _, name := range contracts.Names() {
		out = append(out, summarize(name, false))
	}
	for _, name := range contracts.Examples() {
		out = append(out, summarize(name, true))
	}
	return out
}

// Summary is one line of List.
type Summary struct {
	Name, Title, Description string
	Example                  bool
}

func summarize(name string, example bool) Summary {
	def, err := LoadDefinition(name)
	if err != nil {
		return Summary{Name: name, Title: name, Description: err.Error(), Example: example}
	}
	return Summary{Name: name, Title: def.Title, Description: def.Description, Example: example}
}
