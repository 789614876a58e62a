// Package journal keeps the facts journal: a file outside the store to which a
// node appends every revocation, synced, before it is acknowledged. A store
// that was restored from a backup has forgotten those made since; the journal
// has not. It implements core.Journal.
//
// The file is text, a record a line: JSON, a space, and a check of 16
// hexadecimal digits. The first line is the header, which names the
// installation and the incarnation of the store that the journal belongs to.
// The check is over the line and the check of the line before, so a line that
// is damaged, missing or from another file is found. A last line that was cut
// off by a crash was never acknowledged and is dropped; damage before the end
// is an error. The check is no signature: who can write the file can write
// beside the master key.
//
// How the pieces move. Open verifies the file and takes its lock (one process
// a file; nodes of one store have a file each). Append writes at the end and
// syncs; when it fails the file is cut back to what was good. Purge rewrites
// the file without what is over, beside it, and puts it in its place. Read is
// for replaying: of this node's file, or of a copy.
//
// The package decides nothing about stores: core.JudgeStore does.
package journal
