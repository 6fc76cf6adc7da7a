import type { App } from './apps.ts'
import { CAUSES, type Cause, STATE } from './grants.ts'
import { requestTokenOf } from './oauth-token-object.ts'
import { isBlocked, type Org, tick } from './org.ts'
import { isSessionAlive, type SessionOrigin, sessionToken } from './sessions.ts'
import type { SigningKeys } from './signing-keys.ts'

/** One grant as it really is. Holds secrets. */
export interface GrantTruth {
  readonly deleteToken: string
  readonly refreshToken: string
  readonly userId: string
  readonly username: string
  readonly userIsActive: boolean
  readonly userIsFrozen: boolean
  /** The app's label, which is what OauthToken shows. */
  readonly app: string
  /** The app's own key, by which two apps of one label differ: its client id. */
  readonly appId: string
  readonly applicationId: string | null
  readonly appMenuItemId: string | null
  /** Milliseconds since 1970, a whole second. */
  readonly createdAt: number
  readonly lastUsedAt: number | null
  readonly useCount: number
  readonly alive: boolean
  /** Milliseconds since 1970, or null while it lives. */
  readonly diedAt: number | null
  readonly killedBy: Cause
}

/** One session as it really is. Holds a secret. */
export interface SessionTruth {
  readonly id: string
  readonly token: string
  readonly userId: string
  readonly app: string | null
  readonly origin: SessionOrigin
  /** The delete token of the grant behind it, or null. */
  readonly deleteToken: string | null
  readonly alive: boolean
}

/** One app as it really is. Holds a secret. */
export interface AppTruth {
  /** The client id. */
  readonly appId: string
  readonly clientSecret: string
  readonly label: string
  readonly developerName: string
  readonly kind: App['kind']
  readonly applicationId: string | null
  readonly appMenuItemId: string | null
  readonly adminApproved: boolean
  readonly blocked: boolean
}

/** One user as he really is. */
export interface UserTruth {
  readonly id: string
  readonly username: string
  readonly name: string
  readonly isActive: boolean
  readonly isFrozen: boolean
}

/** The numbers of an org. `shown` counts the grants that a query shows: living ones, and dead ones that linger. */
export interface TruthCounts {
  readonly grants: number
  readonly alive: number
  readonly dead: number
  readonly shown: number
  readonly sessions: number
  readonly users: number
  readonly apps: number
}

/** What is really so, for tests and demos to compare with what a client believes. */
export interface GroundTruth {
  grants(): IterableIterator<GrantTruth>
  grant(deleteToken: string): GrantTruth | undefined
  isAlive(deleteToken: string): boolean
  sessions(): SessionTruth[]
  users(): UserTruth[]
  apps(): AppTruth[]
  counts(): TruthCounts
  /** Every secret of the org, for a search of outputs that must not hold one. */
  secrets(): IterableIterator<string>
}

/** Makes the ground truth of an org. */
export function createTruth(org: Org, keys: SigningKeys): GroundTruth {
  const rowOf = (deleteToken: string): number => {
    tick(org)
    const row = org.codec.decode('delete', deleteToken)?.row ?? -1
    return row < org.grants.count ? row : -1
  }
  return {
    grants: () => eachGrant(org),
    grant: (deleteToken) => {
      const row = rowOf(deleteToken)
      return row < 0 ? undefined : grantTruth(org, row)
    },
    isAlive: (deleteToken) => {
      const row = rowOf(deleteToken)
      return row >= 0 && org.grants.state[row] === STATE.alive
    },
    sessions: () => sessionTruths(org),
    users: () =>
      org.users.map(({ id, username, name, isActive, isFrozen }) => ({
        id,
        username,
        name,
        isActive,
        isFrozen,
      })),
    apps: () => org.apps.map(appTruth),
    counts: () => countTruth(org),
    secrets: () => eachSecret(org, keys),
  }
}

function* eachGrant(org: Org): IterableIterator<GrantTruth> {
  tick(org)
  for (let row = 0; row < org.grants.count; row += 1) yield grantTruth(org, row)
}

function grantTruth(org: Org, row: number): GrantTruth {
  const { grants, codec } = org
  const [user, app] = [org.users[grants.user[row]!]!, org.apps[grants.app[row]!]!]
  const alive = grants.state[row] === STATE.alive
  return {
    deleteToken: codec.encode('delete', row, 0),
    refreshToken: codec.encode('refresh', row, grants.rotation[row]!),
    userId: user.id,
    username: user.username,
    userIsActive: user.isActive,
    userIsFrozen: user.isFrozen,
    app: app.label,
    appId: app.clientId,
    applicationId: app.applicationId,
    appMenuItemId: app.appMenuItemId,
    createdAt: grants.createdS[row]! * 1000,
    lastUsedAt: grants.lastUsedS[row] === 0 ? null : grants.lastUsedS[row]! * 1000,
    useCount: grants.useCount[row]!,
    alive,
    diedAt: alive ? null : grants.diedAtMs[row]!,
    killedBy: CAUSES[grants.cause[row]!]!,
  }
}

function sessionTruths(org: Org): SessionTruth[] {
  const now = org.now()
  return [...org.sessions.byToken.values()].map((session) => ({
    id: session.id,
    token: session.token,
    userId: org.users[session.user]!.id,
    app: org.apps[session.app]?.label ?? null,
    origin: session.origin,
    deleteToken: session.grant < 0 ? null : org.codec.encode('delete', session.grant, 0),
    alive: isSessionAlive(session, now),
  }))
}

function appTruth(app: App): AppTruth {
  return {
    appId: app.clientId,
    clientSecret: app.clientSecret,
    label: app.label,
    developerName: app.developerName,
    kind: app.kind,
    applicationId: app.applicationId,
    appMenuItemId: app.appMenuItemId,
    adminApproved: app.adminApproved,
    blocked: isBlocked(app),
  }
}

function countTruth(org: Org): TruthCounts {
  tick(org)
  const now = org.now()
  let alive = 0
  let lingering = 0
  for (let row = 0; row < org.grants.count; row += 1) {
    if (org.grants.state[row] === STATE.alive) alive += 1
  }
  for (const until of org.lingersUntilMs.values()) if (now < until) lingering += 1
  const sessions = [...org.sessions.byToken.values()].filter((entry) => isSessionAlive(entry, now))
  return {
    grants: org.grants.count,
    alive,
    dead: org.grants.count - alive,
    shown: alive + lingering,
    sessions: sessions.length,
    users: org.users.length,
    apps: org.apps.length,
  }
}

function* eachSecret(org: Org, keys: SigningKeys): IterableIterator<string> {
  for (let row = 0; row < org.grants.count; row += 1) {
    yield org.codec.encode('delete', row, 0)
    yield requestTokenOf(org, row)
    for (let n = 0; n <= org.grants.rotation[row]!; n += 1)
      yield org.codec.encode('refresh', row, n)
  }
  // Those that ended are secrets still: a client must not have written them anywhere.
  for (let n = 1; n <= org.sessions.minted; n += 1) {
    yield sessionToken(org.seed, org.organizationId, n)
  }
  for (const app of org.apps) yield app.clientSecret
  for (const user of org.users) {
    yield user.password
    yield user.securityToken
  }
  yield keys.assertion().privateKeyPem
}
