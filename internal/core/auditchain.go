package core

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
)

// HashAudit gives the hash of a record: SHA-256 over its PrevHash and every
// member, each preceded by its length, so that no two records have one
// encoding. Hash itself is not read.
func HashAudit(r *AuditRecord) [32]byte {
	b := make([]byte, 0, 512)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	text("sallyport audit 1")
	b = append(b, r.PrevHash[:]...)
	text(r.Node)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Sequence))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At))
	e := &r.Event
	for _, s := range []string{e.Kind, e.Actor, e.Account, e.Subject, e.Session, e.Mount, e.Address, e.RequestID} {
		text(s)
	}
	names := make([]string, 0, len(e.Detail))
	for name := range e.Detail {
		names = append(names, name)
	}
	sort.Strings(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		text(name)
		text(e.Detail[name])
	}
	return sha256.Sum256(b)
}

// VerifyChain checks records of any number of nodes, each node's in order and
// without gaps: every hash is that of its record and every record names the
// hash before it. A node's first record must be its sequence 1, or its link
// is taken on trust: a chain cut at the front is not proved from there.
func VerifyChain(records []AuditRecord) error {
	last := make(map[string]*AuditRecord)
	for i := range records {
		r := &records[i]
		prev := last[r.Node]
		switch {
		case prev != nil && r.Sequence != prev.Sequence+1:
			return fmt.Errorf("audit of node %s: record %d follows %d: records are missing or out of order", r.Node, r.Sequence, prev.Sequence)
		case prev != nil && r.PrevHash != prev.Hash, prev == nil && r.Sequence == 1 && r.PrevHash != [32]byte{}:
			return fmt.Errorf("audit of node %s: record %d does not continue the one before it", r.Node, r.Sequence)
		case HashAudit(r) != r.Hash:
			return fmt.Errorf("audit of node %s: record %d was changed", r.Node, r.Sequence)
		}
		last[r.Node] = r
	}
	return nil
}
