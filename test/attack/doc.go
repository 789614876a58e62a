// Package attack turns on a whole server, over its sockets, what strangers
// send: hostile tokens, hostile bodies, hostile requests to the gateway.
//
// The pieces move like this. A world is a running server with its contracts
// mounted, one user of each kind and an upstream that counts what reaches it.
// A row is a kind of attack; it makes variants of a good
// token, from a seeded source. The runner sends variants to the endpoints that
// read tokens and holds every answer to the same demands: refused, in the
// contract's own shape, never a 5xx, nothing forwarded, nothing dialled, no row
// written but counters. Before and after each row the untouched token must
// pass, or the row would prove nothing.
//
// The short form runs with the other tests. More, or another seed:
//
//	go test ./test/attack -run TestHostileTokens -args -inputs 200000 -seed 7
//
// It does not measure time or memory (test/bench does), and it starts one node.
package attack
