// Package dump moves whole stores: into a backup file and back, and from one
// kind of store into another.
//
// A store is seen as an ordered list of tables of plain values (schema.go),
// the same for every kind of store. A Source gives a consistent view of them,
// a Target takes rows; both stores implement both. Write puts a view into a
// file, Reader takes it out again, Copy carries it from a store into another
// and can be taken up where it was cut off. Each table has a Sum, which does
// not depend on the order of rows, so that two stores, or a store and a file,
// can be compared.
//
// A store must give every value back as it was given, byte for byte: JSON that
// comes back with other spaces is another Sum, and another token.
//
// The file (format 1) is a line "SALLYPORT BACKUP 1", then blocks: a letter,
// the length as a varint, and so many bytes. H is the header and T begins a
// table, both JSON; R holds rows; Z, the last, is JSON with the sums of all
// tables and the SHA-256 of every byte before it. A file that does not end in
// a Z that agrees is refused. The checksum finds what was cut or damaged; it
// is no signature. The file holds no master key, so what is sealed in it
// (signing keys, API secrets) stays closed, but it holds password hashes.
//
// The package knows no rule of the domain and opens no file.
package dump
