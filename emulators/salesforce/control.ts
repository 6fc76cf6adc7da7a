import { type AddGrant, addGrant, userById } from './added-grant.ts'
import type { Fault } from './faults.ts'
import { ageCodes } from './oauth-desk.ts'
import { refreshPlace } from './oauth-refresh.ts'
import { expireSessions, type Org, setAppBlocked, setUserActive } from './org.ts'
import type { Estate } from './server.ts'

/**
 * Gives the value of one control of the emulator's own control plane, which no real org has: the ground truth and the faults over HTTP, for an
 * org that runs in a process of its own. Below `/__emulator/`, on the same port, without latency or faults.
 *
 * GET  truth      every grant as it really is, one JSON object a line (holds secrets)
 * GET  counts     the numbers of the ground truth
 * GET  requests   `{requests, counters}`: the newest requests, and the count of each route
 * GET  presented  how often each delete token was presented, one JSON object a line (holds secrets)
 * GET  faults     `{faults}`: those in force, each with how many calls it has `struck`
 * POST faults     a JSON array of faults, in place of those in force
 * POST latency    `{"ms": 40}`
 * POST age-codes  `{"ms": 900000}`: the codes that nobody has redeemed were given so much earlier; says how many
 * POST grants     a grant to add: `{"userId": id, "appId": client id, "createdAt": ms}`; gives its handles
 * POST grant-of   `{"refreshToken": token}`, or `{"code": code}`: its `grant`, as the requests name it, and the delete token, or null (holds a secret)
 * POST expire     ends every session
 * POST block      `{"appId": client id, "blocked": true}`
 * POST user       `{"userId": id, "isActive": false, "isFrozen": true}`
 */
export function controlValue(estate: Estate, route: string, body: string): unknown {
  const { org, desks, truth, log } = estate
  const input = (): Record<string, unknown> => JSON.parse(body) as Record<string, unknown>
  switch (route) {
    case 'GET truth':
      return truth.grants()
    case 'GET presented':
      return eachPresented(estate)
    case 'GET counts':
      return truth.counts()
    case 'GET requests':
      return { requests: log.entries, counters: Object.fromEntries(log.counters) }
    case 'GET faults':
      return { faults: org.faults.list() }
    case 'POST faults':
      org.faults.set(JSON.parse(body) as readonly Fault[])
      return { faults: org.faults.list() }
    case 'POST latency':
      org.latencyMs = Number(input().ms)
      return { latencyMs: org.latencyMs }
    case 'POST age-codes':
      return { aged: ageCodes(desks.oauth, Number(input().ms)) }
    case 'POST expire':
      expireSessions(org)
      return {}
    case 'POST block': {
      const app = org.appByClientId.get(String(input().appId))
      if (app === undefined) throw new TypeError('no app has this appId')
      setAppBlocked(org, app, input().blocked !== false, 0)
      return { blocked: app.policyAction === 'Block' }
    }
    case 'POST grants':
      return addGrant(org, input() as unknown as AddGrant)
    case 'POST grant-of':
      return grantOf(org, input())
    case 'POST user':
      return changeUser(estate, input())
    default:
      return undefined
  }
}

function grantOf(org: Org, { refreshToken, code }: Record<string, unknown>): unknown {
  const row =
    typeof code === 'string'
      ? [...org.codeByRow].find(([, brought]) => brought === code)?.[0]
      : refreshPlace(org, String(refreshToken))?.row
  if (row === undefined) return { grant: null, deleteToken: null }
  return { grant: row, deleteToken: org.codec.encode('delete', row, 0) }
}

function changeUser({ org }: Estate, input: Record<string, unknown>): unknown {
  const user = userById(org, String(input.userId))
  if (typeof input.isActive === 'boolean') setUserActive(org, user, input.isActive)
  if (typeof input.isFrozen === 'boolean') user.isFrozen = input.isFrozen
  return { isActive: user.isActive, isFrozen: user.isFrozen }
}

function* eachPresented({ org }: Estate): IterableIterator<unknown> {
  for (let row = 0; row < org.grants.count; row += 1) {
    const calls = org.grants.presented[row]!
    if (calls > 0) yield { deleteToken: org.codec.encode('delete', row, 0), calls }
  }
}
