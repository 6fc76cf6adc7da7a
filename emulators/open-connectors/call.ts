import type { IncomingHttpHeaders } from 'node:http'
import type { Account } from './account.ts'
import type { Fault } from './faults.ts'

/** One request, as the routes see it. */
export interface Call {
  readonly account: Account
  readonly requestId: string
  readonly method: string
  /** Below `/elements/api-v2`. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The fault that strikes this call, where the route itself must act on it. */
  readonly fault: Fault | undefined
}

/** Gives the JSON object of the body, or undefined where it is none. */
export function jsonOf(call: Call): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(call.body)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
