import { RescindError } from '../../core/errors.ts'
import type { Account } from '../provider.ts'
import type { Connection } from './connection.ts'
import { toLongId } from './ids.ts'
import type { Identity } from './login.ts'
import { isLastingRefusal } from './rest-answer.ts'
import { flagOf, queryRows, type Row, soqlText, textOf } from './soql.ts'

/**
 * Says who we are: by what the login answered, or else by userinfo.
 *
 * @throws RescindError `not_authenticated` or `login_needed` when the org does not take the session
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_using_userinfo_endpoint.htm
 */
export async function readAccount(connection: Connection, signal?: AbortSignal): Promise<Account> {
  const { orgId, userId } = connection.identity() ?? (await readIdentity(connection, signal))
  const orgName = await readOne(connection, 'SELECT Name FROM Organization', 'Name', signal)
  const ofUser = `SELECT Username FROM User WHERE Id = ${soqlText(userId)}`
  const userName = await readOne(connection, ofUser, 'Username', signal)
  return {
    id: toLongId(orgId),
    name: orgName ?? toLongId(orgId),
    url: connection.instanceUrl(),
    caller: { userId: toLongId(userId), userName: userName ?? toLongId(userId) },
  }
}

async function readIdentity(connection: Connection, signal?: AbortSignal): Promise<Identity> {
  const answer = (await connection.read('/services/oauth2/userinfo', 'who we are', signal)) as Row
  const userId = textOf(answer, 'user_id')
  const orgId = textOf(answer, 'organization_id')
  if (userId !== null && orgId !== null) return { userId, orgId }
  throw new RescindError(
    'answer_invalid',
    'Salesforce did not say whose session this is. Give the app the scope "id" or "full".',
  )
}

async function readOne(
  connection: Connection,
  soql: string,
  field: string,
  signal?: AbortSignal,
): Promise<string | null> {
  const row = (await rowsOrNull(connection, soql, 'the org and its user', signal))?.[0]
  return row ? textOf(row, field) : null
}

/** The permissions of the caller that Rescind needs; null where the org does not say. */
export interface Permissions {
  readonly customizeApplication: boolean | null
  readonly manageUsers: boolean | null
  readonly modifyAllData: boolean | null
  readonly manageConnectedApps: boolean | null
}

/**
 * Reads the caller's own permissions, each with a query of its own where the org knows only some.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_userpermissionaccess.htm
 */
export async function readPermissions(
  connection: Connection,
  signal?: AbortSignal,
): Promise<Permissions> {
  const fields = {
    customizeApplication: 'PermissionsCustomizeApplication',
    manageUsers: 'PermissionsManageUsers',
    modifyAllData: 'PermissionsModifyAllData',
    manageConnectedApps: 'PermissionsManageConnectedApps',
  }
  const ask = (list: string) =>
    rowsOrNull(connection, `SELECT ${list} FROM UserPermissionAccess`, 'our permissions', signal)
  const all = await ask(Object.values(fields).join(', '))
  const read = async (field: string): Promise<boolean | null> => {
    const row = (all ?? (await ask(field)))?.[0]
    return row ? flagOf(row, field) : null
  }
  return {
    customizeApplication: await read(fields.customizeApplication),
    manageUsers: await read(fields.manageUsers),
    modifyAllData: await read(fields.modifyAllData),
    manageConnectedApps: await read(fields.manageConnectedApps),
  }
}

/** The session that we work with, as the org lists it. */
export interface OwnSession {
  readonly id: string | null
  /** The label of the app that it was opened with; null when the org does not say. */
  readonly appLabel: string | null
  /** How it was opened: `OauthRefreshToken`, …; null when the org does not say. */
  readonly subtype: string | null
}

const UNKNOWN_LOGIN = { appLabel: null, subtype: null }

/**
 * Finds our own session among the caller's, and the app that it was opened with.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_authsession.htm
 */
export async function readOwnSession(
  connection: Connection,
  userId: string,
  signal?: AbortSignal,
): Promise<OwnSession> {
  const from = `FROM AuthSession WHERE UsersId = ${soqlText(userId)}`
  const rows = await rowsOrNull(
    connection,
    `SELECT Id, IsCurrent, LoginHistoryId ${from}`,
    'our own session',
    signal,
  )
  const current = rows?.find((row) => row.IsCurrent === true)
  if (!current) return { id: null, ...UNKNOWN_LOGIN }
  const historyId = textOf(current, 'LoginHistoryId')
  const id = textOf(current, 'Id')
  if (historyId === null) return { id, ...UNKNOWN_LOGIN }
  const ofLogin = `FROM LoginHistory WHERE Id = ${soqlText(historyId)}`
  const ask = (fields: string) =>
    rowsOrNull(connection, `SELECT ${fields} ${ofLogin}`, 'our own login', signal)
  // The second field is younger than the first.
  const [login] = (await ask('Application, LoginSubType')) ?? (await ask('Application')) ?? []
  if (!login) return { id, ...UNKNOWN_LOGIN }
  return { id, appLabel: textOf(login, 'Application'), subtype: textOf(login, 'LoginSubType') }
}

/** Rows of an object that the org may not have, or not show: then null. */
export async function rowsOrNull(
  connection: Connection,
  soql: string,
  what: string,
  signal?: AbortSignal,
): Promise<readonly Row[] | null> {
  try {
    return await queryRows(connection, soql, { what, signal })
  } catch (error) {
    if (isLastingRefusal(error)) return null
    throw error
  }
}
