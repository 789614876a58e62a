// Package limit decides how often a password may be tried. It is pure: it
// reads no clock, starts no goroutine and knows no store; "now" is Unix
// milliseconds passed by the caller.
//
// Three things live here, for three attacks:
//
//   - Policy and State: the budget of failed attempts of one login name. A
//     name has one budget for strangers and one for each network from which
//     its owner logged in lately, so that strangers who use theirs up never
//     lock the owner out, and the owner's success never hands strangers new
//     guesses. The state is one integer and the transition one comparison and
//     one sum; a store persists it and does the transition in one atomic
//     statement (see Policy for the text).
//   - Networks: how many attempts one network may make over all names, in
//     memory, so that trying one password on every name is slow as well.
//   - Repeats: a device that keeps sending one old password makes one guess,
//     not a thousand; without this it would use its owner's budget up.
//
// The order of one attempt: Networks.Allow for strangers (never for a known
// pair of name and network, whose budget is its own), Policy.Reserve in the
// store, then the hash, then Policy.Settle in the store with what came out.
// An attempt is thus paid before it is hashed: 500 that arrive at once over
// two nodes cannot all look at the same old count.
//
// The package does not decide what is a known network, does not store, and
// does not say to the client that a limit was met: a refusal here must look
// like any other refused login.
package limit
