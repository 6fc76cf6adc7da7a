import { RescindError } from '../core/errors.ts'
import type { Provider } from './provider.ts'
import { rfc7009 } from './rfc7009.ts'
import { salesforce } from './salesforce/index.ts'

/** Every provider, by its id; one line each. */
export const PROVIDERS: ReadonlyMap<string, Provider> = new Map([
  [salesforce.id, salesforce],
  [rfc7009.id, rfc7009],
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
