// Package contract turns a contract file into routes: it reads the file,
// checks it, compiles it once, and then serves it.
//
// The pieces move like this. Parse reads YAML into nodes that know their line
// and column, and then section by section into a Definition; whatever is
// wrong is collected as a Mistake and all of them are reported together.
// Compile turns a Definition into a Contract: inputs become slots of one
// decoding pass, answers and claims become templates that append to a byte
// slice, error kinds become a complete table. Contract.Mount joins it with
// what a listener knows (host, prefix, account, grants) and Router finds the
// handler of a request among several mounts. The same Contract also writes
// its OpenAPI document, example calls and a page for people.
//
// The vocabulary is closed: there is no scripting, and each name an author may
// write stands in a table of this package (values.go, filters.go, inputs.go)
// from which the manual's reference and the file format's schema are tested.
//
// The package decides nothing about credentials. It decodes strictly, calls
// one method of core.Grants, and encodes the outcome in the contract's words.
package contract
