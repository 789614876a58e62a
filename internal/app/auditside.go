package app

import (
	"context"
	"encoding/json"
	"os"
	"sync"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/auditship"
	"github.com/sallyport/sallyport/internal/core"
)

// shipAudit sends this node's audit records to where audit.ship says, until ctx
// ends.
func (a *App) shipAudit(ctx context.Context) {
	e := a.engine
	if len(a.cfg.Audit.Ship) == 0 {
		return
	}
	node, err := e.node(ctx)
	if err != nil {
		e.log.Error("audit records are not sent on: the node's name cannot be read", "err", err)
		return
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // written as unknown
	}
	var all sync.WaitGroup
	for _, name := range a.cfg.Audit.Ship {
		target, err := auditship.Open(name, host, auditLine)
		if err != nil { // config has looked at it
			e.log.Error("audit records are not sent on", "target", name, "err", err)
			continue
		}
		s := &auditship.Shipper{Log: e.store, Node: node, Name: name, Target: target, Now: e.now, Logger: e.log, Alarm: e.metrics.Alarm}
		all.Go(func() {
			s.Run(ctx)
			_ = target.Close() // what it took is saved
		})
	}
	all.Wait()
}

// node names this node's audit chain.
func (e *engine) node(ctx context.Context) (string, error) {
	if s, ok := any(e.store).(interface{ Node() string }); ok {
		return s.Node(), nil
	}
	return e.store.MetaGet(ctx, core.MetaNode)
}

// auditLine is a record as `audit export` writes it.
func auditLine(r *core.AuditRecord) []byte {
	b, err := json.Marshal(admin.AuditRecordOf(r))
	if err != nil { // texts and numbers alone
		return []byte("{}")
	}
	return b
}
