// Refuses revoked access tokens too, by their status list (Token Status List, draft 21).
// Reads a token a line, prints "ok SUB" or "refused REASON".

import { inflateSync } from 'node:zlib'
import { jwtVerify } from 'jose'
import { keys, run, verify } from './verify.mjs'

const issuer = process.env.ISSUER
const prefix = issuer.replace(/\/$/, '') + '/oauth2/status-lists/'
const lists = new Map() // uri: {askAt, known, fetching}

async function fetchList(uri) {
  const answer = await fetch(uri, {
    headers: { accept: 'application/statuslist+jwt' },
    redirect: 'error',
    signal: AbortSignal.timeout(5_000),
  })
  if (!answer.ok) throw new Error(`status ${answer.status}`)
  const { payload } = await jwtVerify(await answer.text(), keys, {
    typ: 'statuslist+jwt', // no other document passes as a list
    issuer,
    subject: uri,
    algorithms: ['ES256', 'EdDSA', 'RS256'],
    requiredClaims: ['exp', 'iat'],
  })
  const { bits, lst } = payload.status_list
  if (bits !== 1) throw new Error('bits')
  return { exp: payload.exp, bytes: inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: 1 << 20 }) }
}

// check throws for a token that was revoked, or whose list cannot be had.
async function check(payload) {
  const reference = payload.status?.status_list
  if (reference === undefined) return // its exp alone ends it
  const { uri, idx } = reference
  // Never ask just any address that a token names.
  if (!uri.startsWith(prefix) || !/^[a-z0-9]+$/.test(uri.slice(prefix.length))) throw new Error('a list elsewhere')
  if (!lists.has(uri)) lists.set(uri, { askAt: 0 })
  const list = lists.get(uri)
  if (performance.now() >= list.askAt) {
    list.askAt = performance.now() + 2_000 // asked again after two seconds, whatever comes of it
    list.fetching = fetchList(uri).then(
      (known) => (list.known = known),
      (e) => console.error('status list not fetched:', e.message),
    )
  }
  await list.fetching
  const known = list.known
  if (!known || known.exp <= Date.now() / 1000) throw new Error('status unknown') // what cannot be looked up is not good
  if (!(idx >= 0 && idx < known.bytes.length * 8) || (known.bytes[idx >> 3] >> (idx & 7)) & 1) throw new Error('revoked')
}

await run(async (token) => {
  const payload = await verify(token)
  await check(payload)
  return payload
})
