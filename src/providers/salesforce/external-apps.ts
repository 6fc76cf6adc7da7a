import { RescindError } from '../../core/errors.ts'
import type { Connection } from './connection.ts'
import { toLongId } from './ids.ts'
import type { Row } from './soql.ts'
import { numberOf, textOf, timeOf } from './soql.ts'

/** An external client app that has tokens, as the usage API lists it. */
export interface ExternalApp {
  readonly id: string
  readonly developerName: string | null
  readonly description: string | null
}

/** A refresh token of an external client app, as the usage API lists it. */
export interface UsageToken {
  readonly id: string
  readonly appId: string
  readonly userId: string
  readonly createdAt: number | null
  readonly lastUsedAt: number | null
  readonly useCount: number | null
}

/** A list that has more pages than this does not end. */
const PAGES_MAX = 10_000
/** The vendor's default; a list of tokens of one user never fills it (five approvals an app). */
const PAGE_SIZE = 100

/** Returns the address of one thing under the usage API. */
export function usagePath(connection: Pick<Connection, 'apiVersion'>, ...parts: readonly string[]) {
  const tail = parts.map((part) => `/${encodeURIComponent(part)}`).join('')
  return `/services/data/v${connection.apiVersion}/apps/oauth/usage${tail}`
}

/**
 * Lists the external client apps that have tokens.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.chatterapi.meta/chatterapi/connect_resources_usage.htm
 */
export async function listExternalApps(
  connection: Connection,
  signal?: AbortSignal,
): Promise<readonly ExternalApp[]> {
  const rows = await readPages(connection, usagePath(connection), 'apps', 1, signal)
  return rows.flatMap((row) => {
    const id = textOf(row, 'identifier')
    if (id === null) return []
    const developerName = textOf(row, 'developerName')
    return [{ id: toLongId(id), developerName, description: textOf(row, 'description') }]
  })
}

/** Lists the ids of the users that have tokens of an external client app. */
export async function listExternalAppUsers(
  connection: Connection,
  appId: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const path = usagePath(connection, appId, 'users')
  const rows = await readPages(connection, path, 'users', 1, signal)
  return rows.flatMap((row) => {
    const id = textOf(row, 'userIdentifier')
    return id === null ? [] : [toLongId(id)]
  })
}

/** Lists one user's tokens of an external client app. */
export async function listUsageTokens(
  connection: Connection,
  appId: string,
  userId: string,
  signal?: AbortSignal,
): Promise<readonly UsageToken[]> {
  const path = usagePath(connection, appId, userId, 'tokens')
  const rows = await readPages(connection, path, 'tokens', PAGE_SIZE, signal)
  return rows.flatMap((row) => {
    const id = tokenIdOf(row)
    if (id === null) return []
    return [
      {
        id,
        appId,
        userId,
        createdAt: timeOf(row, 'initialConnectionAt'),
        lastUsedAt: timeOf(row, 'lastUsedAt'),
        useCount: numberOf(row, 'useCount'),
      },
    ]
  })
}

/** The token's id stands only at the end of its revocation address. */
function tokenIdOf(row: Row): string | null {
  const path = textOf(row, 'revocationUrl')?.split('?')[0]
  const last = path?.split('/').filter(Boolean).at(-1)
  return last === undefined ? null : decodeURIComponent(last)
}

/**
 * Reads the pages of a list. Each names a next page, the last one too; what ends the list is a page
 * with fewer rows than `fullFrom`, which is 1 where only an empty page is sure.
 */
async function readPages(
  connection: Connection,
  path: string,
  key: 'apps' | 'users' | 'tokens',
  fullFrom: number,
  signal: AbortSignal | undefined,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const what = 'the usage of external client apps'
    const answer = (await connection.read(`${path}?page=${page}`, what, signal)) as Row | null
    const found = answer?.[key]
    if (!Array.isArray(found)) {
      throw new RescindError('answer_invalid', `Salesforce's list of ${what} has no "${key}".`)
    }
    for (const row of found) rows.push(row as Row)
    if (found.length < fullFrom) return rows
  }
  throw new RescindError('answer_invalid', 'The usage list of external client apps does not end.')
}
