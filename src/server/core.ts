import { webcrypto } from 'node:crypto'
import { type Clock, systemClock } from '../core/clock.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'
import { createSealer } from '../store/sealing.ts'
import { createBeginnings } from './beginning.ts'
import { checkIssuer, checkLifetimes, checkOptions } from './check-options.ts'
import { checkCompareAndSet, checkOwner } from './check-store.ts'
import { type Clients, createClients } from './clients.ts'
import { createExplain } from './explain.ts'
import { createIntrospecting, type Introspecting } from './introspect.ts'
import { createIssuing, type Issuing } from './issue.ts'
import { createJwtTokens } from './jwt.ts'
import type { AccessTokenCascade, AuthorityParts, Lifetimes } from './options.ts'
import { createRevoking, type Revoking } from './revoke.ts'
import { createSigningKeys, type SigningAlg, type SigningKeys } from './signing-keys.ts'
import { createTokenFormat, TOKEN_BRAND } from './token-format.ts'
import { createTokens, type Tokens } from './tokens.ts'

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
  readonly introspecting: Introspecting
  readonly explain: ReturnType<typeof createExplain>
  readonly clients: Clients
  readonly keys: SigningKeys
}

/**
 * Puts the parts of an authority together, and refuses what could not keep its promises.
 *
 * @param isStoreKnown whether the store is one of ours, and need not be tried out
 * @throws RescindError `usage` for a wrong option; `key_invalid`; `store_unfit` for a store without
 * compare-and-set; `issuer_mismatch`, `key_mismatch`, `brand_mismatch` when it is another authority's
 */
export async function createCore(options: CoreOptions, isStoreKnown = false): Promise<Core> {
  checkOptions(options)
  const issuer = checkIssuer(options.issuer)
  const clock = options.clock ?? systemClock
  const parts: AuthorityParts = {
    issuer,
    store: options.store,
    clock,
    beginnings: createBeginnings(options.store, clock),
    lifetimes: checkLifetimes(options.lifetimes),
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
    introspecting: createIntrospecting(parts, tokens),
    explain: createExplain(parts, tokens, keys),
    clients: createClients(parts, revoking),
  }
}
