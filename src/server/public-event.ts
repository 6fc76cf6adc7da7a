import type { EventRow } from '../store/authority/contract.ts'

/** An event as it goes out: by the admin endpoint, and in a webhook's `data`. Holds no secret. */
export interface PublicEvent {
  /** Stable: the same at every delivery. */
  readonly id: string
  /** Where a reader goes on. */
  readonly position: string
  readonly type: string
  /** RFC 3339, in UTC. */
  readonly at: string
  readonly cause: string
  readonly actor: string
  readonly client: string | null
  readonly user: string | null
  readonly session: string | null
  readonly grant: number | null
  /** The fingerprint of a token. */
  readonly token: string | null
  readonly request: string | null
  readonly detail: unknown
}

export function publicEvent(event: EventRow): PublicEvent {
  const { id, position, type, cause, actor, token, request, detail } = event
  return {
    ...{ id, position, type, at: new Date(event.at).toISOString(), cause, actor },
    ...{ client: event.clientId, user: event.userId, session: event.sessionId },
    ...{ grant: event.grantId, token, request },
    detail: detail === null ? null : JSON.parse(detail),
  }
}
