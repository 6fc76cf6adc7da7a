import { SignJWT } from 'jose'
import type { Handle, WireAnswer } from '../../core/wire.ts'
import { isPublic } from '../client-settings.ts'
import type { Core } from '../core.ts'
import type { Introspection } from '../introspect.ts'
import { refuse } from '../refusal.ts'
import { jsonAnswer, NO_TOKEN, refusalAnswer } from '../wire/answers.ts'
import type { ClientAuth } from '../wire/client-auth.ts'
import type { Cors } from '../wire/cors.ts'
import { type ClientRequest, seenClientEndpoint } from './client-endpoint.ts'

const SIGNED_TYPE = 'application/token-introspection+jwt'

/**
 * RFC 7662, and RFC 9701 where the caller accepts a signed answer.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7662#section-2
 */
export function serveIntrospection(core: Core, auth: ClientAuth, cors: Cors): Handle {
  const { introspecting } = core
  return seenClientEndpoint(
    auth,
    cors,
    async (request) => {
      const { client, form } = request
      const token = form.get('token')
      if (token === undefined) return NO_TOKEN
      // Anybody can name a public client: it would be an endpoint for guessing tokens.
      if (isPublic(client)) {
        return refusalAnswer(refuse('invalid_client', 'A public client cannot introspect tokens.'))
      }
      return answerOf(core, request, await introspecting.token(token, client))
    },
    async (request) => {
      const { client, form } = request
      const token = form.get('token')
      if (token === undefined || isPublic(client)) return null
      const introspection = await introspecting.tokenIfUnchanged(token, client)
      return introspection && answerOf(core, request, introspection)
    },
  )
}

function answerOf(
  core: Core,
  { client, request }: ClientRequest,
  introspection: Introspection,
): WireAnswer | Promise<WireAnswer> {
  const isSigned = request.header('accept')?.includes(SIGNED_TYPE) === true
  return isSigned ? signedAnswer(core, client.id, introspection) : jsonAnswer(introspection)
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
