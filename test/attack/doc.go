// Package attack turns on a whole server, over its sockets, what strangers
// send: hostile tokens, hostile bodies, hostile requests to the gateway.
//
// The pieces move like this. A world is a running server with its contracts
// mounted, clients of every sort, one user of each kind and an upstream that
// counts what reaches it. A credential is a good token of some kind, or a good
// secret. A mutator is a kind of attack; it lists mutations of a credential,
// from a seeded source. The runner sends them to the endpoints that take the
// credential and, in turn, to those that do not, and holds every answer to the
// same demands: refused, in the shape of that surface, never a 5xx, nothing
// forwarded, nothing dialled, looked up or opened, nothing logged as an error,
// no row written but counters, bounded memory. Before and after each mutator
// the untouched credential must pass, and the same claims signed anew, or the
// row would prove nothing.
//
// Many mutators sign with the server's own keys, read from a copy of its data:
// what is wrong with a claim must be found though the signature is good. What
// nobody reads may then be wrong ("passed as they may" in the table).
//
// Beside the generator stand what is about the request around the token
// (transport_test.go, h2_test.go), replays and races (states_test.go), bodies
// (badinput_test.go), the gateway (gateway_test.go) and the corpus: one file in
// testdata/corpus for each input that was once answered wrongly.
//
// 50,000 inputs run with the other tests. More, or another seed, with a table
// of what was sent and what it cost:
//
//	scripts/attack -inputs 1000000 -seed 7
//
// It starts one node, and measures server and client in one process, so the
// figures are upper bounds of the server's.
package attack
