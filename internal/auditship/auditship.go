// Package auditship sends a node's audit records on as they come: to a syslog
// daemon (RFC 5424) over a Unix socket, UDP or TCP, or to a file of JSON lines.
// What has left the machine cannot be changed by whoever takes the machine,
// and the hash chain shows what was changed on it.
//
// A Shipper follows the log in the store and remembers in the store how far it
// came, so nothing is left out by a restart or while a daemon is away; a record
// may come twice, never out of order. UDP tells nobody what it loses.
//
// The package knows no wire form of a record: app gives one.
package auditship

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// Log is where records come from: a core.Store.
type Log interface {
	ListAudit(ctx context.Context, q core.AuditQuery) ([]core.AuditRecord, error)
	MetaGet(ctx context.Context, name string) (string, error)
	MetaSet(ctx context.Context, p *core.MetaSetParams) error
}

// Target takes records. Send returns nil when all of them are taken.
type Target interface {
	Send(ctx context.Context, records []core.AuditRecord) error
	Close() error
}

// Shipper sends one node's records to one target.
type Shipper struct {
	Log    Log
	Node   string // whose chain
	Name   string // of the target, as configured
	Target Target
	Now    func() int64
	Logger *slog.Logger
	Alarm  func(name, detail string) // may be nil

	after  int64
	loaded bool
	failed bool
}

const (
	every   = time.Second
	perSend = 500
	// saveMS bounds how often the place is saved: each is a step of the store.
	saveMS = 10_000
)

// Run ships until ctx ends, looking for news every second.
func (s *Shipper) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	saved, at := int64(0), int64(0)
	for {
		more, err := s.Ship(ctx)
		s.told(ctx, err)
		if s.loaded && s.after != saved && (s.Now()-at >= saveMS || ctx.Err() != nil) {
			if s.Save(context.WithoutCancel(ctx)) == nil {
				saved, at = s.after, s.Now()
			}
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			if s.loaded && s.after != saved {
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				_ = s.Save(last) // what was sent since comes again
				cancel()
			}
			return
		case <-tick.C:
		}
	}
}

// Ship sends the next records; more says that others wait.
func (s *Shipper) Ship(ctx context.Context) (more bool, err error) {
	if !s.loaded {
		if err := s.load(ctx); err != nil {
			return false, err
		}
	}
	list, err := s.Log.ListAudit(ctx, core.AuditQuery{Node: s.Node, After: s.after, Limit: perSend})
	if err != nil || len(list) == 0 {
		return false, err
	}
	if err := s.Target.Send(ctx, list); err != nil {
		return false, err
	}
	s.after = list[len(list)-1].Sequence
	return len(list) == perSend, nil
}

func (s *Shipper) told(ctx context.Context, err error) {
	switch {
	case err != nil && !s.failed && ctx.Err() == nil:
		s.Logger.Error("audit records cannot be sent on; they wait in the store", "target", s.Name, "err", err)
		if s.Alarm != nil {
			s.Alarm("audit_ship", s.Name)
		}
		s.failed = true
	case err == nil && s.failed:
		s.Logger.Info("audit records are sent on again", "target", s.Name)
		s.failed = false
	}
}

// metaName is under which the place is kept.
func (s *Shipper) metaName() string {
	sum := sha256.Sum256([]byte(s.Node + "\n" + s.Name))
	return fmt.Sprintf("audit_shipped_%x", sum[:8])
}

func (s *Shipper) load(ctx context.Context) error {
	text, err := s.Log.MetaGet(ctx, s.metaName())
	if err != nil && !errors.Is(err, core.ErrNoRow) {
		return err
	}
	if text != "" {
		if s.after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("the place of %s in the audit log: %w", s.Name, err)
		}
	}
	s.loaded = true
	return nil
}

// Save writes how far it came.
func (s *Shipper) Save(ctx context.Context) error {
	return s.Log.MetaSet(ctx, &core.MetaSetParams{Name: s.metaName(), Value: strconv.FormatInt(s.after, 10), Now: s.Now()})
}
