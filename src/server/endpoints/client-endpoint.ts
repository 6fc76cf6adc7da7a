import type { TokenView } from '../../store/authority/contract.ts'
import type { Client } from '../client-settings.ts'
import { refuse } from '../refusal.ts'
import { isLikeJwt, type Tokens } from '../tokens.ts'
import { methodAnswer, refusalAnswer } from '../wire/answers.ts'
import type { createClientAuth } from '../wire/client-auth.ts'
import type { Cors } from '../wire/cors.ts'
import { type Form, parseForm } from '../wire/form.ts'
import type { Handle, WireAnswer, WireRequest } from '../wire/message.ts'

/** The largest body that is read: a JWT with a few hundred scopes fits many times. */
const BODY_BYTES_MAX = 65_536
const FORM_TYPE = /^application\/x-www-form-urlencoded *(;|$)/i
const NO_FORM: Form = new Map()

export interface ClientRequest {
  readonly client: Client
  readonly form: Form
  readonly request: WireRequest
}

/** A request about one token, which is looked up while the client proves itself. */
export interface TokenRequest extends ClientRequest {
  /** Null for a token that is none of ours. */
  readonly view: TokenView | null
}

/**
 * Returns an endpoint that takes a form by POST from a client that proves itself: what `/token`,
 * `/revoke` and `/introspect` have in common.
 */
export function clientEndpoint(
  authenticate: ReturnType<typeof createClientAuth>,
  cors: Cors,
  serve: (request: ClientRequest) => Promise<WireAnswer>,
): Handle {
  return formEndpoint(authenticate, cors, () => undefined, serve)
}

/**
 * Returns a client endpoint that is about the token in its form. Look-ups change nothing, so that the
 * token's and the client's go together; what was found is used only when the client is who it says. That
 * of a JWT waits: checking a signature is too much work to do for strangers.
 */
export function tokenEndpoint(
  authenticate: ReturnType<typeof createClientAuth>,
  cors: Cors,
  tokens: Pick<Tokens, 'look'>,
  serve: (request: TokenRequest) => Promise<WireAnswer>,
): Handle {
  const begin = (form: Form) => {
    const token = form.get('token')
    if (token === undefined || isLikeJwt(token)) return undefined
    const look = tokens.look(token)
    // Its trouble is told below, and to nobody when the client is refused.
    look.catch(() => {})
    return look
  }
  return formEndpoint(authenticate, cors, begin, async (request, look) => {
    const token = request.form.get('token')
    if (token !== undefined) return serve({ ...request, view: await (look ?? tokens.look(token)) })
    return refusalAnswer(refuse('invalid_request', 'The parameter token is missing.'))
  })
}

/** @param begin what is begun while the client proves itself */
function formEndpoint<Begun>(
  authenticate: ReturnType<typeof createClientAuth>,
  cors: Cors,
  begin: (form: Form) => Begun,
  serve: (request: ClientRequest, begun: Begun) => Promise<WireAnswer>,
): Handle {
  return async (request) => {
    if (request.method === 'OPTIONS') return cors.preflight(request)
    if (request.method !== 'POST') return methodAnswer('POST')
    const form = await readForm(request)
    if ('status' in form) {
      // Who presents wrong credentials hears of those first.
      const early = request.header('authorization') && (await authenticate(request, NO_FORM))
      const answer = early && 'answer' in early ? early.answer : form
      return cors.allow(request, answer, null)
    }
    const begun = begin(form)
    const authenticated = await authenticate(request, form)
    if ('answer' in authenticated) return cors.allow(request, authenticated.answer, null)
    const { client } = authenticated
    const answer = await serve({ client, form, request }, begun)
    return request.header('origin') === undefined ? answer : cors.allow(request, answer, client)
  }
}

/** Reads the form of a request, or says why there is none. */
export async function readForm(request: WireRequest): Promise<Form | WireAnswer> {
  if (request.query !== '') {
    const why = 'Parameters belong in the body, not in the address.'
    return refusalAnswer(refuse('invalid_request', why))
  }
  const type = request.header('content-type')
  if (type !== undefined && !FORM_TYPE.test(type)) {
    const why = 'The body must be application/x-www-form-urlencoded.'
    return refusalAnswer(refuse('invalid_request', why), { status: 415 })
  }
  const text = await request.body(BODY_BYTES_MAX)
  if (text === null) {
    return refusalAnswer(refuse('invalid_request', 'The body is too large.'), { status: 413 })
  }
  if (type === undefined && text !== '') {
    return refusalAnswer(refuse('invalid_request', 'The request has no Content-Type.'))
  }
  const form = parseForm(text)
  return 'error' in form ? refusalAnswer(form) : form
}
