// Two client libraries against a running server. What to use comes as JSON in
// the variable SETUP; each step that works prints its name.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const setup = JSON.parse(process.env.SETUP)
const issuer = new URL(setup.issuer)
const insecure = { [oauth.allowInsecureRequests]: true }
const done = (step) => console.log(step)

const clientKey = await crypto.subtle.importKey('jwk', setup.key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

function auth(c) {
  switch (c.auth) {
    case 'client_secret_basic': return oauth.ClientSecretBasic(c.secret)
    case 'client_secret_post': return oauth.ClientSecretPost(c.secret)
    case 'private_key_jwt': return oauth.PrivateKeyJwt(clientKey)
    default: return oauth.None()
  }
}

async function webapi() {
  const as = {}
  for (const algorithm of ['oauth2', 'oidc']) {
    const res = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
    Object.assign(as, await oauth.processDiscoveryResponse(issuer, res))
    done('oauth4webapi discovery ' + algorithm)
  }
  assert.equal(as.authorization_response_iss_parameter_supported, true)
  for (const c of setup.machines) {
    const client = { client_id: c.id }
    const res = await oauth.clientCredentialsGrantRequest(as, client, auth(c), { scope: 'read' }, insecure)
    const tokens = await oauth.processClientCredentialsResponse(as, client, res)
    assert.equal(tokens.scope, 'read')
    const request = new Request(setup.issuer + '/things', { headers: { authorization: 'Bearer ' + tokens.access_token } })
    const claims = await oauth.validateJwtAccessToken(as, request, setup.issuer, insecure)
    assert.equal(claims.sub, c.id)
    const told = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth(c), tokens.access_token, insecure))
    assert.equal(told.active, true)
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth(c), tokens.access_token, insecure))
    const after = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth(c), tokens.access_token, insecure))
    assert.deepEqual(after, { active: false })
    done('oauth4webapi client credentials ' + c.auth)
  }
  for (const c of setup.apps) {
    await webapiCode(as, c)
  }
}

async function webapiCode(as, c) {
  const client = { client_id: c.id, id_token_signed_response_alg: c.alg }
  const back = new URL(setup.callback)
  back.search = new URLSearchParams({ code: c.codes.webapi, state: 's', iss: setup.issuer })
  const params = oauth.validateAuthResponse(as, client, back, 's')
  const res = await oauth.authorizationCodeGrantRequest(as, client, auth(c), params, setup.callback, setup.verifier, insecure)
  const first = await oauth.processAuthorizationCodeResponse(as, client, res, { expectedNonce: setup.nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, res, insecure)
  assert.equal(oauth.getValidatedIdTokenClaims(first).sub, setup.user)
  done(`oauth4webapi code ${c.alg} ${c.auth}`)

  const refresh = async (token) => {
    const res = await oauth.refreshTokenGrantRequest(as, client, auth(c), token, insecure)
    return oauth.processRefreshTokenResponse(as, client, res)
  }
  const second = await refresh(first.refresh_token)
  const again = await refresh(first.refresh_token)
  assert.notEqual(second.refresh_token, first.refresh_token)
  assert.equal(again.refresh_token, second.refresh_token)
  done(`oauth4webapi refresh ${c.alg} ${c.auth}`)

  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth(c), second.refresh_token, insecure))
  await assert.rejects(refresh(second.refresh_token), { error: 'invalid_grant' })
  done(`oauth4webapi revocation ${c.alg} ${c.auth}`)
}

function openidAuth(c) {
  switch (c.auth) {
    case 'client_secret_basic': return openid.ClientSecretBasic(c.secret)
    case 'client_secret_post': return openid.ClientSecretPost(c.secret)
    case 'private_key_jwt': return openid.PrivateKeyJwt(clientKey)
    default: return openid.None()
  }
}

async function client() {
  for (const c of setup.machines) {
    const config = await openid.discovery(issuer, c.id, undefined, openidAuth(c), { execute: [openid.allowInsecureRequests] })
    const tokens = await openid.clientCredentialsGrant(config, { scope: 'read' })
    assert.equal((await openid.tokenIntrospection(config, tokens.access_token)).active, true)
    await openid.tokenRevocation(config, tokens.access_token)
    assert.deepEqual(await openid.tokenIntrospection(config, tokens.access_token), { active: false })
    done('openid-client client credentials ' + c.auth)
  }
  for (const c of setup.apps) {
    const config = await openid.discovery(issuer, c.id, { id_token_signed_response_alg: c.alg }, openidAuth(c), {
      execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks],
    })
    const back = new URL(setup.callback)
    back.search = new URLSearchParams({ code: c.codes.openid, state: 's', iss: setup.issuer })
    const first = await openid.authorizationCodeGrant(config, back, { pkceCodeVerifier: setup.verifier, expectedState: 's', expectedNonce: setup.nonce })
    assert.equal(first.claims().sub, setup.user)
    const second = await openid.refreshTokenGrant(config, first.refresh_token)
    assert.notEqual(second.refresh_token, first.refresh_token)
    await openid.tokenRevocation(config, second.refresh_token)
    await assert.rejects(openid.refreshTokenGrant(config, second.refresh_token), { error: 'invalid_grant' })
    done(`openid-client code, refresh, revocation ${c.alg} ${c.auth}`)
  }
}

await webapi()
await client()
