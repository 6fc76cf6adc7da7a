import * as oauth from 'oauth4webapi'
import { type Clock, systemClock } from '../core/clock.ts'
import { parseRetryAfter } from '../core/http.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Proof } from '../core/proof.ts'
import type { Secret } from '../core/secret.ts'
import { type OAuthClient, openClientAuth, wireClient } from './client-auth.ts'
import type { ServerMetadata } from './discovery.ts'
import { type OAuthErrorBody, readOAuthError } from './oauth-error.ts'
import { captureRequest, type OAuthRequest, type Way, wayOptions } from './oauth-request.ts'

/** What the caller knows of a token's type. @see RFC 7009 section 2.1 */
export const TOKEN_TYPE_HINTS = ['access_token', 'refresh_token'] as const

export type TokenTypeHint = (typeof TOKEN_TYPE_HINTS)[number]

/** One revocation, not yet sent. */
export interface RevocationRequest {
  readonly server: ServerMetadata
  readonly client: OAuthClient
  readonly token: Secret
  readonly hint?: TokenTypeHint | undefined
}

/** What one answer of a revocation endpoint is worth. */
export interface RevocationAnswer {
  readonly outcome: Outcome
  readonly proof: Proof
  /** The server's error code, or the HTTP status as `http_503`; safe to print. */
  readonly code: string
  /** The server's own words, without secrets; absent when it says nothing. */
  readonly description?: string | undefined
  /** How long the server asks to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** The request had no effect for want of capacity: it may be sent again, later. */
  readonly busy: boolean
  /** The client's own credential is the trouble. */
  readonly credentialTrouble: boolean
}

/**
 * Asks: sends one revocation and returns what came back, whatever its status.
 *
 * @throws RescindError `key_invalid`, or one of the HTTP codes
 * @see RFC 7009 section 2.1
 */
export async function sendRevocation(request: RevocationRequest, way: Way): Promise<Response> {
  const { server, client, token, hint } = request
  // Many servers publish these for the token endpoint alone, and mean them for all.
  const algorithms =
    server.revocation_endpoint_auth_signing_alg_values_supported ??
    server.token_endpoint_auth_signing_alg_values_supported
  return await oauth.revocationRequest(
    server,
    wireClient(client),
    await openClientAuth(client, algorithms),
    token.reveal(),
    { ...wayOptions(way), ...(hint && { additionalParameters: { token_type_hint: hint } }) },
  )
}

/** Returns the very request that {@link sendRevocation} sends, without sending it. */
export function buildRevocation(request: RevocationRequest): Promise<OAuthRequest> {
  return captureRequest((way) => sendRevocation(request, way))
}

/**
 * Judges: says what one answer of a revocation endpoint is worth. A 2xx is `acked` and never more,
 * for a server answers 200 to tokens that it does not know, too.
 *
 * @see RFC 7009 sections 2.2 and 2.2.1
 */
export async function processRevocationResponse(
  response: Response,
  clock: Pick<Clock, 'now'> = systemClock,
): Promise<RevocationAnswer> {
  const body = await readOAuthError(response)
  const { status } = response
  const retryAfter = response.headers.get('retry-after')
  const judged = status >= 200 && status < 300 ? judgeYes(status, body) : judgeNo(status, body)
  return {
    ...judged,
    code: judged.code ?? body.error ?? `http_${status}`,
    description: body.description,
    retryAfterMs: parseRetryAfter(retryAfter, clock.now(), response.headers.get('date')),
    busy: judged.busy ?? false,
    credentialTrouble: judged.credentialTrouble ?? false,
  }
}

interface Judged {
  readonly outcome: Outcome
  readonly proof: Proof
  readonly code?: string
  readonly busy?: boolean
  readonly credentialTrouble?: boolean
}

function judgeYes(status: number, body: OAuthErrorBody): Judged {
  // A page with a 200 is what a single-page application answers to any address.
  if (body.isWebPage) return { outcome: 'in_doubt', proof: 'sent', code: 'web_page' }
  // Keycloak answers 200 with {"error":"invalid_token"} for a token that it does not know.
  if (body.error === 'invalid_token') return { outcome: 'already_dead', proof: 'acked' }
  if (body.error !== undefined) return { outcome: 'refused', proof: 'sent' }
  return { outcome: status === 202 ? 'queued' : 'revoked', proof: 'acked' }
}

function judgeNo(status: number, body: OAuthErrorBody): Judged {
  switch (body.error) {
    case 'invalid_token':
      // With 401 it is about a bearer credential of ours, not about the token to revoke.
      if (status !== 400) break
      // Google and Zoho say so of a token that is dead, and of one that is mangled.
      return { outcome: 'already_dead', proof: 'sent' }
    case 'unsupported_token_type':
      return { outcome: 'irrevocable', proof: 'sent' }
    case 'invalid_client':
    case 'unauthorized_client':
    case 'access_denied':
      return { outcome: 'refused', proof: 'sent', credentialTrouble: true }
    case 'temporarily_unavailable':
      return { outcome: 'failed', proof: 'sent', busy: true }
    case 'server_error':
      return { outcome: 'in_doubt', proof: 'sent' }
  }
  return judgeStatus(status, body)
}

function judgeStatus(status: number, body: OAuthErrorBody): Judged {
  // RFC 7009 section 2.2.1: the client must assume that the token still exists.
  if (status === 503 || status === 429) return { outcome: 'failed', proof: 'sent', busy: true }
  if (status >= 500) return { outcome: 'in_doubt', proof: 'sent' }
  if (status === 401 || status === 403) {
    return { outcome: 'refused', proof: 'sent', credentialTrouble: true }
  }
  // What names an OAuth error was understood and refused; the rest never reached such an endpoint.
  return { outcome: body.error === undefined ? 'failed' : 'refused', proof: 'sent' }
}
