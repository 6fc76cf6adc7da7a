import { type Answer, jsonAnswer } from '../answer.ts'
import { notFound } from './answer.ts'
import { answerBulkQuery, type BulkDesk } from './bulk-query.ts'
import { type Call, withSession } from './call.ts'
import type { RouteName } from './faults.ts'
import { answerDiscovery, answerIdentity, answerKeys, answerUserinfo } from './identity.ts'
import { answerAuthorize } from './oauth-authorize.ts'
import type { OauthDesk } from './oauth-desk.ts'
import { answerConnectPage } from './oauth-device.ts'
import { answerIntrospect } from './oauth-introspect.ts'
import { answerRevoke } from './oauth-revoke.ts'
import { answerToken } from './oauth-token.ts'
import { answerQuery, answerToolingQuery, type QueryDesk } from './rest-query.ts'
import { answerCompositeDelete, answerSobject } from './rest-sobjects.ts'
import type { SigningKeys } from './signing-keys.ts'
import { answerSoap } from './soap-login.ts'
import { answerMetadata } from './soap-metadata.ts'
import { answerUsage } from './usage.ts'

/** What the routes share besides the org. */
export interface Desks {
  readonly query: QueryDesk
  readonly oauth: OauthDesk
  readonly bulk: BulkDesk
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
  const fixed = FIXED[path]
  if (fixed !== undefined) return fixed(desks)
  const rest = REST.exec(path)
  if (rest !== null) return restRoute(desks, method, rest[1]!, rest[2] ?? '')
  if (/^\/services\/data\/?$/.test(path)) return { name: 'versions', answer: answerVersions }
  const soap = SOAP.exec(path)
  if (soap !== null) return soapRoute(soap[1]!, soap[2]!)
  if (path.startsWith('/id/')) return { name: 'identity', answer: answerIdentity }
  return { name: 'other', answer: () => notFound() }
}

/** The routes with one fixed path. */
const FIXED: Readonly<Record<string, (desks: Desks) => Route>> = {
  '/services/oauth2/revoke': () => ({ name: 'revoke', answer: answerRevoke }),
  '/services/oauth2/token': (desks) => ({
    name: 'token',
    answer: (call) => answerToken(call, desks),
  }),
  '/services/oauth2/authorize': (desks) => ({
    name: 'authorize',
    answer: (call) => answerAuthorize(call, desks.oauth),
  }),
  '/setup/connect': (desks) => ({
    name: 'authorize',
    answer: (call) => answerConnectPage(call, desks.oauth),
  }),
  '/services/oauth2/introspect': () => ({ name: 'introspect', answer: answerIntrospect }),
  '/services/oauth2/userinfo': () => ({ name: 'userinfo', answer: answerUserinfo }),
  '/.well-known/openid-configuration': () => ({ name: 'discovery', answer: answerDiscovery }),
  '/.well-known/oauth-authorization-server': () => ({
    name: 'discovery',
    answer: answerDiscovery,
  }),
  '/id/keys': (desks) => ({ name: 'discovery', answer: () => answerKeys(desks.keys) }),
}

function soapRoute(kind: string, version: string): Route {
  if (kind.toLowerCase() === 'm') {
    return { name: 'soap-metadata', answer: (call) => answerMetadata(call, version) }
  }
  return { name: 'soap-login', answer: (call) => answerSoap(call, version) }
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
  const bulk = part(/^\/jobs\/query(.*)$/i)
  if (bulk !== undefined) return answerBulkQuery(desks, call, version, bulk)
  if (/^\/composite\/sobjects\/?$/i.test(rest)) return answerCompositeDelete(call)
  if (/^\/limits\/?$/i.test(rest)) return withSession(call, () => limitsAnswer(call))
  if (rest === '' || rest === '/') return withSession(call, () => resourcesAnswer(version))
  return withSession(call, () => notFound())
}

function limitsAnswer(call: Call): Answer {
  const max = call.org.apiRequestsMax
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
