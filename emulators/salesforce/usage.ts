import { type Answer, emptyAnswer, jsonAnswer } from '../answer.ts'
import { notFound, restError } from './answer.ts'
import type { App } from './apps.ts'
import { type Call, queryOf, withSession } from './call.ts'
import { eachRowOf, STATE } from './grants.ts'
import { isPermitted, killGrant, type Org, planReturn } from './org.ts'
import { PREFIX, recordId, shortId } from './record-id.ts'

/**
 * The usage resources of the Connect REST API. They know External Client Apps only, never connected apps.
 * @see https://developer.salesforce.com/docs/atlas.en-us.chatterapi.meta/chatterapi/connect_resources_app_oauth_usage.htm
 */
const PAGE_SIZE = 100
const PAGE_SIZE_MAX = 200
/** The family exists from this version on. */
const VERSION_MIN = 59

/** Answers `/apps/oauth/usage` and what lies below it; `rest` is the path behind that. */
export function answerUsage(call: Call, version: string, rest: string): Answer {
  if (Number(version) < VERSION_MIN) return notFound()
  return withSession(call, (session) => {
    const base = `/services/data/v${version}/apps/oauth/usage`
    const parts = rest.split('/').filter((part) => part !== '')
    if (call.method === 'GET' && parts.length === 0) return listApps(call, base)
    const [app, second, third] = [findApp(call.org, parts[0]), parts[1], parts[2]]
    if (call.method === 'DELETE' && !isPermitted(call.org, session, 'CustomizeApplication')) {
      return restError(403, 'INSUFFICIENT_ACCESS', 'You do not have access to this resource.')
    }
    if (parts[0] === 'tokens' && call.method === 'DELETE') return deleteToken(call, parts[1])
    if (app === undefined || second === undefined) return notFound()
    if (second === 'users' && call.method === 'GET') return listUsers(call, base, app)
    if (second === 'tokens' && call.method === 'DELETE')
      return deleteRows(call, rowsOf(call.org, app))
    return third === 'tokens' ? answerUserTokens(call, base, app, second) : notFound()
  })
}

function findApp(org: Org, id: string | undefined): App | undefined {
  return org.apps.find(
    (app) =>
      app.kind === 'external' &&
      id !== undefined &&
      (shortId(app.applicationId ?? '') === shortId(id) || app.developerName === id),
  )
}

function rowsOf(org: Org, app: App, user?: number): number[] {
  const rows: number[] = []
  eachRowOf(org.grants.byApp, app.index, (row) => {
    const own = user === undefined || org.grants.user[row] === user
    if (own && org.grants.state[row] === STATE.alive) rows.push(row)
  })
  return rows
}

function listApps(call: Call, base: string): Answer {
  const used = call.org.apps.filter(
    (app) => app.kind === 'external' && rowsOf(call.org, app).length > 0,
  )
  const apps = used.map((app) => ({
    identifier: app.applicationId,
    developerName: app.developerName,
    description: app.label,
    accessTokenFormat: 'Opaque',
    availableActions: ['Revoke'],
    isFromPackage: false,
    usageDetailsUrl: `${base}/${app.applicationId}/users`,
  }))
  return pageOf(call, base, 'apps', apps)
}

function listUsers(call: Call, base: string, app: App): Answer {
  const { org } = call
  const byUser = new Map<number, number[]>()
  for (const row of rowsOf(org, app)) {
    const user = org.grants.user[row]!
    byUser.set(user, [...(byUser.get(user) ?? []), row])
  }
  const users = [...byUser].map(([index, rows]) => {
    const user = org.users[index]!
    const lastUsedS = Math.max(...rows.map((row) => org.grants.lastUsedS[row]!))
    return {
      userIdentifier: user.id,
      username: user.username,
      initialConnectionAt: instant(Math.min(...rows.map((row) => org.grants.createdS[row]!))),
      lastUsedAt: lastUsedS === 0 ? null : instant(lastUsedS),
      useCount: rows.reduce((sum, row) => sum + org.grants.useCount[row]!, 0),
      accessTokenFormat: 'Opaque',
      revocationUrl: `${base}/${app.applicationId}/${user.id}/tokens`,
    }
  })
  return pageOf(call, `${base}/${app.applicationId}/users`, 'users', users)
}

function answerUserTokens(call: Call, base: string, app: App, userId: string): Answer {
  const user = call.org.userByShortId.get(shortId(userId))
  if (user === undefined) return notFound()
  const rows = rowsOf(call.org, app, user.index)
  if (call.method === 'DELETE') return deleteRows(call, rows)
  if (call.method !== 'GET') return notFound()
  const tokens = rows.map((row) => ({
    identifier: tokenIdOf(row),
    initialConnectionAt: instant(call.org.grants.createdS[row]!),
    lastUsedAt:
      call.org.grants.lastUsedS[row] === 0 ? null : instant(call.org.grants.lastUsedS[row]!),
    useCount: call.org.grants.useCount[row]!,
    accessTokenFormat: 'Opaque',
    revocationUrl: `${base}/tokens/${tokenIdOf(row)}`,
  }))
  return pageOf(call, `${base}/${app.applicationId}/${user.id}/tokens`, 'tokens', tokens)
}

function deleteToken(call: Call, id: string | undefined): Answer {
  const { org } = call
  const row = id === undefined ? -1 : rowOfTokenId(id)
  const app = org.apps[org.grants.app[row] ?? -1]
  if (row < 0 || row >= org.grants.count || app?.kind !== 'external') return notFound()
  return org.grants.state[row] === STATE.alive ? deleteRows(call, [row]) : notFound()
}

function deleteRows(call: Call, rows: readonly number[]): Answer {
  const { fault } = call
  const lingerMs = fault?.kind === 'delayed_visibility' ? (fault.ms ?? 2_000) : 0
  if (fault?.kind !== 'ok_without_effect') {
    for (const row of rows) killGrant(call.org, row, 'usage_api', lingerMs)
    const [first] = rows
    if (fault?.kind === 'reauthorise' && first !== undefined) {
      planReturn(call.org, first, fault.ms ?? 0)
    }
  }
  return emptyAnswer(204)
}

function pageOf(call: Call, url: string, name: string, items: readonly unknown[]): Answer {
  const query = queryOf(call)
  const size = Math.min(Math.max(Number(query.get('pageSize') ?? PAGE_SIZE) || 1, 1), PAGE_SIZE_MAX)
  const at = Math.max(Math.floor(Number(query.get('page') ?? 0)) || 0, 0)
  return jsonAnswer(200, {
    [name]: items.slice(at * size, (at + 1) * size),
    currentPageUrl: `${url}?page=${at}&pageSize=${size}`,
    // Given on the last page too: the page behind it is empty.
    nextPageUrl: `${url}?page=${at + 1}&pageSize=${size}`,
  })
}

function instant(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}

function tokenIdOf(row: number): string {
  return recordId(PREFIX.usageToken, row + 1)
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

function rowOfTokenId(id: string): number {
  const digits = shortId(id).slice(-6)
  const ordinal = [...digits].reduce((sum, digit) => sum * 62 + BASE62.indexOf(digit), 0)
  return tokenIdOf(ordinal - 1).startsWith(shortId(id)) ? ordinal - 1 : -1
}
