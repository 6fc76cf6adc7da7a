import { RescindError } from '../core/errors.ts'
import { checkShape, type KeyCheck, optional } from './check-shape.ts'
import type { Client } from './client-settings.ts'
import type { AuthorizeAsk, Authorized } from './endpoints/authorize.ts'
import { CLIENT_ID, NAME } from './names.ts'
import { SCOPE, scopeWithin } from './scope.ts'

/** A token as it is presented may be any text: what is none of ours is unknown. */
const TOKEN: KeyCheck = {
  isGood: (value) => typeof value === 'string',
  needs: 'needs the text of a token',
}
const SCOPES: KeyCheck = {
  isGood: (value) => value === '' || (typeof value === 'string' && SCOPE.test(value)),
  needs: 'needs scopes in one text, separated by single spaces',
}
const POSITION: KeyCheck = {
  isGood: (value) => value === null || typeof value === 'string',
  needs: 'needs the position of an event, or null for the first',
}
const COUNT: KeyCheck = {
  isGood: (value) => Number.isSafeInteger(value) && Number(value) > 0,
  needs: 'needs a whole number from 1 on',
}
const EXPLAINED: KeyCheck = {
  isGood: (value) => typeof value === 'string',
  needs: 'needs the fingerprint of a token, or the token',
}
const FLAG: KeyCheck = {
  isGood: (value) => typeof value === 'boolean',
  needs: 'must be true or false',
}

const ISSUE = {
  clientId: CLIENT_ID,
  userId: NAME,
  sessionId: optional(NAME),
  scope: SCOPES,
  audience: optional(NAME),
  refreshable: optional(FLAG),
}
const ROTATION = { clientId: CLIENT_ID, refreshToken: TOKEN, scope: optional(SCOPES) }
const REVOCATION = { token: TOKEN, clientId: CLIENT_ID }
const AUTHORIZED = { userId: NAME, sessionId: optional(NAME), scope: optional(SCOPES) }

/**
 * Refuses to issue for anybody but a user and a client that are named.
 *
 * @throws RescindError `usage`
 */
export function checkIssue(given: unknown): void {
  checkShape(given, ISSUE)
}

/** @throws RescindError `usage` */
export function checkRotation(given: unknown): void {
  checkShape(given, ROTATION)
}

/**
 * Refuses to revoke one token without the token, without its client, or with a reach beside it.
 *
 * @throws RescindError `usage`
 */
export function checkRevocation(given: unknown): void {
  checkShape(given, REVOCATION)
}

/** @throws RescindError `usage` */
export function checkToken(token: unknown): void {
  checkShape({ token }, { token: TOKEN })
}

/** @throws RescindError `usage` */
export function checkExplained(what: unknown): void {
  checkShape({ what }, { what: EXPLAINED }, 'The argument')
}

/** @throws RescindError `usage` */
export function checkPage(after: unknown, limit: unknown): void {
  checkShape({ after, limit }, { after: POSITION, limit: COUNT }, 'The argument')
}

/**
 * Returns what a host grants a client, or refuses a scope that the client may not have, and a user who
 * is named like it: a resource server takes a token whose `sub` is its `client_id` for the client's own.
 *
 * @throws RescindError `usage`
 * @see https://www.rfc-editor.org/rfc/rfc9700#section-4.15
 */
export function checkGranted(
  userId: string,
  { id, scope }: Pick<Client, 'id' | 'scope'>,
  asked: string | null,
): string {
  if (userId === id) throw namedLikeClient(userId)
  const granted = scopeWithin({ scope }, asked)
  if (granted !== null) return granted
  throw new RescindError(
    'usage',
    `The scope "${asked}" is more than the client "${id}" may have: "${scope}". Grant that, or a part of it.`,
  )
}

/** What a host is told of a user who is named like the client. */
export function namedLikeClient(userId: string): RescindError {
  return new RescindError(
    'usage',
    `The user "${userId}" is named like the client that is to act for it, so that nobody could tell their tokens apart. Name one of them otherwise.`,
  )
}

/**
 * Returns what a host's `authorize` decided, or refuses it.
 *
 * @throws RescindError `usage`
 */
export function checkAuthorized(
  decided: Authorized,
  { client, scope: asked }: Pick<AuthorizeAsk, 'client' | 'scope'>,
): Authorized & { readonly scope: string } {
  checkShape(decided, AUTHORIZED, 'In what "authorize" returned,')
  const { userId, sessionId, scope = null } = decided
  return { userId, sessionId, scope: checkGranted(userId, { id: client.id, scope: asked }, scope) }
}
