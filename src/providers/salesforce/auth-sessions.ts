import { rowsOrNull } from './caller.ts'
import type { Connection } from './connection.ts'
import { toLongId } from './ids.ts'
import { isRefusal } from './rest-answer.ts'
import { queryPages, type Row, rowOf, soqlText, textOf, timeOf } from './soql.ts'

/** A session that an OAuth login opened. */
export interface OauthSession {
  readonly id: string
  readonly userId: string | null
  readonly appLabel: string | null
  /** How it was opened: `OauthClientCredentials`, `OauthRefreshToken`, … */
  readonly subtype: string | null
  readonly createdAt: number | null
  readonly lastUsedAt: number | null
}

const FIELDS = 'Id, UsersId, CreatedDate, LastModifiedDate, LoginHistoryId'
const RELATED = 'LoginHistory.Application, LoginHistory.LoginSubType'
const CONDITION = "LoginType = 'Remote Access 2.0'"
/** Login records asked for at once: 200 ids of 18 characters are a URL of 5 kB. */
const HISTORY_IDS_MAX = 200

/** Sessions of these belong to a grant, and end with it. */
const OF_A_GRANT = /RefreshToken|WebServer|UserAgent|Hybrid|Device|IdToken|AuthCode/i
/** Logins of these need no person: whoever holds the key or the password opens the next session. */
const WITHOUT_A_PERSON = /ClientCredential|Jwt|TokenExchange|UsernamePassword|Saml|Bearer/i

/** Says whether a session stands on its own, without a grant that would be listed. */
export function standsAlone(session: Pick<OauthSession, 'subtype'>): boolean {
  return session.subtype === null || !OF_A_GRANT.test(session.subtype)
}

/** Says whether the app can open such a session again at once. */
export function opensAlone(session: OauthSession): boolean {
  return session.subtype !== null && WITHOUT_A_PERSON.test(session.subtype)
}

/**
 * Streams the sessions that OAuth logins opened; without Manage Users, only the caller's own.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_authsession.htm
 */
export async function* listSessions(
  connection: Connection,
  signal?: AbortSignal,
): AsyncGenerator<readonly OauthSession[]> {
  const asking = { what: 'the list of sessions', signal }
  const soql = (fields: string) => `SELECT ${fields} FROM AuthSession WHERE ${CONDITION}`
  try {
    for await (const page of queryPages(connection, soql(`${FIELDS}, ${RELATED}`), asking)) {
      yield page.map((row) => sessionOf(row, rowOf(row, 'LoginHistory')))
    }
    return
  } catch (error) {
    if (!isRefusal(error, 'INVALID_FIELD', 'MALFORMED_QUERY')) throw error
  }
  // This org does not join the login in; it is asked for apart.
  for await (const page of queryPages(connection, soql(FIELDS), asking)) {
    const histories = await readHistories(connection, page, signal)
    yield page.map((row) =>
      sessionOf(row, histories.get(textOf(row, 'LoginHistoryId') ?? '') ?? null),
    )
  }
}

async function readHistories(
  connection: Connection,
  sessions: readonly Row[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Row>> {
  const ids = sessions.flatMap((row) => textOf(row, 'LoginHistoryId') ?? [])
  const found = new Map<string, Row>()
  for (let start = 0; start < ids.length; start += HISTORY_IDS_MAX) {
    const list = ids.slice(start, start + HISTORY_IDS_MAX).map(soqlText)
    const soql = `SELECT Id, Application, LoginSubType FROM LoginHistory WHERE Id IN (${list.join(',')})`
    for (const row of (await rowsOrNull(connection, soql, 'logins', signal)) ?? []) {
      found.set(textOf(row, 'Id') ?? '', row)
    }
  }
  return found
}

function sessionOf(row: Row, history: Row | null): OauthSession {
  const userId = textOf(row, 'UsersId')
  return {
    id: textOf(row, 'Id') ?? '',
    userId: userId === null ? null : toLongId(userId),
    appLabel: history === null ? null : textOf(history, 'Application'),
    subtype: history === null ? null : textOf(history, 'LoginSubType'),
    createdAt: timeOf(row, 'CreatedDate'),
    lastUsedAt: timeOf(row, 'LastModifiedDate'),
  }
}
