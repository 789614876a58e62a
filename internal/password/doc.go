// Package password hashes and verifies passwords, bounds what that costs, and
// judges new ones.
//
// # Formats
//
// New hashes are argon2id in PHC form. Hashes brought from another system are
// verified in the format they came in (Check says at import which are, and
// why one is not) and replaced at the next login, when Verify says so. The
// cost parameters of a stored hash are data that someone else wrote, so each
// format has a ceiling on memory and work; see caps.go.
//
// # Slots
//
// A hash takes tens of megabytes and milliseconds, so hashing runs in a fixed
// number of slots (slots.go): memory is bounded by slots times the memory of
// the most expensive hash, and a flood of logins leaves a core to everything
// else. Who waits, waits in a bounded queue with two lanes: half of slots and
// queue is kept for known pairs of login name and network, the rest is shared
// in turn between networks, so that one network's flood delays only itself.
// A server has the hashing itself done by worker processes of lower priority
// (worker.go), so that neither a core nor the collector is taken from those who
// answer requests; without them it runs on the goroutine of the caller.
//
// # Equal time
//
// A refused login must not tell by its duration whether the name exists, is
// disabled, or which format its hash has. Equalising by sleeping fails under
// load and equalising to one format fails in a store of several, so work is
// equalised instead. The Hasher keeps a bill: for each kind of hash in the
// store (Observe) the highest cost seen. Every call of Verify and of Dummy
// pays the whole bill, one kind after the other and always in the same order,
// in one trip to a worker: for the kind of the hash at hand it runs that hash
// and then tops it up to the highest cost of its kind, for each other kind it
// runs a decoy of the highest cost. Kinds are chosen so that a top-up is exact
// in units of work: bcrypt in powers of two, PBKDF2 in iterations, sha-crypt in
// rounds, argon2 in passes at one memory size, scrypt in lanes at one memory
// size. (Where that size is large, a top-up shows a little: 19 MiB asked for
// once more are a millisecond or two.) Right and wrong passwords pay alike,
// since the answer for a right one may still be a refusal (user disabled).
//
// The price: in a store with argon2id and bcrypt a login costs the sum of
// both until the last old hash is gone and the process was restarted; a store
// of new hashes alone pays exactly one hash. A store may hold at most
// maxKinds kinds; Observe refuses more at import.
//
// # What a password is
//
// The whole password counts, 1 to 1024 bytes of UTF-8, in the form that PRECIS
// OpaqueString gives it (RFC 8265: NFC, every kind of space is a space), so that
// the keyboard it was typed on does not matter. Hashes from elsewhere may have
// been made without that, so if the two forms differ both are tried, and the
// whole bill is paid for both, whoever asks.
//
// bcrypt sees 72 bytes and no more. A longer password is verified as bcrypt
// understands it, because its owner has no other; but it is never taken over
// into a new hash by that, since its end was not verified.
//
// The package does not store, does not count attempts and knows no users.
package password
