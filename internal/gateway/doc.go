// Package gateway stands between clients and a protected API: as a reverse
// proxy, or as the forward-auth endpoint that another proxy asks.
//
// The pieces move like this. A request becomes a question: method, host, path
// and where it came from. decide answers it in one place for both ways in:
// the path must have one reading only (httpd.CheckPath), the longest rule that
// covers it says public, token or deny, the token is read where the contracts
// of the host say, and core decides about it. The reverse proxy then strips
// every spelling of the headers that speak for us, sets its own, and forwards
// the same path that was matched; forward-auth answers with those headers. A
// refusal speaks in the words of a contract, which package app brings in
// through the Words interface. What lasts (streams, WebSockets) is registered
// and looked at twice a second, and is cut when the token expires or is
// revoked.
//
// What it does not do: it verifies no token itself, caches no decision, keeps
// no session and knows no contract. It never follows a header of the client to
// learn who the client is.
package gateway
