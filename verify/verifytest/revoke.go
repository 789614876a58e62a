package verifytest

import (
	"crypto/rand"
	"strings"
)

func newLog() string { return "in_" + strings.ToLower(rand.Text()) }

// revoke adds a fact and marks those tokens in the status lists that it ends. mu is not held.
func (i *Issuer) revoke(kind, subject, spare string, ends func(*minted) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last++
	i.facts = append(i.facts, fact{i.last, kind, subject, spare, i.now.Add(factLife).Unix()})
	i.mark(statusInvalid, ends)
	i.wake()
}

// RevokeSession ends a session by its sid.
func (i *Issuer) RevokeSession(sid string) {
	i.revoke("session", sid, "", func(m *minted) bool { return m.sid == sid })
}

// RevokeToken ends one token by its jti. In a status list it ends with its session's other tokens, which share a place.
func (i *Issuer) RevokeToken(jti string) {
	i.revoke("token", jti, "", func(m *minted) bool { return m.jti == jti })
}

// ResumeToken takes back that an application token was revoked, as a server does with one that was suspended.
func (i *Issuer) ResumeToken(jti string) {
	i.revoke("token", jti, jti, func(*minted) bool { return false })
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mark(statusValid, func(m *minted) bool { return m.jti == jti })
}

// RevokeUser ends the sessions that a user has, but for the one whose sid is spared ("" spares none).
func (i *Issuer) RevokeUser(sub, spare string) {
	i.revoke("user", sub, spare, func(m *minted) bool { return m.sid != "" && m.sub == sub && m.sid != spare })
}

// RevokeAPIKey ends the sessions that an API key has.
func (i *Issuer) RevokeAPIKey(sub string) {
	i.revoke("apikey", sub, "", func(m *minted) bool { return m.sid != "" && m.sub == sub })
}

// RevokeClient ends the sessions that were opened for an OAuth client.
func (i *Issuer) RevokeClient(clientID string) {
	i.revoke("client", clientID, "", func(m *minted) bool { return m.sid != "" && (m.client == clientID || m.sub == clientID) })
}

// RevokeAccount ends the sessions of all users of an account. A token without the claim acct counts to every account.
func (i *Issuer) RevokeAccount(account string) {
	i.revoke("account", account, "", func(m *minted) bool { return m.sid != "" && (m.acct == "" || m.acct == account) })
}

// RevokeEverything ends all sessions.
func (i *Issuer) RevokeEverything() {
	i.revoke("everything", "", "", func(m *minted) bool { return m.sid != "" })
}

// LoseRevocations takes away the revocations above number last, as a store does that is restored from a backup. The
// log's id stays; with NewLog it changes, as that of a server does which notices.
func (i *Issuer) LoseRevocations(last int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last = min(i.last, last)
	for n := range i.facts {
		if i.facts[n].Number > last {
			i.facts = i.facts[:n]
			break
		}
	}
	i.wake()
}

// NewLog gives the log of revocations another id, so that whoever follows it reads all of it again.
func (i *Issuer) NewLog() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.log = newLog()
	i.wake()
}
