import { SignJWT } from 'jose'
import { isPublic } from '../client-settings.ts'
import type { Core } from '../core.ts'
import { type Introspection, introspectFound } from '../introspect.ts'
import { refuse } from '../refusal.ts'
import { jsonAnswer, refusalAnswer } from '../wire/answers.ts'
import type { WireAnswer } from '../wire/message.ts'
import type { TokenRequest } from './client-endpoint.ts'

const SIGNED_TYPE = 'application/token-introspection+jwt'

/**
 * RFC 7662, and RFC 9701 where the caller accepts a signed answer.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7662#section-2
 */
export function serveIntrospection(core: Core) {
  return async ({ client, view, request }: TokenRequest): Promise<WireAnswer> => {
    // Anybody can name a public client: it would be an endpoint for guessing tokens.
    if (isPublic(client)) {
      return refusalAnswer(refuse('invalid_client', 'A public client cannot introspect tokens.'))
    }
    const introspection = introspectFound(core, view, client)
    const isSigned = request.header('accept')?.includes(SIGNED_TYPE) === true
    return isSigned ? signedAnswer(core, client.id, introspection) : jsonAnswer(introspection)
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc9701#section-5 */
async function signedAnswer(
  { issuer, keys, clock }: Core,
  audience: string,
  introspection: Introspection,
): Promise<WireAnswer> {
  const { kid, alg, privateKey } = await keys.current()
  const body = await new SignJWT({ token_introspection: { ...introspection } })
    .setProtectedHeader({ alg, kid, typ: 'token-introspection+jwt' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(Math.floor(clock.now() / 1000))
    .sign(privateKey)
  const { headers } = jsonAnswer(null)
  return { status: 200, headers: { ...headers, 'content-type': SIGNED_TYPE }, body }
}
