// Command kill proves that what the server acknowledged survives SIGKILL.
//
//	go run ./test/kill [-rounds 200] [-workers 16] [-seed N] [-ready 1s] [-json] [-keep]
//
// It builds the static binary, serves a new data directory, and repeats: put
// load on (logins, rotating and plain refreshes, application tokens, exchanges
// of request tokens, revocations, disabling, new users and keys, calls through
// the gateway), kill the server at a random moment 5 to 400 ms in, start it
// again at once, and compare the server with what it had acknowledged.
//
// The clients and their books are package clients, which also says what is
// compared. Beside that: the audit chain is whole and tells of no lost commit
// and of no reuse, and each start takes less than a second.
//
// It does not cut the power: the page cache survives SIGKILL. That the store
// asks for durable commits is read back by the store at each start.
//
// It ends with a table of figures, and with status 1 and a story for each
// violation when there was one.
package main
