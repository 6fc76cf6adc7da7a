import { RescindError } from '../core/errors.ts'
import type { Change, GrantRow, TokenRow } from '../store/authority/contract.ts'
import type { AuthorityParts } from './options.ts'

const ISSUER_NOTE = 'issuer'
/** What the trial leaves is forgotten after so long. */
const PROBE_MS = 60_000

/**
 * Refuses a store that could not keep the authority's promises: of two changes that both expect to be the
 * first, one must lose. The trial writes some rows.
 *
 * @throws RescindError `store_unfit`
 */
export async function checkCompareAndSet({ store, clock, random }: AuthorityParts): Promise<void> {
  const nonce = Buffer.from(random(new Uint8Array(12))).toString('base64url')
  const at = clock.now()
  const { grant, token } = probeOf(await store.reserveIds(2), at)
  await store.commit({ type: 'start_grant', grant, tokens: [token], events: [] })
  const [grantId, tokenId] = [grant.id, token.id]
  const spend = { type: 'spend_token', tokenId, grantId, at, successorId: null } as const
  const changes: readonly Change[] = [
    { type: 'use_once', key: `probe:${nonce}`, keepUntil: at + PROBE_MS },
    { ...spend, tokens: [], events: [] },
    { type: 'end_grant', grantId, at, events: [] },
  ]
  let isFit = true
  for (const change of changes) {
    const both = await Promise.all([store.commit(change), store.commit(change)])
    isFit &&= both.sort().join() === 'conflict,done'
  }
  const late: Change = { type: 'add_tokens', grantId, tokens: [], events: [] }
  if (isFit && (await store.commit(late)) === 'conflict') return
  throw new RescindError(
    'store_unfit',
    `The authority's store ${store.place} lets two changes win that exclude each other. A store must compare and set; see the contract of AuthorityStore.`,
  )
}

function probeOf(id: number, now: number): { grant: GrantRow; token: TokenRow } {
  const life = { expiresAt: now + PROBE_MS, detail: null }
  const names = { clientId: 'probe', userId: null, sessionId: null, scope: '' }
  const kind = 'code'
  const hash = new Uint8Array(16)
  return {
    // Made after every moment that somebody revoked up to: the trial's grant must live.
    grant: { id, ...names, createdAt: Number.MAX_SAFE_INTEGER, ...life },
    token: { id: id + 1, kind, hash, grantId: id, issuedAt: now, ...life },
  }
}

/**
 * Refuses a store that is another issuer's; one that is nobody's is ours from now on.
 *
 * @throws RescindError `issuer_mismatch`
 */
export async function checkOwner({ store, issuer }: AuthorityParts): Promise<void> {
  let note = await store.readNote(ISSUER_NOTE)
  if (!note) {
    const owner = { key: ISSUER_NOTE, value: issuer, expected: null }
    await store.commit({ type: 'put_note', ...owner, events: [] })
    note = await store.readNote(ISSUER_NOTE)
  }
  if (note?.value === issuer) return
  throw new RescindError(
    'issuer_mismatch',
    `The authority's store ${store.place} belongs to the issuer ${note?.value ?? 'of nobody'}, not to ${issuer}. Give each issuer a store of its own.`,
  )
}
