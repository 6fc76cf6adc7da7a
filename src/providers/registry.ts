import { RescindError } from '../core/errors.ts'
import { oauth2 } from './oauth2.ts'
import type { HeldTokenWay, Provider } from './provider.ts'
import { rfc7009 } from './rfc7009.ts'
import { salesforce } from './salesforce/index.ts'

/** Every provider, by its id; one line each. */
export const PROVIDERS: ReadonlyMap<string, Provider> = new Map([
  [salesforce.id, salesforce],
  [rfc7009.id, rfc7009],
  [oauth2.id, oauth2],
])

/**
 * Finds a provider by its id.
 *
 * @throws RescindError `provider_unknown`
 */
export function findProvider(id: string): Provider {
  const provider = PROVIDERS.get(id)
  if (provider) return provider
  throw new RescindError(
    'provider_unknown',
    `There is no provider "${id.slice(0, 60)}". Known: ${[...PROVIDERS.keys()].join(', ')}.`,
  )
}

/** The ids of the providers that revoke one token that somebody holds. */
export const HELD_TOKEN_PROVIDERS: readonly string[] = [...PROVIDERS.values()]
  .filter(({ heldToken }) => heldToken !== undefined)
  .map(({ id }) => id)

/**
 * Finds how a provider revokes one token that somebody holds.
 *
 * @throws RescindError `provider_unknown`, `provider_unsupported`
 */
export function findHeldTokenWay(id: string): HeldTokenWay {
  const { heldToken, title } = findProvider(id)
  if (heldToken) return heldToken
  throw new RescindError(
    'provider_unsupported',
    `${title} revokes no token by itself. Take an inventory and a plan instead.`,
  )
}
