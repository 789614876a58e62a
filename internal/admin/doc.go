// Package admin is the administration API: JSON resources under /admin/v1 for
// accounts, users, sessions, application tokens, API keys, tokens and the
// audit log, and a Go client for them.
//
// How the pieces move: [New] builds one http.Handler from a table of routes.
// A route decodes strictly (unknown and repeated members are refused), calls
// one or two methods of [Service], which is core.Service, or of [Clients], which
// is authserver.Server, and answers with the types of wire.go. Errors are RFC 9457 problems, made in one place from the
// code of the core's error. Every act carries a core.Actor, whose name the
// surface that publishes the handler supplies: over the administration socket
// it is the user id that the kernel vouches for.
//
// The same handler runs behind the Unix socket of a server and, when no server
// runs, inside the command line's own process; [Client] speaks to both.
//
// What it does not do: it authenticates nobody. Whoever publishes the handler
// decides who may reach it, and says who it is through Config.Actor. It holds
// no rule of the domain.
package admin
