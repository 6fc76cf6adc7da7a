import type { TokenRow } from '../provider.ts'
import type { AppCatalogue } from './apps.ts'
import type { Connection } from './connection.ts'
import { listExternalAppUsers, listUsageTokens, type UsageToken } from './external-apps.ts'
import { makeHandle } from './handles.ts'
import { inLanes, READ_LANES } from './lanes.ts'
import { isLastingRefusal } from './rest-answer.ts'

/**
 * Pairs of an app and a user whose tokens are asked for in one inventory, a request each: at 100 ms a
 * request and in four lanes they take a minute, and an org of any size has quota for them.
 */
const PAIRS_MAX = 2_000

/** One user of an external client app. */
export interface UsagePair {
  readonly appId: string
  readonly userId: string
}

/** What the usage API lists of the external client apps. */
export interface Usage {
  readonly tokens: readonly UsageToken[]
  /** The users of each app that could be asked for. */
  readonly users: ReadonlyMap<string, ReadonlySet<string>>
  /** Pairs past the limit, whose tokens were not asked for. */
  readonly unasked: number
  /** Labels of the apps whose tokens the org does not show. */
  readonly refused: readonly string[]
}

/**
 * Reads what the usage API lists: every token of the external client apps, by the vendor's own ids.
 * Whether OauthToken lists them too is not documented, and there they often bear a label alone.
 *
 * @param only the one user whose tokens are wanted; null for all
 * @see https://developer.salesforce.com/docs/atlas.en-us.chatterapi.meta/chatterapi/connect_resources_usage.htm
 */
export async function readUsage(
  connection: Connection,
  catalogue: AppCatalogue,
  only: string | null,
  signal?: AbortSignal,
): Promise<Usage> {
  const users = new Map<string, ReadonlySet<string>>()
  const refused = new Set<string>()
  const labelOf = new Map(catalogue.apps.map(({ id, label }) => [id, label]))
  const orRefused = async <Item>(appId: string, read: () => Promise<readonly Item[]>) => {
    try {
      return await read()
    } catch (error) {
      if (!isLastingRefusal(error)) throw error
      refused.add(labelOf.get(appId) ?? appId)
      return []
    }
  }
  for (const { id, hasUsage } of catalogue.apps) {
    if (!hasUsage) continue
    const listed = await orRefused(id, () => listExternalAppUsers(connection, id, signal))
    users.set(id, new Set(listed.filter((userId) => only === null || userId === only)))
  }
  const pairs = dealPairs(users)
  const asked = pairs.slice(0, PAIRS_MAX)
  const tokens: UsageToken[] = []
  const read = ({ appId, userId }: UsagePair) =>
    orRefused(appId, () => listUsageTokens(connection, appId, userId, signal))
  for await (const found of inLanes(asked, READ_LANES, read)) tokens.push(...found)
  return { tokens, users, unasked: pairs.length - asked.length, refused: [...refused] }
}

/** One user of each app in turn: so the first of them are a sample of every app. */
function dealPairs(users: ReadonlyMap<string, ReadonlySet<string>>): readonly UsagePair[] {
  const pairs: UsagePair[] = []
  const hands = [...users].map(([appId, ids]) => ({ appId, left: [...ids].values() }))
  for (let dealt = -1; dealt < pairs.length; ) {
    dealt = pairs.length
    for (const { appId, left } of hands) {
      const next = left.next()
      if (!next.done) pairs.push({ appId, userId: next.value })
    }
  }
  return pairs
}

/** Reads all tokens of an external client app now, or of it and one user: what a DELETE would reach. */
export async function readAppUsage(
  connection: Connection,
  appId: string,
  userId: string | null,
  signal?: AbortSignal,
): Promise<readonly UsageToken[]> {
  const users = userId === null ? await listExternalAppUsers(connection, appId, signal) : [userId]
  const read = (user: string) => listUsageTokens(connection, appId, user, signal)
  const tokens: UsageToken[] = []
  for await (const found of inLanes(new Set(users), READ_LANES, read)) tokens.push(...found)
  return tokens
}

/** Reads the lists of some tokens again, and returns those that are still in them. */
export async function stillListed(
  connection: Connection,
  tokens: readonly UsageToken[],
  signal?: AbortSignal,
): Promise<readonly UsageToken[]> {
  const pairs = new Map(tokens.map((token) => [`${token.appId}/${token.userId}`, token]))
  const read = ({ appId, userId }: UsagePair) => listUsageTokens(connection, appId, userId, signal)
  const listed = new Set<string>()
  for await (const found of inLanes(pairs.values(), READ_LANES, read)) {
    for (const { id } of found) listed.add(id)
  }
  return tokens.filter(({ id }) => listed.has(id))
}

/** Returns the row of a usage token as an inventory shows it. */
export function usageTokenRow(token: UsageToken, own: boolean): TokenRow {
  return {
    kind: 'grant',
    handle: makeHandle('usage', token.id),
    userId: token.userId,
    appId: token.appId,
    appMatch: 'id',
    createdAt: token.createdAt,
    lastUsedAt: token.lastUsedAt,
    useCount: token.useCount,
    own,
  }
}
