// Package httpd is the edge between sockets and handlers. It owns listeners,
// TLS, timeouts, size limits, request ids, the client's address, and the rule
// that handlers return errors instead of writing them.
//
// How the pieces move: a [Server] opens a public listener, a private one
// (health, metrics) and a Unix socket for administration. Each request on the
// public and private listeners first passes [Front], which decides what the
// request is (id, client address, secure or not), turns a panic into a 500 and
// writes the access log. A route is a [Handler]; [Wrap] binds it to the
// [ErrorWriter] that speaks the words of that route's contract. [Own] adds the
// limits that our own routes have and proxied streams must not have.
//
// What it does not do: it knows no token, no user, no contract and no
// configuration file, and it imports nothing internal. Identity is never put
// into the request context here; [RequestInfo] holds facts about the
// connection alone.
package httpd
