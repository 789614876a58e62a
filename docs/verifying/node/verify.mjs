// Verifies access tokens of a Sallyport server with jose (npm install jose).
// Reads a token a line, prints "ok SUB" or "refused REASON".

import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const issuer = process.env.ISSUER
const audience = process.env.AUDIENCE

// Fetches the keys when they are first needed and when a token names an unknown
// one, at most once in ten seconds.
export const keys = createRemoteJWKSet(new URL(issuer.replace(/\/$/, '') + '/.well-known/jwks.json'), {
  cooldownDuration: 10_000,
  cacheMaxAge: 300_000, // the server's max-age
  timeoutDuration: 5_000,
})

// verify returns the claims, or throws.
export async function verify(token) {
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer,
    audience,
    algorithms: ['ES256', 'EdDSA', 'RS256'], // public-key algorithms alone
    // A token without exp could never be got rid of.
    requiredClaims: ['exp', 'iat', 'iss', 'sub', 'aud', 'jti'],
  })
  if ([payload.aud].flat().length !== 1) throw new Error('token is for others, too') // jose takes any of several
  if (!isAccess(protectedHeader, payload)) throw new Error('not an access token') // refresh and id tokens are none
  return payload
}

// A contract's access tokens say so in a claim, those of the OAuth endpoints (RFC 9068) by their typ.
function isAccess(header, payload) {
  const typ = (header.typ ?? 'JWT').toLowerCase().replace(/^application\//, '')
  if (typ === 'at+jwt') return payload.token_use === undefined && payload.client_id !== undefined
  return typ === 'jwt' && payload.token_use === 'access'
}

// run answers each line of the input.
export async function run(check) {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      console.log('ok', (await check(line)).sub)
    } catch (e) {
      console.log('refused', e instanceof errors.JOSEError ? e.code : e.message)
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(verify)
