import { formatCount, formatCounted } from '../../core/counts.ts'
import type { Account, InventoryPart } from '../provider.ts'
import type { AppCatalogue } from './apps.ts'
import type { Connection } from './connection.ts'
import type { UsageToken } from './external-apps.ts'
import type { Sight } from './sight.ts'
import type { TokenVerdict } from './token-reader.ts'
import type { Usage } from './usage-tokens.ts'

type End = Extract<InventoryPart, { type: 'end' }>

/** What the end of an inventory is judged by. */
export interface Ending {
  readonly account: Account
  /** What was seen all the while. */
  readonly sight: Sight
  readonly verdict: TokenVerdict
  readonly lacks: string | undefined
  /** Rows that no call can name. */
  readonly withoutHandle: number
}

/** States how sure the inventory is, and of what. */
export function judgeEnd({ account, sight, verdict, lacks, withoutHandle }: Ending): End {
  const whole = verdict.whole && withoutHandle === 0
  if (!sight.grants) {
    const why = `own tokens only: ${account.caller.userName} lacks Customize Application, without which Salesforce shows nobody else's tokens${lacks === undefined ? '' : `; ${lacks}`}`
    return { type: 'end', whole, why, covers: { users: [account.caller.userId] }, lacks }
  }
  if (withoutHandle > 0) {
    const why = `${formatCounted(withoutHandle, 'token')} without a DeleteToken: no call can name what has none`
    return { type: 'end', whole, why, covers: 'all', lacks }
  }
  return { type: 'end', whole, why: verdict.why, covers: 'all', lacks }
}

/** Says which tokens could not be listed at all; nothing when there are none. */
export function joinLacks(
  catalogue: AppCatalogue,
  usage: Usage,
  unlisted: readonly UsageToken[],
  sight: Sight,
): string | undefined {
  const lacks = [...catalogue.lacks]
  if (usage.refused.length > 0) {
    lacks.push(
      `tokens of external client apps are not visible: the usage API does not show those of ${usage.refused.join(', ')}`,
    )
  }
  if (usage.unasked > 0 && unlisted.length > 0) {
    lacks.push(
      `tokens of external client apps may be missing: the tokens of ${formatCounted(usage.unasked, 'user')} were not asked for, and the org does not list all of them with the others`,
    )
  }
  if (!sight.sessions) {
    lacks.push('sessions of other users are not visible: Manage Users is missing')
  }
  return lacks.length === 0 ? undefined : lacks.join('; ')
}

/** Facts about external client apps that belong on every page. */
export function usageNotes(
  { apps }: AppCatalogue,
  { unasked }: Usage,
  unlisted: readonly UsageToken[],
): readonly string[] {
  const notes: string[] = []
  if (unlisted.length > 0) {
    const ids = new Set(unlisted.map(({ appId }) => appId))
    const labels = apps.filter(({ id }) => ids.has(id)).map(({ label }) => label)
    notes.push(
      `Not in the org's list of tokens: ${formatCounted(unlisted.length, 'token')} of external client apps. The usage API lists them, which gives no count to compare with: ${labels.join(', ')}.`,
    )
  }
  if (unasked > 0) {
    notes.push(
      `The usage API was not asked for the tokens of ${formatCounted(unasked, 'user')} of external client apps, for there are too many: such tokens are matched to their app by its label alone.`,
    )
  }
  return notes
}

/** What the inventory has cost so far. */
export function budgetNote(connection: Connection): string {
  const { requests, last } = connection.usage()
  const limit = last
    ? `; the org has used ${formatCount(last.used)} of its ${formatCount(last.max)} a day`
    : ''
  return `API requests so far: ${formatCount(requests)}${limit}.`
}
