import { Secret } from '../core/secret.ts'
import type { OAuthRequest } from './oauth-request.ts'

/** The environment variables that stand for secrets in a printed request. */
export const VARIABLES = {
  token: 'RESCIND_TOKEN',
  clientSecret: 'RESCIND_CLIENT_SECRET',
  clientAssertion: 'RESCIND_CLIENT_ASSERTION',
} as const

export type Variable = (typeof VARIABLES)[keyof typeof VARIABLES]

/**
 * The secrets to build a request with that is to be printed: each holds the name of its variable, so
 * that the printed request is the one that would be sent, and no real secret is near it.
 */
export const PLACEHOLDERS = {
  token: new Secret(VARIABLES.token),
  clientSecret: new Secret(VARIABLES.clientSecret),
  clientAssertion: new Secret(VARIABLES.clientAssertion),
} as const

/** A request with its secrets named instead of written. */
export interface PrintableRequest {
  readonly url: string
  readonly contentType: string
  /** The client id of HTTP Basic, form-encoded as RFC 6749 section 2.3.1 has it. */
  readonly basicClientId: string | undefined
  readonly fields: readonly PrintableField[]
  /** The variables that it needs, the token first. */
  readonly variables: readonly Variable[]
}

export type PrintableField =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly variable: Variable }

/** Takes a request apart that was built with {@link PLACEHOLDERS}. */
export function describeRequest(request: OAuthRequest): PrintableRequest {
  const fields = [...new URLSearchParams(request.body)].map(([name, value]): PrintableField => {
    const variable = asVariable(value)
    return variable ? { name, variable } : { name, value }
  })
  const basicClientId = readBasic(request.headers.authorization)
  const inFields = fields.flatMap((field) => ('variable' in field ? [field.variable] : []))
  return {
    url: request.url,
    contentType: request.headers['content-type'] ?? 'application/x-www-form-urlencoded',
    basicClientId,
    fields,
    variables: basicClientId === undefined ? inFields : [...inFields, VARIABLES.clientSecret],
  }
}

function asVariable(value: string): Variable | undefined {
  return Object.values(VARIABLES).find((name) => name === value)
}

function readBasic(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  const pair = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString('utf8')
  return pair.slice(0, pair.indexOf(':'))
}
