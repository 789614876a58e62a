// Package config turns a YAML file, the environment and flags into one struct.
//
// How the pieces move: [Keys] is the table of everything that can be set; each
// row knows its name, type, default, documentation and field of [Config].
// [Load] fills the defaults in, then the file, then SALLYPORT_… variables, then
// flags, each over the one before, and remembers where every value came from.
// Then it checks the whole and reports all mistakes at once, each with its
// place and with what would be right. [Config.Print] and [Markdown] read the
// same table, so the documentation cannot drift from the program.
//
// Secrets are named by file (*_file keys) or stand in the environment; the
// YAML file and the flags refuse literal ones, because both end up where many
// people read: in a repository, in the process list.
//
// What it does not do: it opens no file but the configuration (and the file of
// a secret), reads no contract, starts nothing. Whether a certificate can be
// read is for the one who uses it to say. It imports nothing internal.
package config
