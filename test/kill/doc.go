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
// How the pieces move: a worker owns the users, keys, sessions and tokens it
// made, so what it knows of them needs no lock. Everything that an answer said
// is in its books when the answer has been read; the one request that the kill
// cut off is its doubt. After the restart the books are gone through, file
// check.go:
//
//   - No session stands at another generation than the last acknowledged one
//     (or the one after it where a refresh was in doubt), as the administration
//     API lists it; the parent of the newest refresh token yields the newest
//     again, the same bytes; the newest works.
//   - What was revoked, disabled or deleted is refused in the contract's words:
//     the refresh token, the access token and the application token.
//   - What was in doubt is sent again with the same credential, and that must
//     succeed whichever way it had gone: nobody is logged out by a kill.
//   - Users that were created can log in; those disabled cannot.
//   - The audit chain is whole and tells of no lost commit and of no reuse.
//
// It does not cut the power: the page cache survives SIGKILL. That the store
// asks for durable commits is read back by the store at each start.
//
// It ends with a table of figures, and with status 1 and a story for each
// violation when there was one.
package main
