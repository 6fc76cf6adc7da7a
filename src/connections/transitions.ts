import type { Fingerprint } from '../core/secret.ts'
import type { Identity } from '../providers/connection-way.ts'
import type { ConnectionChange, ConnectionRow, StoredEvent } from '../store/connections.ts'
import type { Cause, Connection, ConnectionEvent, ConnectionState } from './connection.ts'

/** What receivers are told: that a connection broke, that it is whole again, and what will break one. */
const NOTICED: readonly ConnectionEvent['type'][] = [
  ...(['connection.needs_reauth', 'connection.disabled', 'connection.revoked'] as const),
  ...(['connection.reconnected', 'connection.enabled', 'connection.budget_low'] as const),
  'connection.connected',
]
/** Of these somebody was told that it broke: then the healing is told too. What heals alone is no news. */
const TOLD_BROKEN: readonly string[] = ['reconnect_needed', 'reconnecting']

/** Why a connection that works is not well: nothing renews it. */
export const NO_REFRESH_BEHIND: Cause = {
  code: 'no_refresh_token',
  confidence: 'certain',
  text: 'The provider gave no refresh token: when the access token ends, the owner must reconnect. Let the app ask for offline access.',
}

/** Says whether a connection waits for its owner: its grant is dead, or its refresh token lost. */
export function isToldBroken({ state }: Pick<ConnectionRow, 'state'>): boolean {
  return TOLD_BROKEN.includes(state)
}

/** Says whether a connection works until its access token ends, and no longer. */
export function isUnrenewable({
  refresh_fingerprint: refresh,
  access_expires_at: endsAt,
  cause,
}: ConnectionRow): boolean {
  return refresh === null && (endsAt !== null || causeIn(cause)?.code === NO_REFRESH_BEHIND.code)
}

/** Returns the change that moves a connection to a state, with the one event of it; none where it is there already. */
export function moveTo(
  row: ConnectionRow,
  to: ConnectionState,
  type: ConnectionEvent['type'],
  cause: Cause | null,
): Pick<ConnectionChange, 'set' | 'events'> {
  const json = cause && JSON.stringify(cause)
  // The newest words are kept, but the same state is no transition.
  if (row.state === to) return { set: { cause: json } }
  return { set: { state: to, cause: json }, events: [eventOf(row, to, type, cause)] }
}

/** Returns one event; receivers are told where it is theirs to know. */
export function eventOf(
  row: Pick<ConnectionRow, 'state'>,
  to: ConnectionState,
  type: ConnectionEvent['type'],
  cause: Cause | null,
) {
  const isHealed = type === 'connection.healed' && isToldBroken(row)
  const notice = isHealed || NOTICED.includes(type)
  return { type, to, cause: cause && JSON.stringify(cause), notice }
}

/** Reads a connection from its row. */
export function asConnection(row: ConnectionRow): Connection {
  return {
    id: row.id,
    tenant: row.tenant,
    provider: row.provider,
    owner: row.owner,
    tags: JSON.parse(row.tags) as string[],
    state: row.state as ConnectionState,
    cause: causeIn(row.cause),
    scopes: JSON.parse(row.scopes) as string[],
    identity: row.identity === null ? null : (JSON.parse(row.identity) as Identity),
    version: row.version,
    accessFingerprint: row.access_fingerprint as Fingerprint | null,
    refreshFingerprint: row.refresh_fingerprint as Fingerprint | null,
    accessExpiresAt: row.access_expires_at,
    createdAt: row.created_at,
    changedAt: row.changed_at,
    checkedAt: row.checked_at,
  }
}

/** Reads an event from its row. */
export function asEvent(row: Omit<StoredEvent, 'seq'> & { readonly seq: number }): ConnectionEvent {
  return {
    id: `cev_${row.seq}`,
    at: row.at,
    connection: row.connection,
    type: row.type as ConnectionEvent['type'],
    from: row.from as ConnectionState | null,
    to: row.to as ConnectionState,
    cause: causeIn(row.cause),
  }
}

function causeIn(json: string | null): Cause | null {
  return json === null ? null : (JSON.parse(json) as Cause)
}
