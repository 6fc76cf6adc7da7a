import { hashText } from '../random.ts'
import { PREFIX, recordId } from './record-id.ts'
import { randomText } from './token-codec.ts'

/** How a session began; the vendor's LoginType and LoginSubType follow from it. */
export type SessionOrigin =
  | 'OauthRefreshToken'
  | 'OauthWebServer'
  | 'OauthClientCredentials'
  | 'OauthJwtBearer'
  | 'OauthUsernamePassword'
  | 'OauthTokenExchange'
  | 'OauthDevice'
  | 'SoapLogin'
  | 'Ui'

/** One session: an access token, or a session id from the SOAP login or a browser. */
export interface Session {
  readonly id: string
  readonly ordinal: number
  /** The access token or session id: a secret. */
  readonly token: string
  readonly user: number
  /** The app's index, or -1 where no app is behind the session. */
  readonly app: number
  /** The row of the grant that it was minted from, or -1. */
  readonly grant: number
  readonly origin: SessionOrigin
  readonly scope: string
  readonly createdMs: number
  readonly sourceIp: string
  lastModifiedMs: number
  readonly numSecondsValid: number
  /** When it ended, or null. A later moment: it still works until then. */
  endsAtMs: number | null
}

/** The live sessions of an org, by token, by record id and by grant. */
export interface SessionTable {
  readonly byToken: Map<string, Session>
  readonly byId: Map<string, Session>
  readonly byGrant: Map<number, Session[]>
  /** Record ids of ended sessions, by which a second delete is told from a wrong id. */
  readonly endedIds: Set<string>
  minted: number
}

/** What a new session starts with. */
export interface NewSession {
  readonly user: number
  readonly app: number
  readonly grant: number
  readonly origin: SessionOrigin
  readonly scope: string
  readonly createdMs: number
  readonly lastModifiedMs?: number
}

/** The vendor's default: two hours without use. */
export const SESSION_SECONDS_VALID = 7_200
/** The length of the part of an access token behind the exclamation mark. */
const TOKEN_TAIL_LENGTH = 92

/** Makes an empty table. */
export function createSessionTable(): SessionTable {
  return {
    byToken: new Map(),
    byId: new Map(),
    byGrant: new Map(),
    endedIds: new Set(),
    minted: 0,
  }
}

/** Mints a session whose token follows from the seed and the number of sessions before it. */
export function mintSession(
  table: SessionTable,
  seed: number,
  organizationId: string,
  fresh: NewSession,
): Session {
  table.minted += 1
  const ordinal = table.minted
  const session: Session = {
    ...fresh,
    id: recordId(PREFIX.authSession, ordinal),
    ordinal,
    token: sessionToken(seed, organizationId, ordinal),
    sourceIp: `203.0.113.${1 + (ordinal % 250)}`,
    lastModifiedMs: fresh.lastModifiedMs ?? fresh.createdMs,
    numSecondsValid: SESSION_SECONDS_VALID,
    endsAtMs: null,
  }
  table.byToken.set(session.token, session)
  table.byId.set(session.id, session)
  if (session.grant >= 0) addToGrant(table, session)
  return session
}

/** Gives the token of the n-th session of an org. */
export function sessionToken(seed: number, organizationId: string, ordinal: number): string {
  const tail = randomText(hashText(`${seed}:session`), ordinal, TOKEN_TAIL_LENGTH)
  return `${organizationId.slice(0, 15)}!AQ${tail}`
}

function addToGrant(table: SessionTable, session: Session): void {
  const siblings = table.byGrant.get(session.grant)
  if (siblings === undefined) table.byGrant.set(session.grant, [session])
  else siblings.push(session)
}

/** Ends a session at a moment that may lie ahead. */
export function endSession(_table: SessionTable, session: Session, endsAtMs: number): void {
  session.endsAtMs = Math.min(session.endsAtMs ?? Number.POSITIVE_INFINITY, endsAtMs)
}

/** Tells whether a session works at a moment. */
export function isSessionAlive(session: Session, nowMs: number): boolean {
  if (session.endsAtMs !== null && nowMs >= session.endsAtMs) return false
  return nowMs < session.lastModifiedMs + session.numSecondsValid * 1000
}

/** Forgets a session that ended, so that an org which runs for long stays small. */
export function forgetSession(table: SessionTable, session: Session): void {
  table.byToken.delete(session.token)
  table.byId.delete(session.id)
  table.endedIds.add(session.id)
  const siblings = table.byGrant.get(session.grant)
  if (siblings === undefined) return
  const left = siblings.filter((sibling) => sibling !== session)
  if (left.length === 0) table.byGrant.delete(session.grant)
  else table.byGrant.set(session.grant, left)
}
