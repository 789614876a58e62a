package core

import (
	"context"
	"errors"
	"strings"
)

// What facts on accounts, clients, API keys and users say, carried out in a
// restored store. Whoever is not in it came later and is gone anyway. Whether
// somebody who was disabled had been enabled again is not known: an operator
// does it again.

func (r *replay) accounts(ctx context.Context) error {
	for _, id := range sorted(r.subjects[FactAccount]) {
		now := r.s.now()
		ev := r.actor.Event("account.disable")
		ev.Account, ev.Subject = id, id
		_, err := r.s.store.SetAccountState(ctx, &SetAccountStateParams{ID: id, State: Disabled, FactPurgeAt: r.s.factPurgeAt(now), Now: now, Event: ev})
		if err := r.listed(err, &r.report.Disabled, id); err != nil {
			return err
		}
	}
	return nil
}

// listed adds an id to a list of the report, unless there was no such row.
func (r *replay) listed(err error, list *[]string, id string) error {
	if err == nil {
		*list = append(*list, id)
	}
	return StoreError(noRowIsNil(err))
}

// withSecrets adds subjects whose secret is another since, of one kind.
func (r *replay) withSecrets(kind FactKind, client bool) []string {
	of := r.subjects[kind]
	for id := range r.secrets {
		if strings.HasPrefix(id, ClientIDPrefix) == client && of[id] == nil {
			of[id] = &subjectEnd{}
		}
	}
	return sorted(of)
}

func (r *replay) clients(ctx context.Context) error {
	for _, id := range r.withSecrets(FactClient, true) {
		rec, err := r.s.store.ClientByID(ctx, id)
		if errors.Is(err, ErrNoRow) || err == nil && rec.State == Deleted {
			continue
		}
		if err != nil {
			return StoreError(err)
		}
		end := r.subjects[FactClient][id]
		state, list := r.fate(end, id, rec.State)
		c, now := rec.OAuthClient, r.s.now()
		c.State, c.UpdatedAt = state, now
		_, err = r.s.store.ChangeClient(ctx, &ChangeClientParams{
			Client: c, IfVersion: rec.Version, EndSessions: true, FactPurgeAt: r.s.factPurgeAt(now), Now: now, Event: ClientEvent(r.actor, "client.disable", &c),
		})
		if err := r.listed(err, list, id); err != nil {
			return err
		}
	}
	return nil
}

// fate is what becomes of a client or an API key, and where it is listed.
func (r *replay) fate(end *subjectEnd, id string, is State) (State, *[]string) {
	switch {
	case end.deleted:
		return Deleted, &r.report.Deleted
	case r.secrets[id]:
		return Disabled, &r.report.Secrets
	case end.disabled:
		return Disabled, &r.report.Disabled
	}
	return is, new([]string)
}

func (r *replay) apiKeys(ctx context.Context) error {
	for _, id := range r.withSecrets(FactAPIKey, false) {
		rec, err := r.s.store.APIKeyByID(ctx, id)
		if errors.Is(err, ErrNoRow) || err == nil && rec.State == Deleted {
			continue
		}
		if err != nil {
			return StoreError(err)
		}
		state, list := r.fate(r.subjects[FactAPIKey][id], id, rec.State)
		now := r.s.now()
		ev := r.actor.Event("apikey.disable")
		ev.Account, ev.Subject = rec.Account, id
		_, err = r.s.store.ChangeAPIKey(ctx, &ChangeAPIKeyParams{
			ID: id, Patch: APIKeyPatch{State: &state}, EndSessions: true, FactPurgeAt: r.s.factPurgeAt(now), Now: now, Event: ev,
		})
		if err := r.listed(err, list, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) users(ctx context.Context) error {
	for _, id := range sorted(r.subjects[FactUser]) {
		if err := r.user(ctx, id, r.subjects[FactUser][id]); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) user(ctx context.Context, id string, end *subjectEnd) error {
	now := r.s.now()
	ev := r.actor.Event("restore.replay")
	ev.Subject = id
	if end.deleted {
		err := r.s.store.DeleteUser(ctx, &DeleteUserParams{
			ID: id, NamesReservedUntil: now + r.s.longest.Load(), FactPurgeAt: r.s.factPurgeAt(now), Now: now, Event: ev,
		})
		return r.listed(err, &r.report.Deleted, id)
	}
	p := &ChangeUserParams{
		ID: id, Effects: Effects{RaiseVersion: true, EndSessions: true, SpareSession: end.spare},
		FactPurgeAt: r.s.factPurgeAt(now), Now: now, Event: ev,
	}
	list := new([]string)
	if end.disabled {
		state := Disabled
		p.Patch.State, p.FactReason, list = &state, ReasonDisabled, &r.report.Disabled
	}
	if end.password || end.compromis {
		// The one it has again was given up, perhaps because somebody else had it.
		none := ""
		p.Patch.PasswordHash, p.FactReason, list = &none, ReasonPassword, &r.report.Passwords
	}
	if end.compromis {
		p.Effects.RevokeApplicationToken, p.Effects.DeleteAPIKeys, p.FactReason = true, true, ReasonCompromised
	}
	_, err := r.s.store.ChangeUser(ctx, p)
	if err == nil && end.disabled && list != &r.report.Disabled {
		r.report.Disabled = append(r.report.Disabled, id)
	}
	return r.listed(err, list, id)
}
