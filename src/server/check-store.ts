import { RescindError } from '../core/errors.ts'
import type { AuthorityParts } from './options.ts'

const ISSUER_NOTE = 'issuer'

/**
 * Refuses a store that could not keep the authority's promises, or that is another issuer's.
 *
 * @throws RescindError `store_unfit`, `issuer_mismatch`
 */
export async function checkStore(parts: AuthorityParts): Promise<void> {
  await checkCompareAndSet(parts)
  await checkOwner(parts)
}

/** Two changes that both expect to be the first: one must lose. */
async function checkCompareAndSet({ store, clock, random }: AuthorityParts): Promise<void> {
  const nonce = Buffer.from(random(new Uint8Array(12))).toString('base64url')
  const probe = { type: 'use_once', key: `probe:${nonce}`, keepUntil: clock.now() + 1000 } as const
  const grant = {
    ...{
      id: await store.reserveIds(1),
      clientId: 'probe',
      userId: null,
      sessionId: null,
      scope: '',
    },
    ...{ createdAt: clock.now(), expiresAt: clock.now() + 60_000, detail: null },
  }
  await store.commit({ type: 'start_grant', grant, tokens: [], events: [] })
  const end = { type: 'end_grant', grantId: grant.id, at: clock.now(), events: [] } as const
  const late = { type: 'add_tokens', grantId: grant.id, tokens: [], events: [] } as const
  const pairs = [await bothOf(store, probe), await bothOf(store, end)]
  const isFit = pairs.every((pair) => pair.sort().join() === 'conflict,done')
  if (isFit && (await store.commit(late)) === 'conflict') return
  throw new RescindError(
    'store_unfit',
    `The authority's store ${store.place} lets two changes win that exclude each other. A store must compare and set; see the contract of AuthorityStore.`,
  )
}

function bothOf(
  store: AuthorityParts['store'],
  change: Parameters<AuthorityParts['store']['commit']>[0],
) {
  return Promise.all([store.commit(change), store.commit(change)])
}

async function checkOwner({ store, issuer }: AuthorityParts): Promise<void> {
  await store.commit({ type: 'put_note', key: ISSUER_NOTE, value: issuer, expected: null })
  const note = await store.readNote(ISSUER_NOTE)
  if (note?.value === issuer) return
  throw new RescindError(
    'issuer_mismatch',
    `The authority's store ${store.place} belongs to the issuer ${note?.value ?? 'of nobody'}, not to ${issuer}. Give each issuer a store of its own.`,
  )
}
