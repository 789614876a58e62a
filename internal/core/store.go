package core

import "context"

// Store keeps everything. It speaks the domain; its implementations pass one
// suite (internal/store/storetest). A mutating method does gate, act and audit
// event in one atomic, durable step: when it has returned nil, the effect
// survives SIGKILL and power loss. A step handed to the writer is not
// cancelled; a caller whose context ends meanwhile gets ErrUnknownOutcome.
// Anything that is not a documented error is ErrStoreUnavailable, wrapped.
type Store interface {
	Accounts
	Users
	Sessions
	ApplicationTokens
	APIKeys
	Facts
	Statuses
	Attempts
	Audit
	KeyRows
	Meta
	Clients
	AuthCodes
	Consents

	// Purge removes expired rows, at most limit of each kind, in steps short
	// enough to stall nobody, and tells how many went and whether more wait.
	Purge(ctx context.Context, now int64, limit int) (*PurgeReport, error)
	// Changes delivers a value, never blocking, after a commit that other
	// parts of the process must follow (facts, keys, subjects). The channel
	// has room for one; a reader that was late still learns there is news.
	Changes() <-chan struct{}
	// Ping reads something and reports whether the store answers.
	Ping(ctx context.Context) error
	// WriteFault is why writes fail, as last seen; nil while they work. A store
	// that cannot write for want of space still reads and, as long as it can,
	// still takes steps that end something.
	WriteFault() error
	// Stats is for metrics.
	Stats() StoreStats
	Close() error
}

// Meta is the part of Store that keeps what the installation is.
type Meta interface {
	// MetaGet returns ErrNoRow when the name was never set.
	MetaGet(ctx context.Context, name string) (string, error)
	// MetaSetOnce sets the name if it has no value yet and returns the value
	// in force afterwards.
	MetaSetOnce(ctx context.Context, name, value string) (string, error)
	// MetaSet replaces the value.
	MetaSet(ctx context.Context, p *MetaSetParams) error
	// Issuers returns the issuer strings in order of number, from 1.
	Issuers(ctx context.Context) ([]string, error)
	// AddIssuer appends one unless it is there, and returns its number.
	AddIssuer(ctx context.Context, issuer string, now int64) (int64, error)
	// SyncMounts records the mounts served now and returns those ever served.
	SyncMounts(ctx context.Context, now int64, mounts []MountRow) ([]MountRow, error)
}

// MetaSetParams is one step.
type MetaSetParams struct {
	Name, Value string
	Now         int64
	Event       Event
}

// Names of Meta values.
const (
	MetaMasterKeyID    = "master_key_id"
	MetaMasterKeyCheck = "master_key_check"
	MetaDev            = "dev"         // "1" in a store made by serve --dev
	MetaNode           = "node"        // this node's id, for the audit chain (SQLite)
	MetaIncarnation    = "incarnation" // changes when a store is restored
	MetaBootstrapUsed  = "bootstrap_used"
)

// MountRow is a mount as recorded.
type MountRow struct {
	ID       string
	Contract string
	Host     string
	Prefix   string
	Account  string
	SeenAt   int64
}

// PurgeReport counts rows removed by kind.
type PurgeReport struct {
	Removed map[string]int
	More    bool
}

// StoreStats are counters since start.
type StoreStats struct {
	Steps      uint64 // steps committed
	Batches    uint64 // commits
	Queue      int    // steps waiting for the writer
	SizeBytes  int64
	WALBytes   int64
	Ballast    int64 // bytes kept back for revocations on a full disk; 0 = given up, or none
	LastCommit int64 // Unix milliseconds
}
