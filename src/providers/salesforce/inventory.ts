import type { Account, InventoryPart, TokenRow } from '../provider.ts'
import { type AppCatalogue, appRowOf, readApps } from './apps.ts'
import { type Attribution, createAttribution, findSessionApp } from './attribution.ts'
import { listSessions, standsAlone } from './auth-sessions.ts'
import { type OwnSession, type Permissions, readOwnSession, readPermissions } from './caller.ts'
import type { Connection } from './connection.ts'
import { listExternalAppUsers } from './external-apps.ts'
import { makeHandle } from './handles.ts'
import { isSameId } from './ids.ts'
import { countTokens, type OauthTokenRow } from './oauth-tokens.ts'
import { isRefusal } from './rest-answer.ts'
import { bothSights, judgeSight, readSight, type Sight } from './sight.ts'
import { readAllTokens, type TokenVerdict } from './token-reader.ts'
import { readUnlistedUsage, usageTokenRow } from './usage-tokens.ts'
import { listFrozen, listUsers } from './users.ts'

/** Slices of sessions and of usage tokens are numbered from here, past any slice of tokens. */
const OTHER_SLICES_FROM = 1_000_000_000

interface Reading {
  readonly connection: Connection
  readonly account: Account
  readonly permissions: Permissions
  readonly own: OwnSession
  readonly catalogue: AppCatalogue
  readonly attribution: Attribution
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
  const frozen = permissions.manageUsers === false ? null : await listFrozen(connection, signal)
  for await (const users of listUsers(connection, frozen, signal)) {
    for (const user of users) userIds.add(user.id)
    yield { type: 'users', users }
  }
  const catalogue = await readApps(connection, permissions, signal)
  yield { type: 'apps', apps: catalogue.apps.map((app) => appRowOf(app, catalogue)) }
  for (const text of catalogue.notes) yield { type: 'note', text }

  const attribution = createAttribution(
    catalogue,
    async (appId) => new Set(await listExternalAppUsers(connection, appId, signal)),
  )
  const seen = { withoutHandle: 0 }
  const reading: Reading = {
    connection,
    account,
    permissions,
    own,
    catalogue,
    attribution,
    signal,
    seen,
  }
  const usage = await readUnlistedUsage(connection, catalogue, signal)
  const before = await countTokens(connection, '', signal)
  yield { type: 'counted', when: 'before', count: before + usage.tokens.length }
  const labels = catalogue.apps.map((app) => app.label)
  const verdict = yield* readTokens(reading, { userIds, labels }, before)
  for (const [index, tokens] of chunks(usage.tokens).entries()) {
    const rows = tokens.map((token) => usageTokenRow(token, isOwn(reading, token)))
    yield { type: 'tokens', slice: OTHER_SLICES_FROM - 1 - index, tokens: rows }
  }
  yield* readSessions(reading)
  yield { type: 'counted', when: 'before', count: verdict.before + usage.tokens.length }
  yield { type: 'counted', when: 'after', count: verdict.after + usage.tokens.length }
  if (usage.note) yield { type: 'note', text: usage.note }
  yield { type: 'note', text: budgetNote(connection) }
  // Last of all: a permission that was lost on the way makes a short list that counts as one.
  const sight = bothSights(sightBefore, await readSight(connection, account, signal))
  yield judgeEnd(reading, verdict, sight)
}

async function* readTokens(
  reading: Reading,
  known: { readonly userIds: Iterable<string>; readonly labels: Iterable<string> },
  before: number,
): AsyncGenerator<InventoryPart, TokenVerdict> {
  const { connection, attribution, signal } = reading
  const parts = readAllTokens(connection, known, before, signal)
  for (;;) {
    const next = await parts.next()
    if (next.done) return next.value
    const part = next.value
    if (part.type === 'again') {
      yield { type: 'slice_again', slice: part.slice }
      continue
    }
    await attribution.prepare(part.rows.map(clueOf))
    const tokens = part.rows.flatMap((row) => tokenRow(reading, row))
    const apps = attribution.takeNewApps()
    if (apps.length > 0) yield { type: 'apps', apps }
    yield { type: 'tokens', slice: part.slice, tokens }
  }
}

function tokenRow(reading: Reading, row: OauthTokenRow): readonly TokenRow[] {
  const { seen, attribution } = reading
  if (row.deleteToken === null) {
    seen.withoutHandle += 1
    return []
  }
  const { appId, match } = attribution.find(clueOf(row))
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
      own: isOwn(reading, { userId: row.userId, label: row.appName }),
    },
  ]
}

function clueOf(row: OauthTokenRow) {
  return { applicationId: row.applicationId, label: row.appName, userId: row.userId }
}

/**
 * A token may be ours when it is the caller's and of the app that our session was opened with; when
 * the org does not name that app, any token of the caller may be.
 */
function isOwn(
  { account, own, catalogue }: Reading,
  token: { userId: string | null; label?: string | null; appId?: string },
): boolean {
  if (token.userId !== account.caller.userId) return false
  if (own.appLabel === null) return true
  const label = token.appId
    ? catalogue.apps.find((app) => app.id === token.appId)?.label
    : token.label
  return label === undefined || label === null || label === own.appLabel
}

async function* readSessions(reading: Reading): AsyncGenerator<InventoryPart> {
  const { connection, own, catalogue, permissions, signal } = reading
  if (permissions.manageUsers === false) {
    const text =
      'Sessions without a refresh token are shown for the caller alone: Manage Users is missing.'
    yield { type: 'note', text }
  }
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
            isOwn(reading, { userId: session.userId, label: session.appLabel }),
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
    // Said in a note with the apps already: the org does not show sessions.
    if (!isRefusal(error) || error.code === 'provider_busy') throw error
  }
}

/** States how sure the inventory is, and of what. */
function judgeEnd(
  { seen, account }: Reading,
  verdict: TokenVerdict,
  sight: Sight,
): InventoryPart & { type: 'end' } {
  const whole = verdict.whole && seen.withoutHandle === 0
  if (!sight.grants) {
    const why = `own tokens only: ${account.caller.userName} lacks Customize Application, without which Salesforce shows nobody else's tokens`
    return { type: 'end', whole, why, covers: { users: [account.caller.userId] } }
  }
  if (seen.withoutHandle > 0) {
    const why = `${seen.withoutHandle} tokens have no DeleteToken, so that no call can name them`
    return { type: 'end', whole, why, covers: 'all' }
  }
  return { type: 'end', whole, why: verdict.why, covers: 'all' }
}

function budgetNote(connection: Connection): string {
  const { requests, last } = connection.usage()
  const limit = last ? `; the org has used ${last.used} of its ${last.max} a day` : ''
  return `API requests so far: ${requests}${limit}.`
}

function chunks<Item>(items: readonly Item[], size = 2_000): readonly (readonly Item[])[] {
  const parts: (readonly Item[])[] = []
  for (let start = 0; start < items.length; start += size) {
    parts.push(items.slice(start, start + size))
  }
  return parts
}
