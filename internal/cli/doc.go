// Package cli is the command line: it parses arguments, asks, prints, and
// leaves the work to others.
//
// How the pieces move: [Main] parses the arguments with the grammar of
// grammar.go (kong reads it from struct tags; help.go prints it) and runs one
// command. A command that looks at or changes an installation gets an
// admin.Client from env.connect: over DATA/admin.sock when a server runs on
// the data directory, else over the same handlers in this process, which then
// holds the directory's lock. So a command has one implementation. What goes
// out passes output.go, where everything that strangers may have written is
// made harmless for terminals; what goes wrong passes errors.go, which makes
// one line of it and an exit code.
//
// What it does not do: it holds no rule, opens no store and starts no
// listener; internal/app does.
package cli
