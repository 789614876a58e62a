// Command guess attacks the password routes of a running server the way
// guessers do, and measures what the others notice of it.
//
//	go run ./test/guess flood     [-quick] [-json] [-rate 1000] [-d 10s] [-runs 5] [-from many|one|owner]
//	go run ./test/guess enumerate [-quick] [-json] [-pairs 10000] [-mixed]
//
// flood sends logins with wrong passwords at a fixed rate, whether they are
// answered or not, from many networks (or one, or the owner's own) on names
// that exist and names that don't. Beside it clients refresh their tokens at a
// steady pace and an owner logs in from a known network. Three kinds of stretch
// take turns in one run, so that ratios hold on a machine that drifts: quiet;
// cheap load, the same logins at the same rate without a password, which the
// server refuses for their form alone; and flooded. Quiet against flooded is the
// promise; cheap load says how much of it is not hashing but 1,000 more requests
// a second on these processors. The promise is judged by the median of the
// stretches' p99, so that one hiccup of the machine decides nothing; the p99 of
// all refreshes together is printed beside it.
//
// Who refreshes, who floods and the command are three processes (generator.go),
// because a generator that does several things measures itself. It prints how
// long a refresh took in each kind, how soon admission refused, how many
// passwords were compared, who used the processors, and how far memory rose over
// what the server had before, in the words of the promise: base + slots × memory
// of a hash + 64 MiB. The base is the server without its hashing processes;
// the rise is the sum of what each process had at its most.
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
