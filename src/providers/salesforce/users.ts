import type { UserRow } from '../provider.ts'
import type { Connection } from './connection.ts'
import { toLongId } from './ids.ts'
import { isLastingRefusal } from './rest-answer.ts'
import { flagOf, queryPages, type Row, rowOf, textOf, timeOf } from './soql.ts'

const USER_FIELDS = 'Id, Username, Name, IsActive, UserType, Profile.Name, LastLoginDate'

/** Streams all users, with who is frozen joined in. */
export async function* listUsers(
  connection: Connection,
  frozenIds: ReadonlySet<string> | null,
  signal?: AbortSignal,
): AsyncGenerator<readonly UserRow[]> {
  const asking = { what: 'the list of users', signal }
  for await (const page of queryPages(connection, `SELECT ${USER_FIELDS} FROM User`, asking)) {
    yield page.map((row) => userOf(row, frozenIds))
  }
}

/**
 * Reads who is frozen. Null when the caller may not see it: "not frozen" would be a guess.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_userlogin.htm
 */
export async function listFrozen(
  connection: Connection,
  signal?: AbortSignal,
): Promise<ReadonlySet<string> | null> {
  const frozen = new Set<string>()
  try {
    const soql = 'SELECT UserId FROM UserLogin WHERE IsFrozen = true'
    for await (const page of queryPages(connection, soql, { what: 'frozen users', signal })) {
      for (const row of page) {
        const userId = textOf(row, 'UserId')
        if (userId !== null) frozen.add(toLongId(userId))
      }
    }
  } catch (error) {
    if (isLastingRefusal(error)) return null
    throw error
  }
  return frozen
}

function userOf(row: Row, frozenIds: ReadonlySet<string> | null): UserRow {
  const id = toLongId(textOf(row, 'Id') ?? '')
  const profile = rowOf(row, 'Profile')
  return {
    id,
    name: textOf(row, 'Username') ?? id,
    displayName: textOf(row, 'Name'),
    active: flagOf(row, 'IsActive'),
    frozen: frozenIds === null ? null : frozenIds.has(id),
    type: textOf(row, 'UserType'),
    profile: profile === null ? null : textOf(profile, 'Name'),
    lastLoginAt: timeOf(row, 'LastLoginDate'),
  }
}
