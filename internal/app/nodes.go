package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/httpd"
	"github.com/sallyport/sallyport/internal/store/postgres"
)

// What nodes that share a store know of each other. They tell what they serve
// as hashes, and a difference is a warning and no more: during a rollout there
// always is one.

const (
	// clockSkewMS is how far a node's clock may stand from the database's
	// before it is told of: tokens bear the clock of the node that issued them.
	clockSkewMS = 5_000
	watchEvery  = 5 * time.Second
	// choresLease is the turn of the node that takes signing keys on.
	choresLease = "keys"
)

// introduce tells the other nodes of this one.
func (a *App) introduce() {
	pg := a.engine.postgres()
	if pg == nil {
		return
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	n := postgres.Node{
		Name: name + ":" + strconv.Itoa(os.Getpid()), Version: a.opts.Version, StartedAt: a.started.UnixMilli(),
		Settings: map[string]string{"issuer": textSum(a.engine.service.Issuer())}, Contracts: map[string]string{},
	}
	for key, value := range a.cfg.SharedSettings() {
		n.Settings[key] = textSum(value)
	}
	for _, m := range a.engine.mounts {
		n.Contracts[m.core.ID] = textSum(strings.Join([]string{m.sum, m.cfg.Host, m.cfg.Prefix, m.core.Account}, "\x00"))
	}
	pg.Introduce(n)
	a.engine.metrics.watchNodes(pg)
}

// shortSum is enough of a hash to tell files apart.
func shortSum(sum [32]byte) string { return hex.EncodeToString(sum[:8]) }

func textSum(s string) string { return shortSum(sha256.Sum256([]byte(s))) }

// nodeChecks is what /readyz says of the other nodes: notes, no failures. That
// this node cannot hear of revocations is a check of its own.
func (a *App) nodeChecks() []httpd.Check {
	pg := a.engine.postgres()
	if pg == nil {
		return nil
	}
	nodes := pg.Peers()
	notes := []string{fmt.Sprintf("%d here", len(nodes))}
	notes = append(notes, differences(pg.Node(), nodes)...)
	news := httpd.Check{Name: "notifications"}
	if !pg.Listening() {
		news.Note = "none arrive; news of other nodes is polled for twice a second"
	}
	return []httpd.Check{{Name: "nodes", Note: strings.Join(notes, "; ")}, news}
}

// differences are the ways in which nodes differ from one of them, in words.
func differences(own string, nodes []postgres.Node) (all []string) {
	i := slices.IndexFunc(nodes, func(n postgres.Node) bool { return n.ID == own })
	if i < 0 {
		return nil
	}
	me := &nodes[i]
	for k := range nodes {
		n := &nodes[k]
		if far := n.ClockAhead; far > clockSkewMS || far < -clockSkewMS {
			all = append(all, fmt.Sprintf("the clock of %s stands %d s from the database's", n.Name, far/1000))
		}
		if k == i {
			continue
		}
		if n.Version != me.Version {
			all = append(all, fmt.Sprintf("%s runs version %s, this node %s", n.Name, n.Version, me.Version))
		}
		if keys := differing(me.Settings, n.Settings); len(keys) > 0 {
			all = append(all, fmt.Sprintf("%s has another %s", n.Name, strings.Join(keys, ", ")))
		}
		if mounts := differing(me.Contracts, n.Contracts); len(mounts) > 0 {
			all = append(all, fmt.Sprintf("%s serves another contract at the mount %s", n.Name, strings.Join(mounts, ", ")))
		}
	}
	return all
}

// differing lists the names under which two maps hold different things.
func differing(a, b map[string]string) []string {
	names := map[string]bool{}
	for name, v := range a {
		if b[name] != v {
			names[name] = true
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// watchNodes says each difference once in the log.
func (a *App) watchNodes(ctx context.Context) {
	pg := a.engine.postgres()
	if pg == nil {
		return
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	said := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := map[string]bool{}
		for _, d := range differences(pg.Node(), pg.Peers()) {
			if now[d] = true; !said[d] {
				a.opts.Logger.Warn("the nodes of this store differ: " + d)
			}
		}
		said = now
	}
}

// keyNews delivers a value when another node has changed keys; nil, which never
// delivers, without other nodes.
func (e *engine) keyNews() <-chan struct{} {
	if pg := e.postgres(); pg != nil {
		return pg.KeyChanges()
	}
	return nil
}

// keysUnheard says whether other nodes' changes of keys must be polled for.
func (e *engine) keysUnheard() bool {
	pg := e.postgres()
	return pg != nil && !pg.Listening()
}

// pollKeys is how often.
const pollKeys = 2 * time.Second

// keySpread waits until other nodes know a new key: they are told of it, and who
// cannot hear notices that and polls. One whose reading fails does not answer
// 401 to what it does not know (see Keyring.Fault). nil where there are no other
// nodes.
func (e *engine) keySpread() func(context.Context) error {
	if e.postgres() == nil {
		return nil
	}
	return func(ctx context.Context) error {
		t := time.NewTimer(postgres.Silence + pollKeys + time.Second)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// takesKeysOn says whether it is this node's turn to rotate and drop keys. The
// others read what it did.
func (e *engine) takesKeysOn(ctx context.Context) bool {
	pg := e.postgres()
	if pg == nil {
		return true
	}
	mine, err := pg.Lease(ctx, choresLease, 3*time.Minute)
	if err != nil {
		e.log.Debug("whose turn it is to look after the keys is not known", "err", err)
	}
	return mine
}
