package storetest

import (
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

func newSigningKey(id string, state core.KeyState) *core.InsertKeyParams {
	return &core.InsertKeyParams{
		Key: core.KeyRow{
			ID: id, Set: core.KeySet{Mount: "m1", Kind: token.Access}, Class: core.OwnKey, Algorithm: "ES256", State: state,
			Sealed: []byte("sealed"), Public: []byte(`{"kty":"EC"}`), MasterKey: "mk1", CreatedAt: now, ActivatedAt: now,
		},
		Now: now, Event: event("key.create"),
	}
}

func signingKeys(e *env) {
	first := newSigningKey("a", core.KeyActive)
	e.ok(e.InsertKey(e.ctx, first))
	e.is(e.InsertKey(e.ctx, newSigningKey("a", core.KeyNext)), core.ErrExists)
	e.is(e.InsertKey(e.ctx, newSigningKey("b", core.KeyActive)), core.ErrExists)
	second := newSigningKey("b", core.KeyNext)
	second.Key.CreatedAt, second.Key.ActivatedAt, second.Key.Public, second.Key.Class = now+1, 0, nil, core.SharedKey
	e.ok(e.InsertKey(e.ctx, second))
	elsewhere := newSigningKey("c", core.KeyActive)
	elsewhere.Key.Set.Kind, elsewhere.Key.CreatedAt = token.Refresh, now+2
	e.ok(e.InsertKey(e.ctx, elsewhere))
	rows, err := e.ListKeys(e.ctx)
	e.ok(err)
	equal(e, "keys", rows, []core.KeyRow{first.Key, second.Key, elsewhere.Key})

	move := func(id string, from, to core.KeyState) error {
		return e.ChangeKey(e.ctx, &core.ChangeKeyParams{ID: id, From: from, To: to, Now: now + 9, Event: event("key." + string(to))})
	}
	e.is(move("b", core.KeyVerifyOnly, core.KeyDropped), core.ErrStale)
	e.is(move("none", core.KeyNext, core.KeyActive), core.ErrStale)
	e.ok(move("b", core.KeyNext, core.KeyActive)) // and retires the other
	want := []core.KeyRow{first.Key, second.Key, elsewhere.Key}
	want[0].State, want[0].RetiredAt = core.KeyVerifyOnly, now+9
	want[1].State, want[1].ActivatedAt = core.KeyActive, now+9
	rows, err = e.ListKeys(e.ctx)
	e.ok(err)
	equal(e, "after the rotation", rows, want)
	e.ok(move("a", core.KeyVerifyOnly, core.KeyDropped))
	rows, err = e.ListKeys(e.ctx)
	e.ok(err)
	equal(e, "after the drop", rows, want[1:])
	equal(e, "audit", e.audited(0), []string{"key.create", "key.create", "key.create", "key.active", "key.dropped"})
}

// rewrap changes the master key in one step: all of it or nothing.
func rewrap(e *env) {
	e.ok(e.InsertKey(e.ctx, newSigningKey("a", core.KeyActive)))
	e.ok(e.InsertKey(e.ctx, newSigningKey("b", core.KeyNext)))
	_, err := e.MetaSetOnce(e.ctx, core.MetaMasterKeyID, "mk1")
	e.ok(err)
	k := e.key("robot")
	bindings := map[string]string{}
	p := &core.RewrapParams{
		From: "mk1", To: "mk2", Check: "check2", Former: "former", Now: now, Event: event("key.rewrap"),
		Key: func(row *core.KeyRow) ([]byte, error) {
			if row.ID == "b" {
				return nil, nil
			}
			return append([]byte("again "+row.Set.Mount+" "), row.Sealed...), nil
		},
		Secret: func(binding string, sealed []byte) ([]byte, error) {
			bindings[binding] = string(sealed)
			return []byte("new"), nil
		},
	}
	stale := *p
	stale.From = "mk0"
	e.is(e.Rewrap(e.ctx, &stale), core.ErrStale)
	failing := *p
	failing.Secret = func(string, []byte) ([]byte, error) { return nil, core.ErrExists }
	e.is(e.Rewrap(e.ctx, &failing), core.ErrExists)
	rows, err := e.ListKeys(e.ctx)
	e.ok(err)
	equal(e, "after two refusals", string(rows[0].Sealed)+rows[0].MasterKey, "sealedmk1")

	e.ok(e.Rewrap(e.ctx, p))
	rows, err = e.ListKeys(e.ctx)
	e.ok(err)
	equal(e, "rows", []string{string(rows[0].Sealed), rows[0].MasterKey, string(rows[1].Sealed), rows[1].MasterKey}, []string{"again m1 sealed", "mk2", "sealed", "mk1"})
	equal(e, "bindings", bindings, map[string]string{core.APISecretBinding(k.ID, k.Account, 1): "sealed"})
	rec, err := e.APIKeyByID(e.ctx, k.ID)
	e.ok(err)
	equal(e, "secret", []any{string(rec.Secrets[0].Sealed), rec.Version}, []any{"new", k.Version})
	for name, want := range map[string]string{core.MetaMasterKeyID: "mk2", core.MetaMasterKeyCheck: "check2", core.MetaMasterFormer: "former"} {
		v, err := e.MetaGet(e.ctx, name)
		e.ok(err)
		equal(e, name, v, want)
	}
	equal(e, "audit", e.audited(0)[len(e.audited(0))-1], "key.rewrap")
}

func meta(e *env) {
	_, err := e.MetaGet(e.ctx, "none")
	e.is(err, core.ErrNoRow)
	for _, name := range []string{core.MetaNode, core.MetaIncarnation} {
		v, err := e.MetaGet(e.ctx, name)
		e.ok(err)
		if v == "" {
			e.Fatalf("%s is empty", name)
		}
	}
	for _, value := range []string{"one", "two"} {
		got, err := e.MetaSetOnce(e.ctx, "once", value)
		e.ok(err)
		equal(e, "value in force", got, "one")
	}
	e.ok(e.MetaSet(e.ctx, &core.MetaSetParams{Name: "once", Value: "three", Now: now, Event: event("meta")}))
	got, err := e.MetaGet(e.ctx, "once")
	e.ok(err)
	equal(e, "replaced value", got, "three")
	equal(e, "audit", e.audited(0), []string{"meta"})

	for i, issuer := range []string{"https://a", "https://b", "https://a", "https://c"} {
		n, err := e.AddIssuer(e.ctx, issuer, now)
		e.ok(err)
		equal(e, issuer, n, []int64{1, 2, 1, 3}[i])
	}
	all, err := e.Issuers(e.ctx)
	e.ok(err)
	equal(e, "issuers", all, []string{"https://a", "https://b", "https://c"})

	m1 := core.MountRow{ID: "m1", Contract: "itempath", Host: "h", Prefix: "/p", Account: "any"}
	m2 := core.MountRow{ID: "m2", Contract: "pathstack", Account: "default"}
	_, err = e.SyncMounts(e.ctx, now, []core.MountRow{m1, m2})
	e.ok(err)
	m1.Prefix = "/q"
	rows, err := e.SyncMounts(e.ctx, now+1, []core.MountRow{m1})
	e.ok(err)
	m1.SeenAt, m2.SeenAt = now+1, now
	equal(e, "mounts ever served", rows, []core.MountRow{m1, m2})
}
