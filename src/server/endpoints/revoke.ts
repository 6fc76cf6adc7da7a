import type { Core } from '../core.ts'
import type { Observer } from '../observer.ts'
import { emptyAnswer } from '../wire/answers.ts'
import type { WireAnswer } from '../wire/message.ts'
import type { TokenRequest } from './client-endpoint.ts'

/**
 * RFC 7009. Revoked, dead before, unknown and another client's are one answer; the hint is not needed,
 * since a token tells its kind.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2.1
 */
export function serveRevocation({ revoking }: Core, observer?: Observer) {
  return async ({ client, view, request }: TokenRequest): Promise<WireAnswer> => {
    const asked = { actor: `client:${client.id}`, request: request.id }
    const outcome = await revoking.found(view, client.id, asked)
    observer?.revoked(outcome)
    return emptyAnswer()
  }
}
