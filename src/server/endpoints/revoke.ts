import type { Handle } from '../../core/wire.ts'
import type { Core } from '../core.ts'
import type { Observer } from '../observer.ts'
import type { RevokeToken } from '../revoke.ts'
import { emptyAnswer, NO_TOKEN } from '../wire/answers.ts'
import type { ClientAuth } from '../wire/client-auth.ts'
import type { Cors } from '../wire/cors.ts'
import { type ClientRequest, seenClientEndpoint } from './client-endpoint.ts'

/**
 * RFC 7009. Revoked, dead before, unknown and another client's are one answer; the hint is not needed,
 * since a token tells its kind.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2.1
 */
export function serveRevocation(
  { revoking }: Core,
  auth: ClientAuth,
  cors: Cors,
  observer?: Observer,
): Handle {
  return seenClientEndpoint(
    auth,
    cors,
    async (request) => {
      const wanted = wantedOf(request)
      if (!wanted) return NO_TOKEN
      const revoked = await revoking.token(wanted)
      observer?.revoked(revoked)
      return emptyAnswer()
    },
    async (request) => {
      const wanted = wantedOf(request)
      const revoked = wanted && (await revoking.tokenIfUnchanged(wanted, request.client))
      if (!revoked) return null
      observer?.revoked(revoked)
      return emptyAnswer()
    },
  )
}

function wantedOf({ client, form, request }: ClientRequest): RevokeToken | null {
  const token = form.get('token')
  if (token === undefined) return null
  return {
    token,
    clientId: client.id,
    asked: { actor: `client:${client.id}`, request: request.id },
  }
}
