import type { Account, InventoryPart, TokenRow } from '../provider.ts'
import { type AppCatalogue, appRowOf, readApps } from './apps.ts'
import { type Attribution, createAttribution, findSessionApp } from './attribution.ts'
import { listSessions, standsAlone } from './auth-sessions.ts'
import { type OwnSession, readOwnSession, readPermissions } from './caller.ts'
import type { Connection } from './connection.ts'
import type { UsageToken } from './external-apps.ts'
import { makeHandle } from './handles.ts'
import { isSameId } from './ids.ts'
import { budgetNote, joinLacks, judgeEnd, usageNotes } from './inventory-end.ts'
import { countTokens, type OauthTokenRow, readUpToCap } from './oauth-tokens.ts'
import { type AppNaming, findOwnApp, isGrantUnknown, isOfOwnApp, type OwnApp } from './own-app.ts'
import { isLastingRefusal } from './rest-answer.ts'
import { bothSights, judgeSight, readSight } from './sight.ts'
import { soqlText } from './soql.ts'
import { readAllTokens, type TokenVerdict } from './token-reader.ts'
import { createUsageMatch, type UsageMatch } from './usage-match.ts'
import { readUsage, stillListed, type Usage, usageTokenRow } from './usage-tokens.ts'
import { listFrozen, listUsers } from './users.ts'

/** Slices of sessions and of usage tokens are numbered from here, past any slice of tokens. */
const OTHER_SLICES_FROM = 1_000_000_000

interface Reading {
  readonly connection: Connection
  readonly account: Account
  readonly own: OwnSession
  readonly ownApp: OwnApp | null
  /** Any grant of the caller may be the one that our session hangs on. */
  readonly isGrantUnknown: boolean
  readonly catalogue: AppCatalogue
  readonly attribution: Attribution
  readonly match: UsageMatch
  readonly signal: AbortSignal | undefined
  /** What the rows themselves tell. */
  readonly seen: { withoutHandle: number }
}

/** Streams one snapshot of an org: users, apps, tokens, sessions, and how sure it is. */
export async function* readInventory(
  connection: Connection,
  account: Account,
  signal?: AbortSignal,
): AsyncGenerator<InventoryPart> {
  const permissions = await readPermissions(connection, signal)
  const sightBefore = await judgeSight(connection, account, permissions, signal)
  const own = await readOwnSession(connection, account.caller.userId, signal)
  const userIds = new Set<string>()
  const frozen = sightBefore.sessions ? await listFrozen(connection, signal) : null
  for await (const users of listUsers(connection, frozen, signal)) {
    for (const user of users) userIds.add(user.id)
    yield { type: 'users', users }
  }
  const catalogue = await readApps(connection, permissions, signal)
  yield { type: 'apps', apps: catalogue.apps.map((app) => appRowOf(app, catalogue)) }
  for (const text of catalogue.notes) yield { type: 'note', text }

  const usage = await readUsage(
    connection,
    catalogue,
    sightBefore.grants ? null : account.caller.userId,
    signal,
  )
  const attribution = createAttribution(
    catalogue,
    async (appId) => usage.users.get(appId) ?? new Set(),
  )
  const match = createUsageMatch(catalogue, usage.tokens)
  const seen = { withoutHandle: 0 }
  const ownApp = findOwnApp(own, catalogue)
  const ownGrants = await listOwnGrants(connection, account, usage, signal)
  const isUnknown = isGrantUnknown(own, ownApp, ownGrants)
  const reading: Reading = {
    connection,
    account,
    own,
    ownApp,
    isGrantUnknown: isUnknown,
    catalogue,
    attribution,
    match,
    signal,
    seen,
  }
  const before = await countTokens(connection, '', signal)
  yield { type: 'counted', when: 'before', count: before }
  const labels = catalogue.apps.map((app) => app.label)
  const { verdict, unlisted } = yield* readTokens(reading, { userIds, labels }, before)
  for (const [index, tokens] of chunks(unlisted).entries()) {
    const rows = tokens.map((token) => {
      const naming = { label: null, appId: token.appId }
      return usageTokenRow(token, isOwnGrant(reading, token.userId, naming))
    })
    yield { type: 'tokens', slice: OTHER_SLICES_FROM - 1 - index, tokens: rows }
  }
  yield* readSessions(reading)
  yield { type: 'counted', when: 'before', count: verdict.before + unlisted.length }
  yield { type: 'counted', when: 'after', count: verdict.after + unlisted.length }
  for (const text of usageNotes(catalogue, usage, unlisted)) yield { type: 'note', text }
  yield { type: 'note', text: budgetNote(connection) }
  // Last of all: a permission that was lost on the way makes a short list that counts as one.
  const sight = bothSights(sightBefore, await readSight(connection, account, signal))
  const lacks = joinLacks(catalogue, usage, unlisted, sight)
  yield judgeEnd({ account, sight, verdict, lacks, withoutHandle: seen.withoutHandle })
}

/** How the reading of the tokens ended. */
interface TokensRead {
  readonly verdict: TokenVerdict
  /** Tokens of the usage API that OauthToken has no row of. */
  readonly unlisted: readonly UsageToken[]
}

/**
 * Streams the tokens. Rows that the usage API may confirm are held back, a few thousand at most, until
 * all of them are there.
 */
async function* readTokens(
  reading: Reading,
  known: { readonly userIds: Iterable<string>; readonly labels: Iterable<string> },
  before: number,
): AsyncGenerator<InventoryPart, TokensRead> {
  const { connection, match, signal } = reading
  const parts = readAllTokens(connection, known, before, signal)
  const held = new Map<number, readonly OauthTokenRow[]>()
  for (;;) {
    const next = await parts.next()
    if (next.done) {
      const unlisted = yield* readHeld(reading, held)
      return { verdict: next.value, unlisted }
    }
    const part = next.value
    if (part.type === 'again') {
      held.delete(part.slice)
      yield { type: 'slice_again', slice: part.slice }
      continue
    }
    const candidates = part.rows.filter(match.mayBeListed)
    if (candidates.length > 0) held.set(part.slice, candidates)
    const rows =
      candidates.length > 0 ? part.rows.filter((row) => !match.mayBeListed(row)) : part.rows
    if (rows.length > 0) yield* readRows(reading, part.slice, rows, new Map())
  }
}

/** Judges the rows that were held back beside the usage API's tokens, and returns those without a row. */
async function* readHeld(
  reading: Reading,
  held: ReadonlyMap<number, readonly OauthTokenRow[]>,
): AsyncGenerator<InventoryPart, readonly UsageToken[]> {
  const { appOf, unlisted } = reading.match.judge([...held.values()].flat())
  for (const [slice, rows] of held) yield* readRows(reading, slice, rows, appOf)
  // Where the org lists an app's tokens, one that is missing died since: or it is one of its own kind.
  const listedApps = new Set(appOf.values())
  const sure = unlisted.filter(({ appId }) => !listedApps.has(appId))
  const doubtful = unlisted.filter(({ appId }) => listedApps.has(appId))
  return [...sure, ...(await stillListed(reading.connection, doubtful, reading.signal))]
}

async function* readRows(
  reading: Reading,
  slice: number,
  rows: readonly OauthTokenRow[],
  confirmed: ReadonlyMap<OauthTokenRow, string>,
): AsyncGenerator<InventoryPart> {
  const { attribution } = reading
  await attribution.prepare(rows.map(clueOf))
  const tokens = rows.flatMap((row) => tokenRow(reading, row, confirmed.get(row)))
  const apps = attribution.takeNewApps()
  if (apps.length > 0) yield { type: 'apps', apps }
  yield { type: 'tokens', slice, tokens }
}

function tokenRow(
  reading: Reading,
  row: OauthTokenRow,
  confirmed: string | undefined,
): readonly TokenRow[] {
  const { seen, attribution } = reading
  if (row.deleteToken === null) {
    seen.withoutHandle += 1
    return []
  }
  const { appId, match } = confirmed
    ? { appId: confirmed, match: 'id' as const }
    : attribution.find(clueOf(row))
  return [
    {
      kind: 'grant',
      handle: makeHandle('delete', row.deleteToken),
      userId: row.userId,
      appId,
      appMatch: match,
      createdAt: row.createdAt,
      lastUsedAt: row.lastUsedAt,
      useCount: row.useCount,
      own: isOwnGrant(reading, row.userId, { label: row.appName, appId }),
    },
  ]
}

function clueOf(row: OauthTokenRow) {
  return { applicationId: row.applicationId, label: row.appName, userId: row.userId }
}

/** A token may be ours when it is the caller's and of the app that our session was opened with. */
function isOwn({ account, ownApp }: Reading, userId: string | null, naming: AppNaming): boolean {
  return userId === account.caller.userId && isOfOwnApp(ownApp, naming)
}

function isOwnGrant(reading: Reading, userId: string | null, naming: AppNaming): boolean {
  const isCallers = userId === reading.account.caller.userId
  return isOwn(reading, userId, naming) || (isCallers && reading.isGrantUnknown)
}

/** Reads what names the app of each of the caller's grants. */
async function listOwnGrants(
  connection: Connection,
  { caller }: Account,
  usage: Usage,
  signal?: AbortSignal,
): Promise<readonly AppNaming[]> {
  const ofCaller = `UserId = ${soqlText(caller.userId)}`
  const rows = await readUpToCap(connection, ofCaller, signal)
  const unlisted = usage.tokens.filter(({ userId }) => userId === caller.userId)
  return [
    ...rows.map(({ appName, applicationId }) => ({ label: appName, appId: applicationId })),
    ...unlisted.map(({ appId }) => ({ label: null, appId })),
  ]
}

async function* readSessions(reading: Reading): AsyncGenerator<InventoryPart> {
  const { connection, own, catalogue, signal } = reading
  let slice = OTHER_SLICES_FROM
  const known = new Set(catalogue.apps.map((app) => app.id))
  try {
    for await (const page of listSessions(connection, signal)) {
      const apps = new Map<string, InventoryPart & { type: 'apps' }>()
      const tokens = page.filter(standsAlone).map((session): TokenRow => {
        const { found, row } = findSessionApp(catalogue, session.appLabel)
        if (row && !known.has(row.id)) apps.set(row.id, { type: 'apps', apps: [row] })
        return {
          kind: 'session',
          handle: makeHandle('session', session.id),
          userId: session.userId,
          appId: found.appId,
          appMatch: found.match,
          createdAt: session.createdAt,
          lastUsedAt: session.lastUsedAt,
          useCount: null,
          own:
            isSameId(session.id, own.id) ||
            isOwn(reading, session.userId, { label: session.appLabel, appId: found.appId }),
        }
      })
      for (const [id, part] of apps) {
        known.add(id)
        yield part
      }
      if (tokens.length > 0) yield { type: 'tokens', slice, tokens }
      slice += 1
    }
  } catch (error) {
    // The apps were read with them already: what the inventory lacks says it.
    if (!isLastingRefusal(error)) throw error
  }
}

function chunks<Item>(items: readonly Item[], size = 2_000): readonly (readonly Item[])[] {
  const parts: (readonly Item[])[] = []
  for (let start = 0; start < items.length; start += size) {
    parts.push(items.slice(start, start + size))
  }
  return parts
}
