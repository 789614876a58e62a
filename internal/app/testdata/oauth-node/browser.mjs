// openid-client sends a browser to log in and out; the browser is a cookie jar.
import assert from 'node:assert/strict'
import * as oidc from 'openid-client'

const { issuer, callback, bye, id, secret, user, name, password } = JSON.parse(process.env.SETUP)
const jar = new Map()

async function visit(url, init = {}) {
  for (;;) {
    const cookie = [...jar].map(([k, v]) => `${k}=${v}`).join('; ')
    const res = await fetch(url, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } })
    for (const line of res.headers.getSetCookie()) {
      const [pair] = line.split(';')
      const at = pair.indexOf('=')
      jar.set(pair.slice(0, at), pair.slice(at + 1))
    }
    if (res.status !== 303) return { res, html: await res.text() }
    const next = new URL(res.headers.get('location'), url)
    if (next.origin !== new URL(issuer).origin) return { to: next }
    url = next
    init = {}
  }
}

const field = (html, name) => html.match(new RegExp(`name="${name}" value="([^"]*)"`))[1].replaceAll('&amp;', '&').replaceAll('&#43;', '+')

const config = await oidc.discovery(new URL(issuer), id, secret, undefined, { execute: [oidc.allowInsecureRequests] })
assert.ok(config.serverMetadata().supportsPKCE())
const verifier = oidc.randomPKCECodeVerifier()
const state = oidc.randomState()
const nonce = oidc.randomNonce()
const start = oidc.buildAuthorizationUrl(config, {
  redirect_uri: callback, scope: 'openid profile email', code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256', state, nonce, max_age: '300',
})
const page = await visit(start)
assert.equal(page.res.status, 200)
const form = new URLSearchParams({ csrf: field(page.html, 'csrf'), request: field(page.html, 'request'), username: name, password })
const back = await visit(new URL('/oauth2/login', issuer), { method: 'POST', body: form })
assert.ok(back.to, 'no redirect to the client')
console.log('login')

const tokens = await oidc.authorizationCodeGrant(config, back.to, {
  pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 300, idTokenExpected: true,
})
assert.equal(tokens.claims().sub, user)
console.log('code')
const info = await oidc.fetchUserInfo(config, tokens.access_token, user)
assert.equal(info.preferred_username, name)
console.log('userinfo')
const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token)
assert.equal(fresh.claims().sub, user)
console.log('refresh')

const out = oidc.buildEndSessionUrl(config, { id_token_hint: fresh.id_token, post_logout_redirect_uri: bye, state })
const left = await visit(out)
assert.equal(left.to.href, `${bye}?state=${state}`)
await assert.rejects(oidc.refreshTokenGrant(config, fresh.refresh_token), { error: 'invalid_grant' })
await assert.rejects(oidc.fetchUserInfo(config, fresh.access_token, user))
console.log('logout')

const none = oidc.buildAuthorizationUrl(config, {
  redirect_uri: callback, scope: 'openid', code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, prompt: 'none',
})
const refused = await visit(none)
await assert.rejects(oidc.authorizationCodeGrant(config, refused.to, { pkceCodeVerifier: verifier, expectedState: state }), { error: 'login_required' })
console.log('login_required')
