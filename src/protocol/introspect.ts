import * as oauth from 'oauth4webapi'
import type { Secret } from '../core/secret.ts'
import { type OAuthClient, openClientAuth, wireClient } from './client-auth.ts'
import type { ServerMetadata } from './discovery.ts'
import { readOAuthError } from './oauth-error.ts'
import { captureRequest, type OAuthRequest, type Way, wayOptions } from './oauth-request.ts'
import type { TokenTypeHint } from './revoke.ts'

/** What one look at a token shows. `unclear`: the look itself went wrong. */
export interface LifeSign {
  readonly life: 'alive' | 'dead' | 'unclear'
  /** The server's code, or the HTTP status; safe to print. */
  readonly code: string
}

/** One introspection, not yet sent. */
export interface IntrospectionRequest {
  readonly server: ServerMetadata
  readonly client: OAuthClient
  readonly token: Secret
  readonly hint?: TokenTypeHint | undefined
}

/**
 * Asks: sends one introspection and returns what came back, whatever its status.
 *
 * @throws RescindError `key_invalid`, or one of the HTTP codes
 * @see RFC 7662 section 2.1
 */
export async function sendIntrospection(
  request: IntrospectionRequest,
  way: Way,
): Promise<Response> {
  const { server, client, token, hint } = request
  const algorithms =
    server.introspection_endpoint_auth_signing_alg_values_supported ??
    server.token_endpoint_auth_signing_alg_values_supported
  return await oauth.introspectionRequest(
    server,
    wireClient(client),
    await openClientAuth(client, algorithms),
    token.reveal(),
    { ...wayOptions(way), ...(hint && { additionalParameters: { token_type_hint: hint } }) },
  )
}

/** Returns the very request that {@link sendIntrospection} sends, without sending it. */
export function buildIntrospection(request: IntrospectionRequest): Promise<OAuthRequest> {
  return captureRequest((way) => sendIntrospection(request, way))
}

/**
 * Judges: says what an introspection shows. Only a 200 with a boolean `active` is a sign of life or
 * death; anything else, an error included, shows nothing.
 *
 * @see RFC 7662 section 2.2
 */
export async function processIntrospectionResponse(
  request: Pick<IntrospectionRequest, 'server' | 'client'>,
  response: Response,
): Promise<LifeSign> {
  if (response.status !== 200) {
    const { error } = await readOAuthError(response)
    return { life: 'unclear', code: error ?? `http_${response.status}` }
  }
  try {
    const { server, client } = request
    const said = await oauth.processIntrospectionResponse(server, wireClient(client), response)
    return said.active ? { life: 'alive', code: 'active' } : { life: 'dead', code: 'inactive' }
  } catch {
    return { life: 'unclear', code: 'answer_invalid' }
  }
}
