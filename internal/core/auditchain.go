package core

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
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
	v := NewAuditVerifier(nil)
	for i := range records {
		if err := v.Add(&records[i]); err != nil {
			return err
		}
	}
	return nil
}

// AuditAnchor is a record as somebody kept it elsewhere: the log must still
// have it. It is what shows that the end was cut off, which the chain alone
// cannot.
type AuditAnchor struct {
	Node     string
	Sequence int64
	Hash     [32]byte
}

// String is the anchor as ParseAuditAnchor reads it.
func (a AuditAnchor) String() string { return fmt.Sprintf("%s:%d:%x", a.Node, a.Sequence, a.Hash) }

// ParseAuditAnchor reads NODE:SEQUENCE:HASH.
func ParseAuditAnchor(text string) (a AuditAnchor, err error) {
	parts := strings.Split(strings.TrimSpace(text), ":")
	if len(parts) == 3 {
		a.Node = parts[0]
		var raw []byte
		a.Sequence, err = strconv.ParseInt(parts[1], 10, 64)
		if err == nil {
			raw, err = hex.DecodeString(parts[2])
		}
		if err == nil && a.Node != "" && a.Sequence > 0 && copy(a.Hash[:], raw) == len(a.Hash) && len(raw) == len(a.Hash) {
			return a, nil
		}
	}
	return AuditAnchor{}, fmt.Errorf("an anchor is NODE:NUMBER:HASH, as `sallyport audit verify` prints it")
}

// AuditVerifier checks a log of any length, record by record.
type AuditVerifier struct {
	anchors []AuditAnchor
	chains  map[string]*AuditChain
	order   []*AuditChain
	purged  map[auditCut]bool
}

// AuditChain is what an AuditVerifier found of a node's chain.
type AuditChain struct {
	Records     int64
	First, Last AuditRecord
}

// auditCut is where a chain was cut at the front: the last record that went.
type auditCut struct {
	node     string
	sequence int64
	hash     [32]byte
}

// NewAuditVerifier starts a verification; the log must hold the anchors.
func NewAuditVerifier(anchors []AuditAnchor) *AuditVerifier {
	return &AuditVerifier{anchors: anchors, chains: map[string]*AuditChain{}, purged: map[auditCut]bool{}}
}

// Add checks the next record. Records of one node come in order; nodes may
// come as they like. Its error says where the chain is broken, and stays true.
func (v *AuditVerifier) Add(r *AuditRecord) error {
	c := v.chains[r.Node]
	switch {
	case c != nil && r.Sequence != c.Last.Sequence+1:
		return fmt.Errorf("audit of node %s: record %d follows %d: records are missing or out of order", r.Node, r.Sequence, c.Last.Sequence)
	case c != nil && r.PrevHash != c.Last.Hash, c == nil && r.Sequence == 1 && r.PrevHash != [32]byte{}:
		return fmt.Errorf("audit of node %s: record %d does not continue the one before it", r.Node, r.Sequence)
	case HashAudit(r) != r.Hash:
		return fmt.Errorf("audit of node %s: record %d was changed", r.Node, r.Sequence)
	}
	for _, a := range v.anchors {
		if a.Node == r.Node && a.Sequence == r.Sequence && a.Hash != r.Hash {
			return fmt.Errorf("audit of node %s: record %d is not the one of the anchor: the log was written anew", r.Node, r.Sequence)
		}
	}
	if c == nil {
		c = &AuditChain{First: *r}
		v.chains[r.Node], v.order = c, append(v.order, c)
	}
	c.Last = *r
	c.Records++
	if cut, ok := auditPurged(&r.Event); ok {
		v.purged[cut] = true
	}
	return nil
}

// Close checks what only the whole log shows: that a chain which does not begin
// at 1 was shortened by us, and that no anchored record is gone.
func (v *AuditVerifier) Close() error {
	for _, c := range v.order {
		if f := &c.First; f.Sequence > 1 && !v.purged[auditCut{f.Node, f.Sequence - 1, f.PrevHash}] {
			return fmt.Errorf("audit of node %s: it begins at record %d, and no record tells that those before were purged", f.Node, f.Sequence)
		}
	}
	return v.CloseAnchors()
}

// CloseAnchors is Close for a part of the log, such as an exported file: that
// may begin anywhere.
func (v *AuditVerifier) CloseAnchors() error {
	for _, a := range v.anchors {
		switch c := v.chains[a.Node]; {
		case c == nil:
			return fmt.Errorf("audit of node %s: the log holds nothing of it, and the anchor is its record %d", a.Node, a.Sequence)
		case a.Sequence > c.Last.Sequence:
			return fmt.Errorf("audit of node %s: it ends at record %d, and the anchor is record %d: the end was cut off, or an older copy was restored", a.Node, c.Last.Sequence, a.Sequence)
		}
	}
	return nil
}

// Chains are the chains found, in the order in which they came.
func (v *AuditVerifier) Chains() []*AuditChain { return v.order }

// purgeEvent tells that a chain was cut at the front. It stands in the chain
// itself and names the hash of the last record that went, so the cut is proved
// as long as the event is, and nobody else can cut without being seen.
func purgeEvent(last *AuditRecord) Event {
	return Event{Kind: "audit.purge", Actor: "system", Detail: map[string]string{
		"node": last.Node, "through": strconv.FormatInt(last.Sequence, 10), "hash": hex.EncodeToString(last.Hash[:]),
	}}
}

// auditPurged reads what purgeEvent wrote.
func auditPurged(e *Event) (cut auditCut, ok bool) {
	if e.Kind != "audit.purge" {
		return cut, false
	}
	a, err := ParseAuditAnchor(e.Detail["node"] + ":" + e.Detail["through"] + ":" + e.Detail["hash"])
	return auditCut{a.Node, a.Sequence, a.Hash}, err == nil
}
