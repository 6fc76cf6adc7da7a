import type { Secret } from '../../core/secret.ts'
import type { BudgetMeans } from './budget.ts'
import { type Instance, tokensOf } from './instance.ts'

/** As many instances are asked for the token that the list did not show of them. */
const ASKED_MAX = 500

/**
 * Says whether another instance, or a connection of ours, holds the refresh token of an instance, in whatever
 * state and of whomever it is; null where that is not known.
 */
export async function isHeldElsewhere(
  { id, elementKey }: Instance,
  refresh: Secret,
  {
    client,
    fingerprint,
    connections,
    signal,
  }: Pick<BudgetMeans, 'client' | 'fingerprint' | 'connections' | 'signal'>,
): Promise<boolean | null> {
  const print = fingerprint(refresh)
  if (await connections?.isHeld(print)) return true
  let asked = 0
  let isKnown = true
  for await (const listed of client.list(signal)) {
    if (listed.id === id) continue
    let held = tokensOf(listed).refresh
    const isOfElement = listed.elementKey === null || listed.elementKey === elementKey
    if (held === null && isOfElement) {
      asked += 1
      if (asked > ASKED_MAX) return null
      const shown = await client.get(listed.id, signal)
      if (shown.ok) held = tokensOf(shown.value).refresh
      else isKnown = false
    }
    if (held !== null && fingerprint(held) === print) return true
  }
  return isKnown ? false : null
}
