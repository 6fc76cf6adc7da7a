import type { TokenRow } from '../provider.ts'
import type { AppCatalogue, KnownApp } from './apps.ts'
import type { Connection } from './connection.ts'
import { listExternalAppUsers, listUsageTokens, type UsageToken } from './external-apps.ts'
import { makeHandle } from './handles.ts'
import { inLanes, READ_LANES } from './lanes.ts'
import { countTokens } from './oauth-tokens.ts'
import { allOf, soqlText } from './soql.ts'

/** Tokens of external client apps that the org does not list in OauthToken. */
export interface UnlistedUsage {
  readonly tokens: readonly UsageToken[]
  readonly note: string | null
}

/**
 * Reads, through the usage API, the tokens of those external client apps of which OauthToken has
 * none at all. Whether an org lists them there is not documented.
 */
export async function readUnlistedUsage(
  connection: Connection,
  catalogue: AppCatalogue,
  signal?: AbortSignal,
): Promise<UnlistedUsage> {
  const tokens: UsageToken[] = []
  const labels: string[] = []
  for (const app of catalogue.apps) {
    if (!app.hasUsage || (await isInList(connection, app, signal))) continue
    const found = await readUsage(connection, app.id, signal)
    if (found.length === 0) continue
    labels.push(app.label)
    for (const token of found) tokens.push(token)
  }
  if (tokens.length === 0) return { tokens, note: null }
  const note = `${tokens.length} tokens of external client apps are not in the org's list of tokens and come from the usage API, which gives no count to compare with: ${labels.join(', ')}.`
  return { tokens, note }
}

/** Reads all tokens of an external client app, user by user. */
export async function readUsage(
  connection: Connection,
  appId: string,
  signal?: AbortSignal,
): Promise<readonly UsageToken[]> {
  const users = await listExternalAppUsers(connection, appId, signal)
  const read = (userId: string) => listUsageTokens(connection, appId, userId, signal)
  const tokens: UsageToken[] = []
  for await (const found of inLanes(new Set(users), READ_LANES, read)) tokens.push(...found)
  return tokens
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

/** The condition under which OauthToken would list an app's tokens. */
export function conditionOf(app: Pick<KnownApp, 'label' | 'menuItemId'>): string {
  const item = app.menuItemId === null ? '' : ` OR AppMenuItemId = ${soqlText(app.menuItemId)}`
  return allOf(`AppName = ${soqlText(app.label)}`, `(AppMenuItemId = null${item})`)
}

async function isInList(connection: Connection, app: KnownApp, signal?: AbortSignal) {
  return (await countTokens(connection, conditionOf(app), signal)) > 0
}
