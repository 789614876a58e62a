// Package clients is the crew of clients that the harnesses set upon servers:
// they log in, refresh, call, mint, revoke, create and disable, and keep books
// of what was acknowledged, to compare with what the servers do afterwards.
//
// How the pieces move: a Worker owns the users, keys, sessions and tokens it
// made, so what it knows of them needs no lock. Everything that an answer said
// is in its books when the answer has been read; the one request whose outcome
// it never learned is its doubt. Check goes through the books (check.go):
//
//   - No session stands at another generation than the last acknowledged one
//     (or the one after it where a refresh was in doubt), as the administration
//     API lists it; the parent of the newest refresh token yields the newest
//     again, the same bytes; the newest works.
//   - What was revoked, disabled or deleted is refused in the contract's words:
//     the refresh token, the access token and the application token.
//   - What was in doubt is sent again with the same credential, and that must
//     succeed whichever way it had gone: no fault logs anybody out.
//   - Users that were created can log in; those disabled cannot.
//
// An API says how its clients behave: against one server that gets killed they
// try once (Patience 0) and leave a doubt; before a balancer and nodes whose
// database fails over they try again, as honest clients do, and it is a
// violation when their patience ends first.
package clients
