import type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
import { isRefusal, refuse } from '../refusal.ts'
import { methodAnswer, refusalAnswer } from '../wire/answers.ts'
import type { Caller } from '../wire/bearer.ts'
import { type JsonObject, parseJsonObject } from '../wire/strict-json.ts'

/** A name or two and a date fit a hundred times. */
const BODY_BYTES_MAX = 16_384
const JSON_TYPE = /^application\/json *(;|$)/i

export interface JsonRequest<C extends Pick<Caller, 'name'>> {
  readonly caller: C
  readonly body: JsonObject
  readonly request: WireRequest
}

type Authenticated<C> = { readonly caller: C } | { readonly answer: WireAnswer }

/** Returns an endpoint that takes a JSON object by POST from a caller with a key. */
export function jsonEndpoint<C extends Pick<Caller, 'name'>>(
  authenticate: (request: WireRequest) => Authenticated<C> | Promise<Authenticated<C>>,
  serve: (request: JsonRequest<C>) => Promise<WireAnswer>,
): Handle {
  return async (request) => {
    if (request.method !== 'POST') return methodAnswer('POST')
    const authenticated = await authenticate(request)
    if ('answer' in authenticated) return authenticated.answer
    const body = await readJson(request)
    return 'answer' in body ? body.answer : serve({ ...authenticated, ...body, request })
  }
}

async function readJson(
  request: WireRequest,
): Promise<{ readonly body: JsonObject } | { readonly answer: WireAnswer }> {
  if (request.query !== '') {
    const why = 'Parameters belong in the body, not in the address.'
    return { answer: refusalAnswer(refuse('invalid_request', why)) }
  }
  if (!JSON_TYPE.test(request.header('content-type') ?? '')) {
    const refusal = refuse('invalid_request', 'The body must be application/json.')
    return { answer: refusalAnswer(refusal, { status: 415 }) }
  }
  const text = await request.body(BODY_BYTES_MAX)
  if (text === null) {
    const refusal = refuse('invalid_request', 'The body is too large.')
    return { answer: refusalAnswer(refusal, { status: 413 }) }
  }
  const parsed = parseJsonObject(text)
  return isRefusal(parsed) ? { answer: refusalAnswer(parsed) } : parsed
}
