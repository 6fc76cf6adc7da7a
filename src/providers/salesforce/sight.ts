import type { Account } from '../provider.ts'
import { type Permissions, readPermissions, rowsOrNull } from './caller.ts'
import type { Connection } from './connection.ts'
import { countTokens } from './oauth-tokens.ts'
import { soqlText } from './soql.ts'

/** Whether the org shows the credential other people's grants, and other people's sessions. */
export interface Sight {
  readonly grants: boolean
  readonly sessions: boolean
}

/**
 * Asks what the credential sees now. A list is worth what was seen both before and after it: without
 * the permission Salesforce shows a shorter list, and no error.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_oauthtoken.htm
 */
export async function readSight(
  connection: Connection,
  account: Account,
  signal?: AbortSignal,
): Promise<Sight> {
  return judgeSight(connection, account, await readPermissions(connection, signal), signal)
}

/** The same, from permissions that were just read. */
export async function judgeSight(
  connection: Connection,
  { caller }: Account,
  permissions: Permissions,
  signal?: AbortSignal,
): Promise<Sight> {
  const ofOthers = `UserId != ${soqlText(caller.userId)}`
  const what = 'what this credential may see'
  const grants =
    permissions.customizeApplication ?? (await countTokens(connection, ofOthers, signal)) > 0
  // Who holds Manage Users, and nobody else, sees rows of UserLogin, of which every org has some: so it
  // shows even where no session is left.
  const sessions =
    permissions.manageUsers ??
    ((await rowsOrNull(connection, 'SELECT Id FROM UserLogin LIMIT 1', what, signal)) ?? [])
      .length > 0
  return { grants, sessions }
}

/** What was seen all the while: only what both readings saw. */
export function bothSights(before: Sight, after: Sight): Sight {
  return {
    grants: before.grants && after.grants,
    sessions: before.sessions && after.sessions,
  }
}
