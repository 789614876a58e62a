// Two client libraries whose answers get lost on the way. GET /lose makes the
// wire lose the next answer of the token endpoint. Each step that works prints
// its name.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const setup = JSON.parse(process.env.SETUP)
const insecure = { [oauth.allowInsecureRequests]: true }
const lose = () => fetch(setup.issuer + '/lose')

// twice: the first answer is lost, and the same call again gives what it would
// have given; then two tabs at once get one successor.
async function twice(name, token, refresh) {
  for (let round = 0; round < 3; round++) {
    await lose()
    await assert.rejects(refresh(token))
    const next = await refresh(token)
    assert.notEqual(next.refresh_token, token)
    const [a, b] = await Promise.all([refresh(next.refresh_token), refresh(next.refresh_token)])
    assert.equal(a.refresh_token, b.refresh_token)
    token = a.refresh_token
  }
  console.log(name)
}

const config = await openid.discovery(new URL(setup.issuer), setup.id, undefined, openid.ClientSecretBasic(setup.secret), { execute: [openid.allowInsecureRequests] })
await twice('openid-client', setup.tokens[0], (t) => openid.refreshTokenGrant(config, t))

const as = config.serverMetadata()
const client = { client_id: setup.id }
await twice('oauth4webapi', setup.tokens[1], async (t) => {
  const res = await oauth.refreshTokenGrantRequest(as, client, oauth.ClientSecretBasic(setup.secret), t, insecure)
  return oauth.processRefreshTokenResponse(as, client, res)
})
