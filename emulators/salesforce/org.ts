import { createRandom, type Random } from '../random.ts'
import { type App, generateApps, ROLE_APP } from './apps.ts'
import { createFaultPlan, type FaultPlan } from './faults.ts'
import { generateGrants } from './generate.ts'
import {
  APPROVALS_MAX,
  appendGrant,
  CAUSES,
  type Cause,
  eachRowOf,
  type GrantTable,
  type NewGrant,
  STATE,
} from './grants.ts'
import {
  DEFAULT_SIZE,
  defaultSkew,
  resolveSwitches,
  type SalesforceOptions,
  type SalesforceSwitches,
  TOKENS_MAX,
} from './options.ts'
import { PREFIX, recordId, shortId } from './record-id.ts'
import {
  createSessionTable,
  endSession,
  forgetSession,
  isSessionAlive,
  mintSession,
  type NewSession,
  type Session,
  type SessionTable,
} from './sessions.ts'
import { createTokenCodec, type TokenCodec } from './token-codec.ts'
import { generateUsers, type Permission, ROLE_USER, type User } from './users.ts'

/** One line of LoginHistory. */
export interface LoginRecord {
  readonly id: string
  readonly user: number
  readonly app: number
  readonly atMs: number
  readonly loginType: string
  readonly loginSubType: string
  readonly status: string
  readonly sourceIp: string
}

/** One line of SetupAuditTrail. */
export interface AuditRecord {
  readonly id: string
  readonly user: number
  readonly atMs: number
  readonly action: string
  readonly section: string
  readonly display: string
}

/** The whole state of an emulated org. Routes read it and change it through the functions of this file. */
export interface Org {
  readonly seed: number
  readonly organizationId: string
  readonly name: string
  readonly users: User[]
  readonly apps: App[]
  readonly grants: GrantTable
  readonly sessions: SessionTable
  readonly codec: TokenCodec
  readonly switches: SalesforceSwitches
  readonly faults: FaultPlan
  readonly random: Random
  readonly now: () => number
  readonly userByShortId: ReadonlyMap<string, User>
  readonly userByUsername: ReadonlyMap<string, User>
  readonly appByClientId: ReadonlyMap<string, App>
  /** Until when a lingering row is still shown, by row. */
  readonly lingersUntilMs: Map<number, number>
  /** By the ordinal of the session that the login opened, oldest first. */
  readonly loginHistory: Map<number, LoginRecord>
  readonly auditTrail: AuditRecord[]
  readonly agenda: { atMs: number; act: () => void }[]
  /** The authorization codes of grants that were made by one, by row. */
  readonly codeByRow: Map<number, string>
  /** The scopes that their users approved, by row; what the generator made has its app's. */
  readonly scopeByRow: Map<number, string>
  /** The row of the grant of the tool's own app. */
  readonly toolGrant: number
  /** The org's own address, known once it listens. */
  origin: string
  latencyMs: number
  apiRequests: number
  readonly apiRequestsMax: number
  /** Logins of each user in the hour under way, by user. */
  readonly loginRates: Map<number, { hour: number; count: number }>
}

/** LoginHistory and the audit trail keep their newest lines only, so that an org may run for long. */
const HISTORY_MAX = 20_000
/** Above this many sessions the expired ones are swept out. */
const SESSIONS_SWEEP_AT = 50_000
/** How many sessions open between two sweeps: one sweep looks at all of them. */
const SESSIONS_SWEEP_STEP = 1_000

/** Builds an org by its options: users, apps, grants, sessions. Throws RangeError where a size is out of range, TypeError where a switch is unknown. */
export function createOrg(options: SalesforceOptions = {}): Org {
  const seed = options.seed ?? 1
  const size = { ...DEFAULT_SIZE, ...options.size }
  if (size.tokens < 0 || size.tokens > TOKENS_MAX) {
    throw new RangeError(`size.tokens is ${size.tokens}; it must lie between 0 and ${TOKENS_MAX}`)
  }
  const now = options.now ?? Date.now
  const asOfMs = startOfDay(options.asOf ?? now())
  const users = generateUsers(seed, size.users, asOfMs)
  const apps = generateApps(seed, size.apps, asOfMs)
  const skew = { ...defaultSkew(size.tokens), ...options.skew }
  const grants = generateGrants({ seed, tokens: size.tokens, skew, users, apps, asOfMs })
  const org: Org = {
    seed,
    organizationId: recordId(PREFIX.organization, 1 + (seed % 1_000_000)),
    name: 'Acme (emulated)',
    users,
    apps,
    grants,
    sessions: createSessionTable(),
    codec: createTokenCodec(seed),
    switches: resolveSwitches(options.switches),
    faults: createFaultPlan(seed, options.faults ?? []),
    random: createRandom(seed, 'org'),
    now,
    userByShortId: new Map(users.map((user) => [shortId(user.id), user])),
    userByUsername: new Map(users.map((user) => [user.username, user])),
    appByClientId: new Map(apps.map((app) => [app.clientId, app])),
    lingersUntilMs: new Map(),
    loginHistory: new Map(),
    auditTrail: [],
    agenda: [],
    codeByRow: new Map(),
    scopeByRow: new Map(),
    toolGrant: appendGrant(grants, toolGrant(asOfMs)),
    origin: '',
    latencyMs: options.latencyMs ?? 0,
    apiRequests: 0,
    // An Enterprise edition of this size.
    apiRequestsMax: options.apiRequestsMax ?? 100_000 + users.length * 1_000,
    loginRates: new Map(),
  }
  generateSessions(org, size.tokens)
  return org
}

function startOfDay(ms: number): number {
  return Math.floor(ms / 86_400_000) * 86_400_000
}

function toolGrant(asOfMs: number): NewGrant {
  const createdS = Math.floor(asOfMs / 1000) - 7 * 86_400
  const lastUsedS = Math.floor(asOfMs / 1000)
  return { user: ROLE_USER.admin, app: ROLE_APP.tool, createdS, lastUsedS, useCount: 12 }
}

const MACHINE_ORIGINS = [
  { origin: 'OauthUsernamePassword', app: ROLE_APP.dataSync, user: ROLE_USER.loader },
  { origin: 'OauthJwtBearer', app: ROLE_APP.deployer, user: ROLE_USER.integration },
  { origin: 'OauthClientCredentials', app: ROLE_APP.warehouse, user: ROLE_USER.integration },
] as const
/** Live sessions of generated grants, as a share of the tokens and at most. */
const GRANT_SESSION_SHARE = 0.05
const GRANT_SESSIONS_MAX = 5_000
/** Sessions with no refresh token behind them, as a share of the tokens and at most. */
const MACHINE_SESSION_SHARE = 0.02
const MACHINE_SESSIONS_MAX = 60

function generateSessions(org: Org, tokens: number): void {
  const random = createRandom(org.seed, 'sessions')
  const startedMs = (): number => org.now() - random.int(3_000) * 1000
  const ofGrants = Math.min(Math.floor(tokens * GRANT_SESSION_SHARE), GRANT_SESSIONS_MAX)
  for (let n = 0; n < ofGrants; n += 1) {
    const grant = random.int(tokens)
    const [user, app] = [org.grants.user[grant]!, org.grants.app[grant]!]
    const createdMs = startedMs()
    openSession(org, { user, app, grant, origin: 'OauthRefreshToken', scope: 'api', createdMs })
  }
  const machines = Math.min(Math.ceil(tokens * MACHINE_SESSION_SHARE), MACHINE_SESSIONS_MAX)
  for (let n = 0; n < machines; n += 1) {
    const { origin, app, user } = MACHINE_ORIGINS[n % MACHINE_ORIGINS.length]!
    openSession(org, { user, app, grant: -1, origin, scope: 'api', createdMs: startedMs() })
  }
}

/** Runs what is due by now: re-authorisations that a fault has put off. */
export function tick(org: Org): void {
  if (org.agenda.length === 0) return
  const now = org.now()
  const due = org.agenda.filter((entry) => entry.atMs <= now)
  if (due.length === 0) return
  org.agenda.splice(0, org.agenda.length, ...org.agenda.filter((entry) => entry.atMs > now))
  for (const entry of due) entry.act()
}

/** Ends a grant and the access tokens minted from it. Gives false where it was dead already. */
export function killGrant(org: Org, row: number, cause: Cause, lingerMs = 0): boolean {
  const { grants, switches } = org
  if (grants.state[row] !== STATE.alive) return false
  const now = org.now()
  grants.diedAtMs[row] = now
  grants.cause[row] = CAUSES.indexOf(cause)
  const lingers = Math.max(lingerMs, switches.visibilityDelayMs)
  grants.state[row] = lingers > 0 ? STATE.lingering : STATE.gone
  if (lingers > 0) org.lingersUntilMs.set(row, now + lingers)
  if (switches.dropSessionsOnRevoke) {
    for (const session of org.sessions.byGrant.get(row) ?? []) {
      endSession(org.sessions, session, now + switches.accessCutDelayMs)
    }
  }
  return true
}

/** Tells whether a query shows a row: it lives, or it died and lingers. */
export function isShown(org: Org, row: number): boolean {
  const state = org.grants.state[row]
  if (state === STATE.alive) return true
  if (state === STATE.gone) return false
  if (org.now() < (org.lingersUntilMs.get(row) ?? 0)) return true
  org.grants.state[row] = STATE.gone
  org.lingersUntilMs.delete(row)
  return false
}

/** Records an approval: a new grant, and the end of the oldest where a user has over five of one app. */
export function approveApp(org: Org, user: number, app: number): number {
  const { grants } = org
  const live: number[] = []
  eachRowOf(grants.byUser, user, (row) => {
    if (grants.app[row] === app && grants.state[row] === STATE.alive) live.push(row)
  })
  if (live.length >= APPROVALS_MAX) {
    const oldest = live.reduce((a, b) => (grants.createdS[b]! < grants.createdS[a]! ? b : a))
    killGrant(org, oldest, 'sixth_approval')
  }
  const createdS = Math.floor(org.now() / 1000)
  return appendGrant(grants, { user, app, createdS, lastUsedS: createdS, useCount: 1 })
}

/** Lets the app of a grant come back: it makes a new grant for the same user after so long. */
export function planReturn(org: Org, row: number, ms: number): void {
  const [user, app] = [org.grants.user[row]!, org.grants.app[row]!]
  const act = (): void => {
    // Who is out, or an app that is blocked, cannot approve anything.
    const lets = isUserLetIn(org, org.users[user]!) && !isBlocked(org.apps[app]!)
    if (lets) approveApp(org, user, app)
  }
  org.agenda.push({ atMs: org.now() + ms, act })
}

/** Makes a grant by chance, of any user and app but the tool's own: the life of an org goes on beside a sweep. */
export function approveByChance(org: Org): void {
  const users = org.users.filter((user) => isUserLetIn(org, user))
  const apps = org.apps.filter((app) => app.index !== ROLE_APP.tool && !isBlocked(app))
  if (users.length === 0 || apps.length === 0) return
  approveApp(org, org.random.pick(users).index, org.random.pick(apps).index)
}

/** Ends a living grant by chance: its user has logged out of the app. The tool's own is never drawn. */
export function endByChance(org: Org): void {
  const row = org.random.int(org.grants.count)
  if (row !== org.toolGrant) killGrant(org, row, 'logged_out')
}

/** Opens a session and writes the login into LoginHistory. */
export function openSession(org: Org, fresh: NewSession): Session {
  const { size } = org.sessions.byToken
  if (size >= SESSIONS_SWEEP_AT && size % SESSIONS_SWEEP_STEP === 0) sweepSessions(org)
  const session = mintSession(org.sessions, org.seed, org.organizationId, fresh)
  const hidden = fresh.origin === 'OauthRefreshToken' && !org.switches.refreshInLoginHistory
  if (!hidden) recordLogin(org, session)
  return session
}

function recordLogin(org: Org, session: Session): void {
  org.loginHistory.set(session.ordinal, {
    id: recordId(PREFIX.loginHistory, session.ordinal),
    user: session.user,
    app: session.app,
    atMs: session.createdMs,
    loginType: loginTypeOf(session),
    loginSubType: session.origin,
    status: 'Success',
    sourceIp: session.sourceIp,
  })
  const [oldest] = org.loginHistory.keys()
  if (org.loginHistory.size > HISTORY_MAX && oldest !== undefined) {
    org.loginHistory.delete(oldest)
  }
}

/** Gives the vendor's LoginType of a session. */
export function loginTypeOf(session: Session): string {
  if (session.origin === 'SoapLogin') return 'Other Apex API'
  return session.origin === 'Ui' ? 'Application' : 'Remote Access 2.0'
}

/** Writes a line into SetupAuditTrail. */
export function recordAudit(org: Org, user: number, action: string, display: string): void {
  org.auditTrail.push({
    id: recordId(PREFIX.setupAuditTrail, org.auditTrail.length + 1),
    user,
    atMs: org.now(),
    action,
    section: 'Connected Apps',
    display,
  })
  if (org.auditTrail.length > HISTORY_MAX * 2) org.auditTrail.splice(0, HISTORY_MAX)
}

function sweepSessions(org: Org): void {
  const now = org.now()
  for (const session of [...org.sessions.byToken.values()]) {
    if (!isSessionAlive(session, now)) forgetSession(org.sessions, session)
  }
}

/** Ends every session of the org at once. */
export function expireSessions(org: Org): void {
  for (const session of [...org.sessions.byToken.values()]) forgetSession(org.sessions, session)
}

/** Gives the session of a token, if it works now: alive, its user let in, its app not blocked. */
export function liveSession(org: Org, token: string): Session | undefined {
  const session = org.sessions.byToken.get(token)
  if (session === undefined || !isSessionAlive(session, org.now())) return undefined
  if (!isUserLetIn(org, org.users[session.user]!)) return undefined
  const app = org.apps[session.app]
  return app !== undefined && isBlocked(app) ? undefined : session
}

/** Tells whether a user may hold sessions: not deactivated, and not frozen where that matters. */
export function isUserLetIn(org: Org, user: User): boolean {
  return user.isActive && (!user.isFrozen || org.switches.freeze === 'usable')
}

/** Tells whether an app is blocked: its sessions end, and it gets no new ones. */
export function isBlocked(app: App): boolean {
  return app.policyAction === 'Block'
}

/** Puts an app out, or lets it in again. Grants stay: they cannot be used while the app is blocked. */
export function setAppBlocked(org: Org, app: App, blocked: boolean, byUser: number): void {
  if (isBlocked(app) === blocked) return
  app.policyAction = blocked ? 'Block' : null
  const action = blocked ? 'blockConnectedApplication' : 'unblockConnectedApplication'
  recordAudit(org, byUser, action, `${blocked ? 'Blocked' : 'Unblocked'} app ${app.label}`)
  if (!blocked) return
  for (const session of [...org.sessions.byToken.values()]) {
    if (session.app === app.index) forgetSession(org.sessions, session)
  }
}

/** Deactivates or reactivates a user; by switch, deactivation ends his grants for good. */
export function setUserActive(org: Org, user: User, active: boolean): void {
  user.isActive = active
  if (active) return
  for (const session of [...org.sessions.byToken.values()]) {
    if (session.user === user.index) forgetSession(org.sessions, session)
  }
  if (org.switches.deactivate === 'unusable') return
  eachRowOf(org.grants.byUser, user.index, (row) => killGrant(org, row, 'user_deactivated'))
}

/** Tells whether a user holds a permission. */
export function isPermitted(org: Org, session: Session, permission: Permission): boolean {
  return org.users[session.user]!.profile.permissions.has(permission)
}
