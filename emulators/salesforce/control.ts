import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { type AddGrant, addGrant, userById } from './added-grant.ts'
import type { Fault } from './faults.ts'
import { expireSessions, setAppBlocked, setUserActive } from './org.ts'
import type { Estate } from './server.ts'

/**
 * The emulator's own control plane, which no real org has: the ground truth and the faults over HTTP, for an
 * org that runs in a process of its own. Below `/__emulator/`, on the same port, without latency or faults.
 *
 * GET  truth      every grant as it really is, one JSON object a line (holds secrets)
 * GET  counts     the numbers of the ground truth
 * GET  requests   `{requests, counters}`: the newest requests, and the count of each route
 * GET  presented  how often each delete token was presented, one JSON object a line (holds secrets)
 * POST faults     a JSON array of faults, in place of those in force
 * POST latency    `{"ms": 40}`
 * POST grants     a grant to add: `{"userId": id, "appId": client id, "createdAt": ms}`; gives its handles
 * POST expire     ends every session
 * POST block      `{"appId": client id, "blocked": true}`
 * POST user       `{"userId": id, "isActive": false, "isFrozen": true}`
 */
const BASE = '/__emulator/'

/** One request to the control plane. */
export interface ControlCall {
  readonly method: string
  readonly path: string
  readonly body: string
}

/** Tells whether a path belongs to the control plane. */
export function isControlPath(path: string): boolean {
  return path.startsWith(BASE)
}

/** Answers the control plane. Wrong input is answered with 400 and one sentence. */
export function answerControl(estate: Estate, call: ControlCall, response: ServerResponse): void {
  const route = `${call.method} ${call.path.slice(BASE.length)}`
  try {
    const value = answerValue(estate, route, call.body)
    if (isLines(value)) stream(response, joinLines(value))
    else if (value === undefined) write(response, 404, { error: `no such control: ${route}` })
    else write(response, 200, value)
  } catch (error) {
    write(response, 400, { error: error instanceof Error ? error.message : String(error) })
  }
}

function answerValue(estate: Estate, route: string, body: string): unknown {
  const { org, truth, log } = estate
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
    case 'POST faults':
      org.faults.set(JSON.parse(body) as readonly Fault[])
      return { faults: org.faults.list() }
    case 'POST latency':
      org.latencyMs = Number(input().ms)
      return { latencyMs: org.latencyMs }
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
    case 'POST user':
      return changeUser(estate, input())
    default:
      return undefined
  }
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

/** Lines are joined into larger chunks: a million small writes would take minutes. */
const LINES_PER_CHUNK = 500

function isLines(value: unknown): value is IterableIterator<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

function* joinLines(values: IterableIterator<unknown>): IterableIterator<string> {
  let chunk: string[] = []
  for (const value of values) {
    chunk.push(JSON.stringify(value))
    if (chunk.length < LINES_PER_CHUNK) continue
    yield `${chunk.join('\n')}\n`
    chunk = []
  }
  if (chunk.length > 0) yield `${chunk.join('\n')}\n`
}

function stream(response: ServerResponse, chunks: IterableIterator<string>): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  Readable.from(chunks).pipe(response)
}

function write(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}
