import { hkdfSync } from 'node:crypto'
import { type ErrorCode, RescindError } from '../core/errors.ts'
import type { AuthorityStore, Change, GrantRow, TokenRow } from '../store/authority/contract.ts'
import type { AuthorityParts } from './options.ts'

const CHECK_BYTES = 16
/** The note that tells one key from another. */
const KEY_CHECK = 'key_check'
/** An epoch that no store is at any more. */
const BEFORE_ALL = -1
/** What is called of a store. */
const METHODS = [
  ...(['reserveIds', 'readToken', 'readGrant', 'readClient', 'readAsked', 'listClients'] as const),
  ...(['readEpoch', 'commit', 'changeToken', 'countReach', 'listGrants', 'readEvents'] as const),
  ...(['oldestEventAt', 'eventsAt', 'readMarks', 'readNote', 'close'] as const),
] satisfies readonly (keyof AuthorityStore)[]
/** What the trial leaves is forgotten after so long. */
const PROBE_MS = 60_000

/**
 * Refuses a store that could not keep the authority's promises: of two changes that both expect to be the
 * first, one must lose, and a grant is born when its request began. The trial writes some rows.
 *
 * @throws RescindError `store_unfit`
 */
export async function checkCompareAndSet({ store, clock, random }: AuthorityParts): Promise<void> {
  const missing = METHODS.filter((name) => typeof store[name] !== 'function')
  if (missing.length > 0) {
    throw new RescindError(
      'store_unfit',
      `The authority's store ${store.place} has no ${missing.join(', ')}. See the contract of AuthorityStore.`,
    )
  }
  const nonce = Buffer.from(random(new Uint8Array(12))).toString('base64url')
  const at = clock.now()
  const { grant, tokens } = probeOf(await store.reserveIds(4), at)
  const start = { type: 'start_grant', grant, events: [] } as const
  const old = { ...grant, id: grant.id + 3 }
  await Promise.all([
    store.commit({ ...start, began: await store.readEpoch(), tokens }),
    store.commit({ ...start, began: BEFORE_ALL, grant: old, tokens: [] }),
  ])
  if ((await store.readGrant(old.id))?.born !== BEFORE_ALL) {
    throw new RescindError(
      'store_unfit',
      `The authority's store ${store.place} takes the birth of a grant when it is written, and what is under way would survive a revocation. A grant is born when its request began; see the contract of AuthorityStore.`,
    )
  }
  const [grantId, tokenId] = [grant.id, tokens[0].id]
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
  const asked = { tokenId: tokens[1].id, clientId: grant.clientId }
  const end: Change = { type: 'end_token', tokenId: asked.tokenId, at, events: [] }
  const decided = () => store.changeToken(asked, ({ token }) => (token?.end === null ? end : null))
  const both = await Promise.all([decided(), decided()])
  isFit &&= both.filter((committed) => committed === 'done').length === 1
  const late: Change = { type: 'add_tokens', grantId, tokens: [], events: [] }
  if (isFit && (await store.commit(late)) === 'conflict') return
  throw new RescindError(
    'store_unfit',
    `The authority's store ${store.place} lets two changes win that exclude each other. A store must compare and set; see the contract of AuthorityStore.`,
  )
}

function probeOf(id: number, now: number): { grant: GrantRow; tokens: [TokenRow, TokenRow] } {
  const life = { expiresAt: now + PROBE_MS, detail: null }
  const names = { clientId: 'probe', userId: null, sessionId: null, scope: '' }
  const hash = new Uint8Array(16)
  const token = { kind: 'code', hash, grantId: id, issuedAt: now, ...life } as const
  return {
    // Made after every moment that somebody revoked up to: the trial's grant must live.
    grant: { id, ...names, createdAt: Number.MAX_SAFE_INTEGER, ...life },
    tokens: [
      { id: id + 1, ...token },
      { id: id + 2, ...token },
    ],
  }
}

/** What makes the tokens of a store: with another key or brand they are texts of nobody. */
export interface TokenMaking {
  readonly key: Uint8Array
  readonly brand: string
}

/**
 * Refuses a store that is another issuer's, or whose tokens were made with another key or brand: each of
 * them would be unknown, and live on elsewhere. One that is nobody's is ours from now on.
 *
 * @throws RescindError `issuer_mismatch`, `key_mismatch`, `brand_mismatch`
 */
export async function checkOwner(parts: AuthorityParts, making: TokenMaking): Promise<void> {
  for (const owned of ownedBy(parts, making)) await claim(parts.store, owned)
}

/**
 * Refuses to have a first key made for a store whose tokens were made with one.
 *
 * @throws RescindError `key_mismatch`
 */
export async function checkKeyless(store: AuthorityStore): Promise<void> {
  if ((await store.readNote(KEY_CHECK)) === null) return
  throw new RescindError('key_mismatch', otherKeyText(store.place))
}

function otherKeyText(place: string): string {
  return `The authority's store ${place} was made with another key. Give all its processes the same one, as RESCIND_KEY or as the same key file.`
}

/** What the first start writes down, and every later one must have as well. */
interface Owned {
  readonly note: string
  readonly value: string
  readonly code: ErrorCode
  readonly refusal: (kept: string) => string
}

function ownedBy({ store, issuer }: AuthorityParts, { key, brand }: TokenMaking): readonly Owned[] {
  const { place } = store
  return [
    {
      ...{ note: 'issuer', value: issuer, code: 'issuer_mismatch' },
      refusal: (kept) =>
        `The authority's store ${place} belongs to the issuer ${kept}, not to ${issuer}. Give each issuer a store of its own.`,
    },
    {
      ...{ note: KEY_CHECK, value: keyCheckOf(key), code: 'key_mismatch' },
      refusal: () => otherKeyText(place),
    },
    {
      ...{ note: 'token_brand', value: brand, code: 'brand_mismatch' },
      refusal: (kept) =>
        `The tokens of the authority's store ${place} begin with "${kept}", and with another tokenBrand none of them would be known. Give all its processes tokenBrand "${kept}".`,
    },
  ]
}

/** Of processes that start first at once, one writes the note, and all read what that one wrote. */
async function claim(store: AuthorityStore, { note, value, code, refusal }: Owned): Promise<void> {
  let kept = await store.readNote(note)
  if (!kept) {
    await store.commit({ type: 'put_note', key: note, value, expected: null, events: [] })
    kept = await store.readNote(note)
  }
  if (kept?.value !== value) throw new RescindError(code, refusal(kept?.value ?? 'of nobody'))
}

/** Tells one key from another, and nothing of the key: 128 bits that only its owner can derive. */
function keyCheckOf(key: Uint8Array): string {
  const check = hkdfSync('sha256', key, '', 'rescind key check v1', CHECK_BYTES)
  return Buffer.from(check).toString('base64url')
}
