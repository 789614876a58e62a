package core

import "context"

// Event is one audit record, written in the same step as the act it tells of.
// Detail is shown to operators and never holds a secret.
type Event struct {
	Kind      string // e.g. "login", "user.disable"; "" = write nothing
	Actor     string // who acted: "user:<id>", "apikey:<id>", "operator:<uid>", "system"
	Account   string // account id concerned
	Subject   string // user, key or token concerned
	Session   string // sid concerned
	Mount     string
	Address   string
	RequestID string
	Detail    map[string]string
}

// AuditRecord is an event as stored: one hash chain a node.
type AuditRecord struct {
	Node     string
	Sequence int64 // 1, 2, … within the node
	At       int64
	Event    Event
	PrevHash [32]byte
	Hash     [32]byte
}

// Audit is the part of Store that keeps the audit log.
type Audit interface {
	// AppendAudit writes events on their own, e.g. the minute's summary of
	// strangers' refusals.
	AppendAudit(ctx context.Context, now int64, events []Event) error
	// ListAudit returns records in order, starting after q.After.
	ListAudit(ctx context.Context, q AuditQuery) ([]AuditRecord, error)
	// AuditHeads returns the newest record of every node's chain, by node.
	AuditHeads(ctx context.Context) ([]AuditRecord, error)
	// PurgeAudit removes a chain's records up to one and writes the event that
	// tells of it, in one step.
	PurgeAudit(ctx context.Context, p *PurgeAuditParams) error
}

// PurgeAuditParams is one step. Event is what VerifyAudit looks for when a
// chain does not begin at 1: see auditPurged.
type PurgeAuditParams struct {
	Node    string
	Through int64 // the sequence of the last record to go
	Now     int64
	Event   Event
}

// AuditQuery selects records.
type AuditQuery struct {
	Node    string
	After   int64 // sequence
	Kind    string
	Subject string
	Limit   int
	Newest  bool // the last Limit records instead of the first
}
