import { RescindError } from '../core/errors.ts'
import type { Covers } from '../core/listing.ts'
import type { InventoryPart, ProviderSession } from '../providers/provider.ts'
import type { Inventory, InventoryStore } from '../store/inventories.ts'

/** How far an inventory is, for the person who waits. */
export interface InventoryProgress {
  readonly read: number
  /** What the provider counted before; null until it has. */
  readonly of: number | null
}

export interface TakeInventoryOptions {
  readonly tenant: string
  readonly provider: string
  readonly session: ProviderSession
  readonly inventories: InventoryStore
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: InventoryProgress) => void) | undefined
}

/** What the provider said on the way. */
interface Heard {
  before: number | null
  after: number | null
  notes: string[]
  end: Extract<InventoryPart, { type: 'end' }> | undefined
}

/**
 * Takes one inventory: streams the provider's list into the store, in bounded memory, and judges
 * whether it is complete. It is complete when the provider's own part was whole, it covers every
 * token, and what was counted before, what is stored, and what was counted after are one number.
 *
 * @throws RescindError when the list cannot be read; what was stored stays marked as cut off
 */
export async function takeInventory(options: TakeInventoryOptions): Promise<Inventory> {
  const { inventories, session, tenant, provider, signal } = options
  const inventory = await inventories.begin(tenant, provider, session.account)
  const heard: Heard = { before: null, after: null, notes: [], end: undefined }
  let read = 0
  for await (const part of session.inventory(signal)) {
    switch (part.type) {
      case 'counted':
        heard[part.when] = part.count
        break
      case 'users':
        await inventories.addUsers(inventory, part.users)
        break
      case 'apps':
        await inventories.addApps(inventory, part.apps)
        break
      case 'tokens':
        await inventories.addTokens(inventory, part.slice, part.tokens)
        read += part.tokens.length
        options.onProgress?.({ read, of: heard.before })
        break
      case 'slice_again':
        await inventories.dropSlice(inventory, part.slice)
        break
      case 'note':
        heard.notes.push(part.text)
        break
      case 'end':
        heard.end = part
        break
    }
  }
  const counts = await inventories.countTokens(inventory)
  const judged = judgeInventory(heard, counts)
  const notes = [...heard.notes, ...sessionsNote(counts)]
  const finished = await inventories.finish(inventory, { ...judged, notes })
  await inventories.prune(tenant)
  return finished
}

/** So that the provider's own count, which knows grants alone, and the inventory's add up for a reader. */
function sessionsNote({ grants, sessions }: { grants: number; sessions: number }): string[] {
  return sessions === 0 ? [] : [`${grants} are grants, and ${sessions} sessions without one.`]
}

/** Judges whether an inventory is complete, and says why in one sentence. */
export function judgeInventory(
  heard: Pick<Heard, 'before' | 'after' | 'end'>,
  stored: { readonly grants: number; readonly sessions: number },
) {
  const { end } = heard
  if (!end) {
    throw new RescindError('answer_invalid', 'The provider ended its list without saying so.')
  }
  const rows = stored.grants + stored.sessions
  // Sessions come and go by the minute, and are listed in one piece: that list is their count.
  const withSessions = (grants: number | null) =>
    grants === null ? null : grants + stored.sessions
  const counted = { before: withSessions(heard.before), after: withSessions(heard.after) }
  const doubt = doubtOf(counted.before, counted.after, end, rows)
  // What could not be listed at all leaves the rest as proven as it is.
  const trouble = [doubt, end.lacks].filter((reason) => reason !== undefined).join('; ')
  const partial = coversAll(end.covers) ? trouble || undefined : end.why
  return {
    state: partial === undefined ? ('complete' as const) : ('partial' as const),
    why: partial ?? end.why,
    counted,
    covers: end.covers,
    whole: doubt === undefined,
  }
}

/** Why the list is not proven to hold all that it covers. */
function doubtOf(
  before: number | null,
  after: number | null,
  end: Extract<InventoryPart, { type: 'end' }>,
  rows: number,
): string | undefined {
  if (!end.whole) return end.why
  if (before !== after) {
    return `count moved: ${before ?? 'unknown'} tokens before, ${after ?? 'unknown'} after`
  }
  if (before !== rows)
    return `${rows} tokens were read, but ${before ?? 'an unknown number'} counted`
  return undefined
}

function coversAll(covers: Covers): boolean {
  return covers === 'all'
}
