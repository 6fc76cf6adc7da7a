import type { Role } from './config.ts'
import type { Verdict } from './verdict.ts'
import type { World } from './world.ts'

/** How much a standard asks for it. `choice`: servers differ with right; the report names the way. */
export const LEVELS = ['must', 'should', 'may', 'hardening', 'choice'] as const

export type Level = (typeof LEVELS)[number]

/** A place in a specification. */
export interface Citation {
  readonly spec: string
  readonly section: string
  readonly url: string
}

/** What a case needs; what is missing makes it skipped, with the sentence what to add. */
export type Need =
  | 'revocation'
  | 'introspection'
  | 'metadata'
  | 'resource'
  | 'second-user'
  | 'brute-force'
  | 'rs1'
  /** The client itself. */
  | `client:${Role}`
  /** Any token of the client: of a user's grant, or of its own. */
  | `token:${Role}`
  /** A user's grant to the client. */
  | `grant:${Role}`
  /** A user's grant with a refresh token. */
  | `refresh:${Role}`
  /** A user's grant by the code flow, which gives codes too. */
  | `code:${Role}`
  /** A token of the client itself (client credentials). */
  | `service:${Role}`

/** One numbered case. */
export interface ConformanceCase {
  readonly id: number
  readonly title: string
  readonly level: Level
  readonly cites: readonly Citation[]
  readonly needs: readonly Need[]
  /** The most requests that it sends, tokens included, where more than the usual bound. */
  readonly requestsMax?: ((limits: CaseLimits) => number) | undefined
  run(world: World): Promise<Verdict | undefined>
}

/** What the number of a case's requests depends on. */
export interface CaseLimits {
  readonly races: number
  readonly samples: number
}

export interface CaseGroup {
  readonly title: string
  readonly cases: readonly ConformanceCase[]
}

/** Cites a section of an RFC. */
export function rfc(number: number, section: string): Citation {
  const url = `https://www.rfc-editor.org/rfc/rfc${number}#section-${section}`
  return { spec: `RFC ${number}`, section, url }
}

/** Cites a section of the OAuth 2.1 draft. */
export function oauth21(section: string): Citation {
  const url = `https://datatracker.ietf.org/doc/html/draft-ietf-oauth-v2-1#section-${section}`
  return { spec: 'OAuth 2.1 draft', section, url }
}
