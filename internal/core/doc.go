// Package core is the domain of Sallyport and every rule of it: accounts,
// users, API keys, sessions, application tokens, revocation and audit.
//
// The pieces move like this. An edge (a contract, the gateway, the admin API)
// decodes a request into a parameter struct and calls one method of Service.
// Service checks what can be checked without the store, takes the time once,
// and hands one step to the Store. A store method does gate, act and audit
// event in one atomic, durable step and returns the rows it read or wrote; a
// pure function of this package (JudgeRefresh, JudgeOpen, …) names the reason
// of a refusal, so that SQL never has to. Signing follows through Keys, in
// memory.
//
// The authorization server's rules (OAuth and OpenID Connect) stand in package
// authserver, on the steps that Engine offers; their rows, and what the Store
// does with them, are here with all the others.
//
// The package knows no wire: no HTTP, no SQL, no files, no environment. Times
// are Unix milliseconds and are taken once a call from Service's clock.
// Ordering is by generation and by fact number, never by clock.
package core
