import { type Answer, jsonAnswer, notFound } from './answer.ts'
import { apiRequestsMax, type Call, withSession } from './call.ts'
import type { RouteName } from './faults.ts'
import { answerRevoke } from './oauth-revoke.ts'
import { answerToken } from './oauth-token.ts'
import { answerQuery, answerToolingQuery, type QueryDesk } from './rest-query.ts'
import { answerCompositeDelete, answerSobject } from './rest-sobjects.ts'
import type { SigningKeys } from './signing-keys.ts'
import { answerSoap } from './soap-login.ts'
import { answerUsage } from './usage.ts'

/** What the routes share besides the org. */
export interface Desks {
  readonly query: QueryDesk
  readonly keys: SigningKeys
}

/** A route found for a path: its name, and what answers it. */
export interface Route {
  readonly name: RouteName
  readonly answer: (call: Call) => Answer
}

const REST = /^\/services\/data\/v(\d+\.\d)(\/.*)?$/
const SOAP = /^\/services\/Soap\/([ucm])\/v?(\d+(?:\.\d)?)/i

/** Finds the route of a request. Every version number is taken. */
export function findRoute(desks: Desks, method: string, path: string): Route {
  const oauth = OAUTH[path]
  if (oauth !== undefined) return oauth(desks)
  const rest = REST.exec(path)
  if (rest !== null) return restRoute(desks, method, rest[1]!, rest[2] ?? '')
  if (/^\/services\/data\/?$/.test(path)) return { name: 'versions', answer: answerVersions }
  const soap = SOAP.exec(path)
  if (soap !== null && soap[1]!.toLowerCase() !== 'm') {
    return { name: 'soap-login', answer: (call) => answerSoap(call, soap[2]!) }
  }
  return { name: 'other', answer: () => notFound() }
}

const OAUTH: Readonly<Record<string, (desks: Desks) => Route>> = {
  '/services/oauth2/revoke': () => ({ name: 'revoke', answer: answerRevoke }),
  '/services/oauth2/token': (desks) => ({
    name: 'token',
    answer: (call) => answerToken(call, desks.keys),
  }),
}

function restRoute(desks: Desks, method: string, version: string, rest: string): Route {
  const name = REST_NAMES.find(([pattern]) => pattern.test(rest))?.[1] ?? 'other'
  const isDelete = method === 'DELETE' && /^\/(sobjects\/AuthSession|composite\/)/i.test(rest)
  return {
    name: isDelete ? 'session-delete' : name,
    answer: (call) => answerRest(desks, call, version, rest),
  }
}

const REST_NAMES: readonly (readonly [RegExp, RouteName])[] = [
  [/^\/(?:tooling\/)?query/i, 'query'],
  [/^\/apps\/oauth\/usage/i, 'usage'],
  [/^\/(?:sobjects|composite)/i, 'sobject'],
  [/^\/limits/i, 'limits'],
  [/^\/jobs\/query/i, 'bulk-query'],
]

function answerRest(desks: Desks, call: Call, version: string, rest: string): Answer {
  const part = (pattern: RegExp): string | undefined => pattern.exec(rest)?.[1]
  const query = part(/^\/query(?:All)?(\/[^?]*)?$/i)
  if (query !== undefined || /^\/query(?:All)?$/i.test(rest)) {
    return answerQuery(desks.query, call, version, query ?? '')
  }
  if (/^\/tooling\/query\/?$/i.test(rest)) return answerToolingQuery(desks.query, call, version)
  const usage = part(/^\/apps\/oauth\/usage(.*)$/i)
  if (usage !== undefined) return answerUsage(call, version, usage)
  const sobject = part(/^\/sobjects(\/.+)$/i)
  if (sobject !== undefined) return answerSobject(desks.query, call, version, sobject)
  if (/^\/composite\/sobjects\/?$/i.test(rest)) return answerCompositeDelete(call)
  if (/^\/limits\/?$/i.test(rest)) return withSession(call, () => limitsAnswer(call))
  if (rest === '' || rest === '/') return withSession(call, () => resourcesAnswer(version))
  return withSession(call, () => notFound())
}

function limitsAnswer(call: Call): Answer {
  const max = apiRequestsMax(call.org)
  const Remaining = max - call.org.apiRequests
  return jsonAnswer(200, { DailyApiRequests: { Max: max, Remaining } })
}

function resourcesAnswer(version: string): Answer {
  const base = `/services/data/v${version}`
  const names = ['query', 'queryAll', 'sobjects', 'limits', 'composite', 'tooling', 'jobs']
  return jsonAnswer(200, Object.fromEntries(names.map((name) => [name, `${base}/${name}`])))
}

/** The versions that the org says it has; it takes any. */
const VERSION_FIRST = 31
const VERSION_LAST = 68
const SEASONS = ['Spring', 'Summer', 'Winter']

function answerVersions(): Answer {
  const versions = Array.from({ length: VERSION_LAST - VERSION_FIRST + 1 }, (_, at) => {
    const number = VERSION_FIRST + at
    const year = 14 + Math.floor((at + 1) / 3)
    return {
      label: `${SEASONS[(number + 2) % 3]} '${year}`,
      url: `/services/data/v${number}.0`,
      version: `${number}.0`,
    }
  })
  return jsonAnswer(200, versions)
}
