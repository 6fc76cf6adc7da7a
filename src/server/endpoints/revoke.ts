import type { Core } from '../core.ts'
import type { Observer } from '../observer.ts'
import { refuse } from '../refusal.ts'
import { emptyAnswer, refusalAnswer } from '../wire/answers.ts'
import type { WireAnswer } from '../wire/message.ts'
import type { ClientRequest } from './client-endpoint.ts'

/**
 * RFC 7009. Revoked, dead before, unknown and another client's are one answer; the hint is not needed,
 * since a token tells its kind.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2.1
 */
export function serveRevocation({ revoking }: Core, observer?: Observer) {
  return async ({ client, form, request }: ClientRequest): Promise<WireAnswer> => {
    const token = form.get('token')
    if (token === undefined) {
      return refusalAnswer(refuse('invalid_request', 'The parameter token is missing.'))
    }
    const asked = { actor: `client:${client.id}`, request: request.header('x-request-id') }
    const outcome = await revoking.token({ token, clientId: client.id, asked })
    observer?.revoked(outcome)
    return emptyAnswer()
  }
}
