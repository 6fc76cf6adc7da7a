import { hashText } from '../random.ts'
import { randomText } from './token-codec.ts'

/** What a user approved, waiting behind an authorization code. */
export interface Approval {
  readonly app: number
  readonly user: number
  readonly scope: string
  readonly redirectUri: string
  readonly codeChallenge: string | undefined
  readonly nonce: string | undefined
  readonly issuedMs: number
}

/** A device that waits for its user. */
export interface DeviceRequest {
  readonly app: number
  readonly scope: string
  readonly userCode: string
  readonly issuedMs: number
  /** The user who approved it; undefined while nobody has. */
  user: number | undefined
  denied: boolean
}

/** The interactive logins under way in one org. */
export interface OauthDesk {
  readonly codes: Map<string, Approval>
  readonly tickets: Map<string, { readonly user: number; readonly issuedMs: number }>
  readonly devices: Map<string, DeviceRequest>
  /** Makes a value that nobody can guess from another one: a code, a ticket. */
  readonly draw: (length: number) => string
}

/** A code lives a quarter of an hour; a login ticket as long. */
export const CODE_LIFE_MS = 15 * 60_000
/** Codes and tickets kept at most: the oldest go first. */
const KEPT_MAX = 1_000

/** Makes the desk of an org; its values follow from the seed. */
export function createOauthDesk(seed: number): OauthDesk {
  const key = hashText(`${seed}:interactive`)
  let drawn = 0
  return {
    codes: new Map(),
    tickets: new Map(),
    devices: new Map(),
    draw: (length) => {
      drawn += 1
      return randomText(key, drawn, length)
    },
  }
}

/** Puts an entry into a map of the desk, and drops the oldest where there are too many. */
export function keep<T>(map: Map<string, T>, name: string, value: T): void {
  map.set(name, value)
  const oldest = map.keys().next().value
  if (map.size > KEPT_MAX && oldest !== undefined) map.delete(oldest)
}

/** Lets the codes that nobody has redeemed be given so much earlier; returns how many there are. */
export function ageCodes({ codes }: OauthDesk, ms: number): number {
  for (const [code, approval] of codes) {
    codes.set(code, { ...approval, issuedMs: approval.issuedMs - ms })
  }
  return codes.size
}
