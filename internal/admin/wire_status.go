package admin

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// Status says what runs on a data directory.
type Status struct {
	Version   string   `json:"version"`
	Running   bool     `json:"running"` // false: answered by the command line itself, no server runs
	PID       int      `json:"pid"`
	StartedAt Time     `json:"started_at"`
	Now       Time     `json:"now"`
	Data      string   `json:"data"` // absolute path
	Dev       bool     `json:"dev"`  // a store made by serve --dev
	Issuer    string   `json:"issuer"`
	URLs      []string `json:"urls"`
	Private   []string `json:"private_urls"`
	Upstream  string   `json:"upstream"`
	Mounts    []Mount  `json:"mounts"`
	Keys      []Key    `json:"keys"`
	Clock     Clock    `json:"clock"`
	Store     Store    `json:"store"`
}

// Mount is a contract on the listener.
type Mount struct {
	ID       string `json:"id"`
	Contract string `json:"contract"`
	Host     string `json:"host"`
	Prefix   string `json:"prefix"`
	Account  string `json:"account"`
}

// Key is a signing key; never its secret.
type Key struct {
	ID          string `json:"id"`
	Mount       string `json:"mount"`
	Kind        string `json:"kind"`
	Algorithm   string `json:"algorithm"`
	Class       string `json:"class"`
	State       string `json:"state"`
	CreatedAt   Time   `json:"created_at"`
	ActivatedAt Time   `json:"activated_at"`
}

// Clock is what the clock guard thinks. While it does not trust the clock,
// nothing is purged and no key is dropped.
type Clock struct {
	Trusted bool   `json:"trusted"`
	Detail  string `json:"detail"`
}

// Store is what the store says of itself.
type Store struct {
	Kind       string `json:"kind"` // "sqlite"
	SizeBytes  int64  `json:"size_bytes"`
	WALBytes   int64  `json:"wal_bytes"`
	Steps      uint64 `json:"steps"`
	Queue      int    `json:"queue"`
	LastCommit Time   `json:"last_commit_at"`
}

// AuditReport is the outcome of checking the hash chains of the log.
type AuditReport struct {
	OK      bool         `json:"ok"`
	Records int64        `json:"records"` // how many were found good
	Chains  []AuditChain `json:"chains"`  // one a node
	Detail  string       `json:"detail"`  // the first break: where and what; "" when OK
}

// AuditChain is the chain of one node. Who keeps Anchor elsewhere can tell
// later whether the end was cut off.
type AuditChain struct {
	Node    string `json:"node"`
	Records int64  `json:"records"`
	First   int64  `json:"first"` // sequence of the first; above 1 when older ones were purged
	Last    int64  `json:"last"`
	Head    string `json:"head"`   // hash of the last, in hex
	Anchor  string `json:"anchor"` // node:last:head
}

// AuditReportOf tells what a verifier found; err is its first error.
func AuditReportOf(v *core.AuditVerifier, err error) AuditReport {
	rep := AuditReport{OK: err == nil, Chains: []AuditChain{}}
	if err != nil {
		rep.Detail = err.Error()
	}
	for _, c := range v.Chains() {
		last := &c.Last
		rep.Records += c.Records
		rep.Chains = append(rep.Chains, AuditChain{
			Node: last.Node, Records: c.Records, First: c.First.Sequence, Last: last.Sequence, Head: fmt.Sprintf("%x", last.Hash),
			Anchor: core.AuditAnchor{Node: last.Node, Sequence: last.Sequence, Hash: last.Hash}.String(),
		})
	}
	return rep
}

// RouteQuery is a request to explain. Host may be "".
type RouteQuery struct {
	Method string
	Host   string
	Path   string
}

// RouteAnswer says what would be done with it.
type RouteAnswer struct {
	Handler string   `json:"handler"` // "contract", "gateway", "own", "none"
	Mount   string   `json:"mount"`   // whose route it is, or whose words a refusal would have
	Rule    string   `json:"rule"`    // the rule that decides, as configured
	Access  string   `json:"access"`  // "public", "token", "roles", "refused"
	Roles   []string `json:"roles"`
	Detail  string   `json:"detail"` // one sentence
}
