import { appendGrant } from './grants.ts'
import type { Org } from './org.ts'
import { shortId } from './record-id.ts'
import type { User } from './users.ts'

/** A grant to add to a running org. Times are milliseconds since 1970. */
export interface AddGrant {
  readonly userId: string
  /** The app's client id. */
  readonly appId: string
  readonly createdAt?: number
  readonly lastUsedAt?: number | null
  readonly useCount?: number
  /** All of the app's otherwise. */
  readonly scopes?: readonly string[]
}

/** The handles of a grant that was added by hand. Both are secrets. */
export interface AddedGrant {
  readonly deleteToken: string
  readonly refreshToken: string
}

/** Finds a user by his record id. Throws TypeError where there is none. */
export function userById(org: Org, userId: string): User {
  const user = org.userByShortId.get(shortId(userId))
  if (user === undefined) throw new TypeError(`no user of this org has the id ${userId}`)
  return user
}

/** Adds a grant, without the limit of five approvals. Throws TypeError where its user or app is unknown. */
export function addGrant(org: Org, grant: AddGrant): AddedGrant {
  const app = org.appByClientId.get(grant.appId)
  if (app === undefined) throw new TypeError(`no app of this org has the client id ${grant.appId}`)
  const createdMs = grant.createdAt ?? org.now()
  const usedMs = grant.lastUsedAt === undefined ? createdMs : grant.lastUsedAt
  const row = appendGrant(org.grants, {
    user: userById(org, grant.userId).index,
    app: app.index,
    createdS: Math.floor(createdMs / 1000),
    lastUsedS: usedMs === null ? 0 : Math.floor(usedMs / 1000),
    useCount: grant.useCount ?? (usedMs === null ? 0 : 1),
  })
  if (grant.scopes !== undefined) org.scopeByRow.set(row, grant.scopes.join(' '))
  return {
    deleteToken: org.codec.encode('delete', row, 0),
    refreshToken: org.codec.encode('refresh', row, 0),
  }
}
