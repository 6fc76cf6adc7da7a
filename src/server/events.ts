import type { GrantRow, NewEvent } from '../store/authority/contract.ts'

/** What can happen to a grant, a token or a client; one event a transition. */
export const EVENT_TYPES = [
  'grant.started',
  'grant.revoked',
  'token.rotated',
  'token.revoked',
  'code.redeemed',
  'reach.revoked',
  'revocation.foreign',
  'client.changed',
  'key.rotated',
  'key.replaced',
  'webhook.disabled',
  'webhook.set_aside',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** What brought an event about. */
export const CAUSES = [
  'authorization',
  'issue',
  'client_credentials',
  'refresh',
  'refresh_reuse',
  'code',
  'code_reuse',
  'revocation_endpoint',
  'library',
  'client_disabled',
  'admin',
  'command_line',
  'global_token_revocation',
  'webhook',
] as const
export type Cause = (typeof CAUSES)[number]

/** Who asked, and by which request: stands in each event that follows. */
export interface Asked {
  /** `client:ID`, `user:ID`, `admin`, `system`. */
  readonly actor: string
  /** The request's name, where the host gives it one. */
  readonly request?: string | undefined
}

export interface Happened extends Asked {
  readonly at: number
  readonly type: EventType
  readonly cause: Cause
  readonly grant?: Pick<GrantRow, 'id' | 'clientId' | 'userId' | 'sessionId'> | undefined
  readonly clientId?: string | undefined
  readonly userId?: string | undefined
  readonly sessionId?: string | undefined
  /** The fingerprint of the token that it is about. */
  readonly token?: string | undefined
  readonly detail?: Readonly<Record<string, unknown>> | undefined
}

/** Returns the row of an event. */
export function eventOf(happened: Happened): NewEvent {
  const { at, type, cause, actor, request, grant, token, detail } = happened
  return {
    at,
    type,
    cause,
    actor,
    clientId: grant?.clientId ?? happened.clientId ?? null,
    userId: grant?.userId ?? happened.userId ?? null,
    grantId: grant?.id ?? null,
    sessionId: grant?.sessionId ?? happened.sessionId ?? null,
    token: token ?? null,
    request: request ?? null,
    detail: detail === undefined ? null : JSON.stringify(detail),
  }
}
