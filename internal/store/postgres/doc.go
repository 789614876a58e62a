// Package postgres keeps a Sallyport installation in a PostgreSQL database, so
// that many nodes can serve it. It implements core.Store.
//
// How the pieces move. A step runs on a connection of a small pool: the hot
// ones (a refresh, a login attempt, a last use) are single statements that
// commit by themselves, the others short transactions under READ COMMITTED
// that first lock the row they decide on. Refreshes that arrive together go to
// the server as one statement over arrays (group.go). A transaction that
// deadlocks, or loses its connection before COMMIT was sent, runs again; one
// whose COMMIT was not answered, or answered with the warning that no standby
// has it, ended in core.ErrUnknownOutcome, never in success.
//
// What a step adds for others is collected while it runs and written last, in
// a fixed order: versions of status lists, audit events, facts. Facts are
// numbered from one row that is locked until commit, so their numbers rise in
// commit order; because nothing is locked after it, nothing deadlocks on it.
// The commit sends a NOTIFY with the number, which wakes the other nodes
// (listen.go). Who hears nothing polls: core reads the facts twice a second.
//
// Nothing that decides is read from a standby: connections that are in
// recovery are refused. A server that was cut off from its cluster does not
// know that it is no primary any more, so hearing facts demands that a write
// of this node was confirmed within the last second (nodes.go).
//
// What a step only finds, and answers with, it confirms as if it had written it
// (confirm.go). While nothing comes from the server, steps are refused at once
// (link.go). When its disk is full, what ends something is given the room of a
// table that is kept for that (ballast.go).
//
// Audit events get their place in the hash chain of their node within a second
// of their commit (audit.go).
//
// Parameter structs belong to the store from the call on: a step whose caller
// went away still runs, so what they point at must not be changed afterwards.
//
// The package decides no rule of the domain: the reasons of refusals come from
// core.JudgeRefresh and core.JudgeTwin, and its conditional statements are
// optimisations of them that the suite in storetest compares row by row.
package postgres
