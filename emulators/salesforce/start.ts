import type { RequestListener } from 'node:http'
import { listen } from '../listen.ts'
import { createRequestLog } from '../request-log.ts'
import { type AddedGrant, type AddGrant, addGrant, userById } from './added-grant.ts'
import type { App } from './apps.ts'
import { createBulkDesk } from './bulk-query.ts'
import { createCredentials, type SalesforceCredentials } from './credentials.ts'
import type { Fault, RouteName } from './faults.ts'
import { createOauthDesk } from './oauth-desk.ts'
import type { SalesforceOptions } from './options.ts'
import { createOrg, expireSessions, type Org, setAppBlocked, setUserActive } from './org.ts'
import type { RequestLog, RequestRecord } from './request-log.ts'
import { createQueryDesk } from './rest-query.ts'
import type { Desks } from './routes.ts'
import { createHandler, type Estate } from './server.ts'
import { createSigningKeys, type SigningKeys } from './signing-keys.ts'
import { createTruth, type GroundTruth } from './truth.ts'
import { type Permission, setPermission } from './users.ts'

/** What whoever runs an org can see of it and do to it. */
export interface OrgControls {
  readonly organizationId: string
  readonly credentials: SalesforceCredentials
  readonly truth: GroundTruth
  /** The newest requests, without query strings, headers or bodies. */
  readonly log: readonly RequestRecord[]
  /** How many requests each route has seen. */
  counters(): ReadonlyMap<RouteName, number>
  clearLog(): void
  /** How often a delete token was presented to the revoke endpoint, with or without effect. */
  revokeCalls(deleteToken: string): number
  setFaults(faults: readonly Fault[]): void
  setLatency(ms: number): void
  /** Ends every session at once; grants live on. */
  expireSessions(): void
  /** Blocks an app by its client id, or lets it in again. */
  block(appId: string): void
  unblock(appId: string): void
  blockedApps(): readonly string[]
  setUserActive(userId: string, isActive: boolean): void
  setUserFrozen(userId: string, isFrozen: boolean): void
  /** Gives a user a permission, or takes it away; what runs meanwhile notices at its next request. */
  setPermission(userId: string, permission: Permission, isGiven: boolean): void
  /** Gives an app another label; its tokens are listed under the new one. */
  renameApp(appId: string, label: string): void
  /** Adds a grant, without the limit of five approvals, and gives its delete and refresh token. */
  addGrant(grant: AddGrant): AddedGrant
}

/** A running org: what a client sees of it is its `url`. */
export interface SalesforceOrg extends OrgControls, AsyncDisposable {
  readonly url: string
  close(): Promise<void>
}

/** An org without a server: its handler can be mounted on any. */
export interface SalesforceEstate extends OrgControls {
  readonly handler: RequestListener
  /** Tells the org its own address, which it writes into its answers. */
  setOrigin(origin: string): void
}

/** Builds an org and its handler without listening. Throws RangeError where a size is out of range. */
export function createSalesforce(options: SalesforceOptions = {}): SalesforceEstate {
  const org = createOrg(options)
  const keys = createSigningKeys()
  const truth = createTruth(org, keys)
  const log: RequestLog = createRequestLog()
  const estate: Estate = { org, desks: createDesks(org, keys), log, truth }
  return {
    handler: createHandler(estate),
    setOrigin: (origin) => {
      org.origin = origin
    },
    organizationId: org.organizationId,
    credentials: createCredentials(org, keys),
    truth,
    log: log.entries,
    counters: () => log.counters,
    clearLog: log.clear,
    revokeCalls: (deleteToken) => {
      const row = org.codec.decode('delete', deleteToken)?.row
      return row === undefined ? 0 : (org.grants.presented[row] ?? 0)
    },
    setFaults: (faults) => org.faults.set(faults),
    setLatency: (ms) => {
      org.latencyMs = ms
    },
    expireSessions: () => expireSessions(org),
    ...appControls(org),
    setUserActive: (userId, isActive) => setUserActive(org, userById(org, userId), isActive),
    setUserFrozen: (userId, isFrozen) => {
      userById(org, userId).isFrozen = isFrozen
    },
    setPermission: (userId, permission, isGiven) =>
      setPermission(userById(org, userId), permission, isGiven),
    addGrant: (grant) => addGrant(org, grant),
  }
}

function createDesks(org: Org, keys: SigningKeys): Desks {
  const [query, oauth, bulk] = [createQueryDesk(org), createOauthDesk(org.seed), createBulkDesk()]
  return { query, oauth, bulk, keys }
}

function appControls(
  org: Org,
): Pick<OrgControls, 'block' | 'unblock' | 'blockedApps' | 'renameApp'> {
  const appOf = (appId: string): App => {
    const app = org.appByClientId.get(appId)
    if (app === undefined) throw new TypeError(`no app of this org has the client id ${appId}`)
    return app
  }
  const setBlocked = (appId: string, blocked: boolean): void =>
    setAppBlocked(org, appOf(appId), blocked, 0)
  return {
    renameApp: (appId, label) => {
      appOf(appId).label = label
    },
    block: (appId) => setBlocked(appId, true),
    unblock: (appId) => setBlocked(appId, false),
    blockedApps: () =>
      org.apps.filter((app) => app.policyAction === 'Block').map((app) => app.clientId),
  }
}

/** Starts an org on a port of its own and resolves once it listens. */
export async function startSalesforce(options: SalesforceOptions = {}): Promise<SalesforceOrg> {
  const { handler, setOrigin, ...estate } = createSalesforce(options)
  const { url, close } = await listen(handler, options)
  setOrigin(url)
  return Object.assign(estate, { url, close, [Symbol.asyncDispose]: close })
}
