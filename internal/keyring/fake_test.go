package keyring

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// memRows is the part of a store that a keyring needs, in memory, with the
// promises of core.KeyRows and core.Meta.
type memRows struct {
	core.Meta // only the methods that read and set values are there; another call panics
	mu        sync.Mutex
	rows      []core.KeyRow
	meta      map[string]string
	secrets   map[string][]byte // binding -> sealed
	events    []core.Event
	down      error // of every reading of the keys
}

func newRows() *memRows { return &memRows{meta: map[string]string{}} }

func (m *memRows) MetaSetOnce(_ context.Context, name, value string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.meta[name]; ok {
		return v, nil
	}
	m.meta[name] = value
	return value, nil
}

func (m *memRows) MetaGet(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.meta[name]; ok {
		return v, nil
	}
	return "", core.ErrNoRow
}

func (m *memRows) MetaSet(_ context.Context, p *core.MetaSetParams) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meta[p.Name] = p.Value
	return nil
}

func (m *memRows) InsertKey(_ context.Context, p *core.InsertKeyParams) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.ID == p.Key.ID || r.Set == p.Key.Set && r.State == core.KeyActive && p.Key.State == core.KeyActive {
			return core.ErrExists
		}
	}
	m.rows = append(m.rows, p.Key)
	m.events = append(m.events, p.Event)
	return nil
}

func (m *memRows) ListKeys(context.Context) ([]core.KeyRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	var live []core.KeyRow
	for _, r := range m.rows {
		if r.State != core.KeyDropped {
			r.Sealed = slices.Clone(r.Sealed)
			live = append(live, r)
		}
	}
	return live, nil
}

func (m *memRows) ChangeKey(_ context.Context, p *core.ChangeKeyParams) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rows {
		r := &m.rows[i]
		if r.ID != p.ID || r.State != p.From {
			continue
		}
		r.State = p.To
		switch p.To {
		case core.KeyActive:
			r.ActivatedAt = p.Now
			for j := range m.rows {
				if o := &m.rows[j]; j != i && o.Set == r.Set && o.State == core.KeyActive {
					o.State, o.RetiredAt = core.KeyVerifyOnly, p.Now
				}
			}
		case core.KeyDropped:
			r.DroppedAt, r.Sealed = p.Now, nil
		}
		m.events = append(m.events, p.Event)
		return nil
	}
	return core.ErrStale
}

// Rewrap re-seals keys, and the secrets by their bindings.
func (m *memRows) Rewrap(_ context.Context, p *core.RewrapParams) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.meta[core.MetaMasterKeyID] != p.From {
		return core.ErrStale
	}
	rows, secrets := slices.Clone(m.rows), map[string][]byte{}
	for i := range rows {
		if rows[i].Sealed == nil {
			continue
		}
		sealed, err := p.Key(&rows[i])
		if err != nil {
			return err
		}
		if sealed != nil {
			rows[i].Sealed, rows[i].MasterKey = sealed, p.To
		}
	}
	for binding, was := range m.secrets {
		sealed, err := p.Secret(binding, was)
		if err != nil {
			return err
		}
		if secrets[binding] = sealed; sealed == nil {
			secrets[binding] = was
		}
	}
	m.rows, m.secrets = rows, secrets
	m.meta[core.MetaMasterKeyID], m.meta[core.MetaMasterKeyCheck], m.meta[core.MetaMasterFormer] = p.To, p.Check, p.Former
	if p.Event.Kind != "" {
		m.events = append(m.events, p.Event)
	}
	return nil
}

func (m *memRows) active(set core.KeySet) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.rows {
		if r.Set == set && r.State == core.KeyActive {
			n++
		}
	}
	return n
}

type alarms struct {
	mu  sync.Mutex
	all []string
}

func (a *alarms) Outcome(string, string, core.Code) {}
func (a *alarms) Alarm(name, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, name+": "+detail)
}

// ring is a keyring over rows with a clock, an alarm book and a log.
type ring struct {
	*Keyring
	rows   *memRows
	alarms *alarms
	log    *bytes.Buffer
	now    int64
}

const hexKey = "8b1a9953c4611296a827abf8c47804d7a1b2c3d4e5f60718293a4b5c6d7e8f90"

func testMaster(t testing.TB, text string) *Master {
	t.Helper()
	m, err := ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openRing(t testing.TB, rows *memRows, now int64) *ring {
	t.Helper()
	r := &ring{rows: rows, alarms: &alarms{}, log: &bytes.Buffer{}, now: now}
	k, err := Open(t.Context(), Config{
		Rows: rows, Meta: rows, Master: testMaster(t, hexKey), Observer: r.alarms,
		Now:    func() int64 { return r.now },
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Keyring = k
	return r
}

func wantCode(t testing.TB, err error, code core.Code) {
	t.Helper()
	if err == nil || core.CodeOf(err) != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
}

func wantText(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Fatalf("error %q lacks %q", err, p)
		}
	}
}
