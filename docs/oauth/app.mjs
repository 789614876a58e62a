// A web app that logs its users in at Sallyport.
import { createServer } from 'node:http'
import { randomUUID } from 'node:crypto'
import * as oidc from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, APP = 'http://localhost:8090' } = process.env
const issuer = new URL(ISSUER)
const config = await oidc.discovery(issuer, CLIENT_ID, undefined, oidc.ClientSecretBasic(CLIENT_SECRET), {
  execute: issuer.protocol === 'http:' ? [oidc.allowInsecureRequests] : [], // http is for trying it out
})
const sessions = new Map() // by cookie; a real app keeps them in its database

const routes = {
  '/': (s) => (s.claims ? page(`Hello ${s.claims.sub}. <a href="/logout">Log out</a>`) : page('<a href="/login">Log in</a>')),

  async '/login'(s) {
    s.verifier = oidc.randomPKCECodeVerifier()
    s.state = oidc.randomState()
    return to(oidc.buildAuthorizationUrl(config, {
      redirect_uri: APP + '/callback',
      scope: 'openid profile',
      code_challenge: await oidc.calculatePKCECodeChallenge(s.verifier),
      code_challenge_method: 'S256',
      state: s.state,
    }))
  },

  async '/callback'(s, url) {
    const tokens = await oidc.authorizationCodeGrant(config, url, { pkceCodeVerifier: s.verifier, expectedState: s.state })
    return to(APP + '/', { claims: tokens.claims(), tokens })
  },

  '/logout': (s) => to(oidc.buildEndSessionUrl(config, { id_token_hint: s.tokens.id_token, post_logout_redirect_uri: APP + '/' }), {}),
}

const page = (html) => ({ status: 200, html })
const to = (url, session) => ({ status: 303, url: String(url), session })

createServer(async (req, res) => {
  const url = new URL(req.url, APP)
  const id = /(?:^|; )shop=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]
  const session = sessions.get(id) ?? {}
  try {
    const answer = (await routes[url.pathname]?.(session, url)) ?? { status: 404, html: 'Not found' }
    const next = answer.session ? randomUUID() : sessions.has(id) ? id : randomUUID() // a new one at login and logout
    if (next !== id) sessions.delete(id)
    sessions.set(next, answer.session ?? session)
    res.setHeader('Set-Cookie', `shop=${next}; HttpOnly; SameSite=Lax; Path=/`)
    if (answer.url) res.setHeader('Location', answer.url)
    res.writeHead(answer.status, { 'Content-Type': 'text/html' }).end(answer.html)
  } catch (err) {
    console.error(err)
    res.writeHead(400, { 'Content-Type': 'text/plain' }).end('The login did not work. Try again.')
  }
}).listen(new URL(APP).port, () => console.log('The app is at ' + APP))
