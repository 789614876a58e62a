package core

import (
	"context"
	"errors"
)

// auditBatch is how many records one step of purging removes.
const auditBatch = 500

// auditSlackMS is how much longer than asked records are kept, so that a quiet
// log is shortened once a day and not record by record.
const auditSlackMS = 24 * 3600 * 1000

// purgeAudit drops what is older than the log is kept, of every node's chain,
// in steps that stall nobody. The newest record of a chain always stays.
func (s *Service) purgeAudit(ctx context.Context, now int64) {
	if s.cfg.AuditKeepMS <= 0 {
		return
	}
	heads, err := s.store.AuditHeads(ctx)
	for i := range heads {
		if err == nil {
			err = s.purgeChain(ctx, &heads[i], now)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("old audit records could not be purged; it is tried again in a minute", "err", err)
	}
}

func (s *Service) purgeChain(ctx context.Context, head *AuditRecord, now int64) error {
	limit := now - s.cfg.AuditKeepMS
	for oldest := limit - auditSlackMS; ; oldest = limit {
		list, err := s.store.ListAudit(ctx, AuditQuery{Node: head.Node, Limit: auditBatch})
		if err != nil || len(list) == 0 || list[0].At > oldest {
			return err
		}
		n := 0
		for n < len(list) && list[n].At <= limit && list[n].Sequence < head.Sequence {
			n++
		}
		if n == 0 {
			return nil
		}
		last := &list[n-1]
		err = s.store.PurgeAudit(ctx, &PurgeAuditParams{Node: head.Node, Through: last.Sequence, Now: now, Event: purgeEvent(last)})
		if err != nil || n < auditBatch {
			return err
		}
	}
}

// AuditHeads returns the newest record of every node's chain.
func (s *Service) AuditHeads(ctx context.Context) ([]AuditRecord, error) {
	list, err := s.store.AuditHeads(ctx)
	return list, StoreError(err)
}
