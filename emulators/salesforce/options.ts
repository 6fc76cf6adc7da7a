import type { ListenOptions } from '../listen.ts'
import { type Choices, fillSwitches } from '../switches.ts'
import type { Fault } from './faults.ts'

/** How the emulated org behaves where the vendor's documentation is silent or contradicts itself. */
export interface SalesforceSwitches {
  /** Whether grants of External Client Apps stand in OauthToken. */
  readonly ecaInOauthToken: boolean
  /** What AppMenuItemId holds for a grant of an External Client App. */
  readonly ecaAppMenuItemId: 'null' | 'set'
  /** What totalSize says when a query on OauthToken has more than 2,500 rows. */
  readonly totalSizeOnCap: 'true-total' | 'capped'
  /** Whether OauthToken takes an OFFSET over 2,000. */
  readonly offsetPast2500: 'allowed' | 'refused'
  /** Whether OauthToken can be grouped. */
  readonly groupBy: 'allowed' | 'refused'
  /** Whether OauthToken can be filtered and sorted by CreatedDate. */
  readonly createdDateFilter: 'allowed' | 'refused'
  /** Whether rows without ORDER BY come in the same order each time. */
  readonly rowOrder: 'stable' | 'shuffled'
  /** Whether later pages of a cursor show rows that died since the first. */
  readonly cursorRows: 'snapshot' | 'live'
  /** What the Id of an OauthToken row is. */
  readonly idIsNull: 'null' | 'zeros' | 'empty'
  /** The answer to revoking a token that is dead already. */
  readonly secondRevoke: 'invalid_token' | '200'
  /** Whether the revoke endpoint takes a session id that came from the SOAP login. */
  readonly revokeSessionId: 'allowed' | 'refused'
  /** Whether a revoke counts toward the daily API requests. */
  readonly revokeCountsAsApiCall: boolean
  /** How long a revoked row is still shown by queries, in milliseconds. */
  readonly visibilityDelayMs: number
  /** Whether revoking a grant ends the access tokens minted from it. */
  readonly dropSessionsOnRevoke: boolean
  /** How long those access tokens go on working after the revoke, in milliseconds. */
  readonly accessCutDelayMs: number
  /** Which apps get a new refresh token at each refresh. */
  readonly rotation: 'per-app' | 'all' | 'none'
  /** Until when refresh tokens are good, by the policy of every app. */
  readonly refreshTokenPolicy: 'until-revoked' | 'expires-at-once'
  /** What presenting a spent refresh token does, beyond being refused. */
  readonly replay: 'kills-grant' | 'refused'
  /** Whether an exchange of a refresh token may name scopes. */
  readonly refreshScope: 'refused' | 'ignored'
  /** Whether a frozen user's grants and sessions are refused. */
  readonly freeze: 'unusable' | 'usable'
  /** What deactivating a user does to his grants. */
  readonly deactivate: 'unusable' | 'deleted'
  /** Whether an app can be blocked by a session policy that names no session level. */
  readonly blockNeedsSessionLevel: boolean
  /** Whether updateMetadata replaces a record, so that a policy left out is gone, or merges into it. */
  readonly metadataUpdate: 'replaces' | 'merges'
  /** Whether an app that is not installed can be blocked. */
  readonly blockUninstalledApps: 'refused' | 'allowed'
  /** Whether JWT bearer and client-credentials logins make a row in OauthToken. */
  readonly machineGrantsInOauthToken: boolean
  /** Whether an exchange of a refresh token makes a row in LoginHistory. */
  readonly refreshInLoginHistory: boolean
  /** Whether queryAll on OauthToken shows revoked rows. */
  readonly queryAll: 'same' | 'with-revoked'
  /** Whether the object UserPermissionAccess can be queried. */
  readonly userPermissionAccess: 'supported' | 'unsupported'
  /** Whether ExternalClientApplication and its policy object can be queried. */
  readonly ecaObjects: 'queryable' | 'refused'
  /** Which tokens a client may introspect. */
  readonly introspect: 'all' | 'own'
}

/** The behaviour that the documentation makes most likely. */
export const DEFAULT_SWITCHES: SalesforceSwitches = {
  ecaInOauthToken: true,
  ecaAppMenuItemId: 'null',
  totalSizeOnCap: 'true-total',
  offsetPast2500: 'allowed',
  groupBy: 'allowed',
  createdDateFilter: 'allowed',
  rowOrder: 'stable',
  cursorRows: 'snapshot',
  idIsNull: 'null',
  secondRevoke: 'invalid_token',
  revokeSessionId: 'allowed',
  revokeCountsAsApiCall: false,
  visibilityDelayMs: 0,
  dropSessionsOnRevoke: true,
  accessCutDelayMs: 0,
  rotation: 'per-app',
  refreshTokenPolicy: 'until-revoked',
  replay: 'kills-grant',
  refreshScope: 'refused',
  freeze: 'unusable',
  deactivate: 'unusable',
  blockNeedsSessionLevel: false,
  metadataUpdate: 'replaces',
  blockUninstalledApps: 'refused',
  machineGrantsInOauthToken: false,
  refreshInLoginHistory: true,
  queryAll: 'same',
  userPermissionAccess: 'supported',
  ecaObjects: 'queryable',
  introspect: 'own',
}

/** What is neither yes or no nor a count. */
const CHOICES: Choices<SalesforceSwitches> = {
  ecaAppMenuItemId: ['null', 'set'],
  totalSizeOnCap: ['true-total', 'capped'],
  offsetPast2500: ['allowed', 'refused'],
  groupBy: ['allowed', 'refused'],
  createdDateFilter: ['allowed', 'refused'],
  rowOrder: ['stable', 'shuffled'],
  cursorRows: ['snapshot', 'live'],
  idIsNull: ['null', 'zeros', 'empty'],
  secondRevoke: ['invalid_token', '200'],
  revokeSessionId: ['allowed', 'refused'],
  rotation: ['per-app', 'all', 'none'],
  refreshTokenPolicy: ['until-revoked', 'expires-at-once'],
  replay: ['kills-grant', 'refused'],
  refreshScope: ['refused', 'ignored'],
  freeze: ['unusable', 'usable'],
  deactivate: ['unusable', 'deleted'],
  metadataUpdate: ['replaces', 'merges'],
  blockUninstalledApps: ['refused', 'allowed'],
  queryAll: ['same', 'with-revoked'],
  userPermissionAccess: ['supported', 'unsupported'],
  ecaObjects: ['queryable', 'refused'],
  introspect: ['all', 'own'],
}

/** Fills up switches with their defaults. Throws TypeError where a name or a value is unknown. */
export function resolveSwitches(switches?: Partial<SalesforceSwitches>): SalesforceSwitches {
  return fillSwitches(DEFAULT_SWITCHES, CHOICES, switches)
}

/** How many users, apps and tokens the generator makes. */
export interface OrgSize {
  readonly users: number
  readonly apps: number
  readonly tokens: number
}

/** Heaps that break clients which trust the caps: of one app, of one user with one app, in one second. */
export interface OrgSkew {
  readonly appTokens: number
  readonly userTokens: number
  readonly secondTokens: number
}

/** What an emulated org is made of. Everything has a default; the seed makes it repeatable. */
export interface SalesforceOptions extends ListenOptions {
  readonly seed?: number | undefined
  readonly size?: Partial<OrgSize> | undefined
  readonly skew?: Partial<OrgSkew> | undefined
  readonly switches?: Partial<SalesforceSwitches> | undefined
  readonly faults?: readonly Fault[] | undefined
  /** API requests in a day; by the org's size unless told. */
  readonly apiRequestsMax?: number | undefined
  /** Added to every answer, in milliseconds. */
  readonly latencyMs?: number | undefined
  /** The clock, in milliseconds since 1970. */
  readonly now?: (() => number) | undefined
  /** The day on which the generated history ends, in milliseconds; the clock's at the start unless told. */
  readonly asOf?: number | undefined
}

export const DEFAULT_SIZE: OrgSize = { users: 900, apps: 40, tokens: 12_000 }

/** The generator's ceiling: row numbers fit 24 bits, and the tables of one process stay below 500 MB. */
export const TOKENS_MAX = 1_000_000

/** Gives the heaps of an org of this many tokens, where the caller names none. */
export function defaultSkew(tokens: number): OrgSkew {
  return {
    appTokens: Math.min(3_000, Math.floor(tokens * 0.15)),
    // Just over what one query can show, so that a small org already has a user who breaks it.
    userTokens: tokens >= 10_000 ? 2_600 : Math.floor(tokens * 0.05),
    secondTokens: Math.min(700, Math.floor(tokens * 0.05)),
  }
}
