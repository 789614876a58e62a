// Package authserver is the OAuth 2.0 authorization server (RFC 6749, OpenID
// Connect Core): the rules of clients, consents, authorization codes, logins of
// browsers, and of the tokens that they lead to.
//
// It is a part of the domain, beside package core and above it. The pieces move
// like this. An edge (internal/oauth for the endpoints, internal/admin for
// clients and consents) calls one method of Server. Server checks what OAuth
// asks, hands one step to the Store, and has the tokens signed by core.Engine,
// which also opens sessions, moves their refresh chains and knows what is
// revoked. In the other direction core asks Server, through core.PerClient, who
// a token of OAuth speaks for.
//
// OAuth's sessions are rows like those of any contract, so what ends sessions
// ends these. The rows themselves (clients, codes, grants, consents) and what
// the store does with them are described in core, since one Store keeps
// everything. The package knows no wire: forms, cookies and pages are
// internal/oauth's.
package authserver
