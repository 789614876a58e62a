// Command guess attacks the password routes of a running server the way
// guessers do, and measures what the others notice of it.
//
//	go run ./test/guess flood     [-quick] [-json] [-rate 1000] [-d 10s] [-runs 3] [-from many|one|owner]
//	go run ./test/guess enumerate [-quick] [-json] [-pairs 10000] [-mixed]
//
// flood sends logins with wrong passwords at a fixed rate, whether they are
// answered or not, from many networks (or one, or the owner's own) on names
// that exist and names that don't. Beside it clients refresh their tokens at a
// steady pace and an owner logs in from a known network. Quiet and flooded
// stretches take turns in one run, so the ratio of the two holds on a machine
// that drifts. It prints how long a refresh took in both, how soon admission
// refused, how many passwords were compared, and how far memory rose over what
// the server had before, in the words of the promise: base + slots × memory of
// a hash + 64 MiB.
//
// enumerate asks whether the time of a refused login tells a name that exists
// from one that does not: it sends interleaved pairs over every contract's
// login route and the hosted login page, and prints the gap of the medians and
// the area under the ROC curve of a guesser who has nothing but the time
// (0.5 is a coin). Statuses, headers and bodies are compared as well.
//
// Both start a server of their own on the loopback address, as its users run
// it, and end it. Exit status 1 says that a promise was not kept.
package main
