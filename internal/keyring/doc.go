// Package keyring keeps the keys: the master key, the signing keys it seals,
// and what is derived from it.
//
// The pieces move like this. LoadMaster reads 32 bytes from a file or from the
// environment. Open compares them with the id and the check value that the
// store keeps, and refuses a store that belongs to another master key. The
// signing keys lie in the store sealed (AES-256-GCM, under a key derived for
// that purpose, bound to their row); Open and Reload unseal them into one
// immutable snapshot behind an atomic pointer, so signing and verifying touch
// neither the store nor a lock. Ensure makes what is missing at the first
// start; Rotate, Drop and ImportShared change a key set and reload.
//
// A Keyring implements core.Keys. What it does not do: it decides about no
// token (package token does), it knows no HTTP, and it never writes a private
// key or the master key anywhere but sealed, or in the master key file it was
// told to make.
package keyring
