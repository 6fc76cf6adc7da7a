import type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
import type { Client } from '../client-settings.ts'
import { refuse } from '../refusal.ts'
import { methodAnswer, refusalAnswer } from '../wire/answers.ts'
import type { ClientAuth } from '../wire/client-auth.ts'
import type { Cors } from '../wire/cors.ts'
import { type Form, parseForm } from '../wire/form.ts'

/** The largest body that is read: a JWT with a few hundred scopes fits many times. */
const BODY_BYTES_MAX = 65_536
const FORM_TYPE = /^application\/x-www-form-urlencoded *(;|$)/i
const NO_FORM: Form = new Map()

export interface ClientRequest {
  readonly client: Client
  readonly form: Form
  readonly request: WireRequest
}

type Serve = (request: ClientRequest) => Promise<WireAnswer>

/** An answer, and to which client; null before it has proven itself. */
interface Served {
  readonly client: Client | null
  readonly answer: WireAnswer
}

/**
 * Returns an endpoint that takes a form by POST from a client that proves itself: what `/token`,
 * `/revoke` and `/introspect` have in common.
 */
export function clientEndpoint(auth: ClientAuth, cors: Cors, serve: Serve): Handle {
  return formEndpoint(auth, cors, (request, form) => proveAndServe(auth, request, form, serve))
}

/**
 * Returns a client endpoint that answers a client at once which proves itself as it was last seen: its
 * look-up goes together with what `serveSeen` does in the store.
 *
 * @param serveSeen returns null where the client has changed since, and has done nothing then
 */
export function seenClientEndpoint(
  auth: ClientAuth,
  cors: Cors,
  serve: Serve,
  serveSeen: (request: ClientRequest) => Promise<WireAnswer | null>,
): Handle {
  return formEndpoint(auth, cors, (request, form) => {
    const client = auth.asSeen(request, form)
    if (!client) return proveAndServe(auth, request, form, serve)
    return serveSeen({ client, form, request }).then((answer) =>
      answer ? { client, answer } : proveAndServe(auth, request, form, serve),
    )
  })
}

async function proveAndServe(
  auth: ClientAuth,
  request: WireRequest,
  form: Form,
  serve: Serve,
): Promise<Served> {
  const proven = await auth.prove(request, form)
  if ('answer' in proven) return { client: null, answer: proven.answer }
  const { client } = proven
  return { client, answer: await serve({ client, form, request }) }
}

function formEndpoint(
  auth: ClientAuth,
  cors: Cors,
  serve: (request: WireRequest, form: Form) => Promise<Served>,
): Handle {
  return async (request) => {
    if (request.method === 'OPTIONS') return cors.preflight(request)
    if (request.method !== 'POST') return methodAnswer('POST')
    const form = headFlaw(request) ?? formOf(request, await request.body(BODY_BYTES_MAX))
    if ('status' in form) {
      // Who presents wrong credentials hears of those first.
      const early = request.header('authorization') && (await auth.prove(request, NO_FORM))
      const answer = early && 'answer' in early ? early.answer : form
      return cors.allow(request, answer, null)
    }
    const { client, answer } = await serve(request, form)
    return request.header('origin') === undefined ? answer : cors.allow(request, answer, client)
  }
}

/** Says why a request has no form, by what stands before its body. */
function headFlaw(request: WireRequest): WireAnswer | null {
  if (request.query !== '') {
    const why = 'Parameters belong in the body, not in the address.'
    return refusalAnswer(refuse('invalid_request', why))
  }
  const type = request.header('content-type')
  if (type === undefined || FORM_TYPE.test(type)) return null
  const why = 'The body must be application/x-www-form-urlencoded.'
  return refusalAnswer(refuse('invalid_request', why), { status: 415 })
}

/** Reads a form, or says why there is none. */
function formOf(request: WireRequest, body: string | null): Form | WireAnswer {
  if (body === null) {
    return refusalAnswer(refuse('invalid_request', 'The body is too large.'), { status: 413 })
  }
  if (body !== '' && request.header('content-type') === undefined) {
    return refusalAnswer(refuse('invalid_request', 'The request has no Content-Type.'))
  }
  const form = parseForm(body)
  return 'error' in form ? refusalAnswer(form) : form
}
