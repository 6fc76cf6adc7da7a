import { webcrypto } from 'node:crypto'
import { type Clock, systemClock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'
import { createSealer } from '../store/sealing.ts'
import { checkCompareAndSet, checkOwner } from './check-store.ts'
import { type Clients, createClients } from './clients.ts'
import { createExplain } from './explain.ts'
import { createIntrospection } from './introspect.ts'
import { createIssuing, type Issuing } from './issue.ts'
import { createJwtTokens } from './jwt.ts'
import {
  type AccessTokenCascade,
  type AuthorityParts,
  DEFAULT_LIFETIMES,
  type Lifetimes,
} from './options.ts'
import { createRevoking, type Revoking } from './revoke.ts'
import { createSigningKeys, type SigningAlg, type SigningKeys } from './signing-keys.ts'
import { createTokenFormat, TOKEN_BRAND } from './token-format.ts'
import { createTokens, type Tokens } from './tokens.ts'

const KEY_BYTES = 32
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

export interface CoreOptions {
  /** The issuer identifier (RFC 8414 section 2): https, or http on loopback; no query, no fragment. */
  readonly issuer: string
  readonly store: AuthorityStore
  /** 32 bytes, the same on every process: what hashes tokens and seals keys. */
  readonly key: Uint8Array
  /** What tokens begin with, for scanners of leaked secrets. */
  readonly tokenBrand?: string | undefined
  readonly lifetimes?: Partial<Lifetimes> | undefined
  readonly accessTokenCascade?: AccessTokenCascade | undefined
  readonly signingAlg?: SigningAlg | undefined
  readonly clock?: Clock | undefined
  readonly random?: ((bytes: Uint8Array) => Uint8Array) | undefined
  /** Is told what went wrong, also where nobody waits for an answer, and in which request. */
  readonly onTrouble?: ((error: unknown, request?: string) => void) | undefined
}

/** The authority without its endpoints. */
export interface Core extends AuthorityParts {
  readonly tokens: Tokens
  readonly issuing: Issuing
  readonly revoking: Revoking
  readonly introspect: ReturnType<typeof createIntrospection>
  readonly explain: ReturnType<typeof createExplain>
  readonly clients: Clients
  readonly keys: SigningKeys
}

/**
 * Puts the parts of an authority together, and refuses what could not keep its promises.
 *
 * @param isStoreKnown whether the store is one of ours, and need not be tried out
 * @throws RescindError `usage` for a wrong issuer, key or lifetime; `store_unfit` for a store without
 * compare-and-set; `issuer_mismatch`, `key_mismatch`, `brand_mismatch` when it is another authority's
 */
export async function createCore(options: CoreOptions, isStoreKnown = false): Promise<Core> {
  const issuer = checkIssuer(options.issuer)
  if (!(options.key instanceof Uint8Array) || options.key.length !== KEY_BYTES) {
    throw new RescindError('key_invalid', `An authority needs a key of ${KEY_BYTES} bytes ("key").`)
  }
  const clock = options.clock ?? systemClock
  const parts: AuthorityParts = {
    issuer,
    store: options.store,
    clock,
    lifetimes: checkLifetimes({ ...DEFAULT_LIFETIMES, ...options.lifetimes }),
    accessTokenCascade: options.accessTokenCascade ?? 'token',
    random:
      options.random ?? ((bytes) => webcrypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)),
    onTrouble: options.onTrouble ?? ((error) => process.emitWarning(String(error))),
  }
  const { key, tokenBrand: brand = TOKEN_BRAND } = options
  if (!isStoreKnown) await checkCompareAndSet(parts)
  await checkOwner(parts, { key, brand })
  const sealer = createSealer(key)
  const alg = options.signingAlg ?? 'ES256'
  const keys = createSigningKeys({
    ...{ store: parts.store, sealer, alg, now: clock.now },
    tokenLifetimeS: parts.lifetimes.accessToken,
  })
  const format = createTokenFormat(key, brand)
  const tokens = createTokens(parts, format, createJwtTokens(issuer, keys))
  const revoking = createRevoking(parts, tokens)
  return {
    ...parts,
    ...{ tokens, revoking, keys },
    issuing: createIssuing(parts, tokens),
    introspect: createIntrospection(parts, tokens),
    explain: createExplain(parts, tokens, keys),
    clients: createClients(parts, revoking),
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc8414#section-2 */
function checkIssuer(issuer: string | undefined): string {
  if (typeof issuer !== 'string' || issuer === '') {
    throw new RescindError('usage', 'An authority needs its issuer, as "issuer": an https URL.')
  }
  if (!URL.canParse(issuer)) {
    throw new RescindError('url_invalid', `The issuer "${issuer}" is not a URL.`)
  }
  const { protocol, hostname, search, hash } = new URL(issuer)
  if (protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.has(hostname))) {
    throw new RescindError(
      'url_plain_http',
      `The issuer ${issuer} must be https; plain http is for loopback alone.`,
    )
  }
  if (search !== '' || hash !== '' || issuer.endsWith('?') || issuer.endsWith('#')) {
    throw new RescindError(
      'url_invalid',
      `The issuer ${issuer} must have no query and no fragment.`,
    )
  }
  return issuer.replace(/\/$/, '')
}

function checkLifetimes(lifetimes: Lifetimes): Lifetimes {
  for (const [name, seconds] of Object.entries(lifetimes)) {
    if (!Number.isFinite(seconds) || seconds < 0 || (seconds === 0 && name !== 'refreshGrace')) {
      throw new RescindError(
        'usage',
        `The lifetime "${name}" must be a number of seconds above zero.`,
      )
    }
  }
  return lifetimes
}
