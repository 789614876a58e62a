// Command faults breaks what Sallyport stands on and compares what it does with
// what it had promised.
//
//	cd test/faults && go run . NAME [flags]     or     scripts/faults NAME [flags]
//
// Each NAME is a scenario: it builds the static binary, starts a whole service
// on loopback in a folder of its own (nodes, database, balancer, API behind),
// does harm under load, and ends with a table of figures; -json writes them for
// machines. The status is 0 when every promise was kept, 1 with a story for
// each that was not, 2 when the trial could not be made, and then it says why.
//
// How the pieces move: package cluster runs PostgreSQL under Patroni, world the
// nodes, clients (of the main module) the load and its books, history what has
// to be linearizable, planted the bugs that must be caught. A scenario is one
// file here. Nothing in it sleeps to pass: what it waits for is a state, up to a
// limit, except where time itself is under test.
//
// It is a module of its own because porcupine and toxiproxy are needed by
// nothing else.
package main
