import { z } from 'zod'
import { isRescindError } from '../../core/errors.ts'
import type { Handle } from '../../core/wire.ts'
import type { AuthorityStore, EventRow } from '../../store/authority/contract.ts'
import { checkKeys } from '../check-shape.ts'
import type { Core } from '../core.ts'
import { publicEvent } from '../public-event.ts'
import { parseReach, REACH } from '../reach.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import type { RevokeReach } from '../revoke.ts'
import { jsonAnswer, methodAnswer, refusalAnswer } from '../wire/answers.ts'
import type { Caller, createBearerAuth } from '../wire/bearer.ts'
import { parseForm } from '../wire/form.ts'
import type { JsonObject } from '../wire/strict-json.ts'
import { jsonEndpoint } from './json-endpoint.ts'

const EVENTS_DEFAULT = 100
/** A page of about half a megabyte. */
const EVENTS_MAX = 1_000
const POSITION = /^[\w-]{1,64}$/
/** A moment with its zone; without one it would be another moment on another server. */
const moment = z.iso.datetime({ offset: true })

/**
 * Revokes everything of a user, a client, both, a session, a grant, or all that was issued before a
 * moment: `{"user": "u1"}`. Of a client or a grant that is not known `revoked` is false. With `"dryRun": true` it kills
 * nothing and counts: no kill waits for a count.
 */
export function serveAdminRevocation(
  { revoking, clock }: Core,
  authenticate: ReturnType<typeof createBearerAuth<Caller>>,
): Handle {
  return jsonEndpoint(authenticate, async ({ caller, body, request }) => {
    const { dryRun = false } = body
    if (typeof dryRun !== 'boolean') {
      return refusalAnswer(refuse('invalid_request', 'dryRun must be true or false.'))
    }
    const reach = reachIn(body, clock.now())
    if (isRefusal(reach)) return refusalAnswer(reach)
    if (dryRun) return jsonAnswer({ counted: await revoking.count(reach), revoked: false })
    const asked = { actor: caller.name, request: request.id }
    return jsonAnswer({ revoked: await revoking.reach(reach, 'admin', asked) })
  })
}

/** In JSON a moment is a text. */
function reachIn(body: JsonObject, now: number): RevokeReach | Refusal {
  const { dryRun, ...named } = body
  const { issuedBefore } = named
  if (issuedBefore !== undefined && !moment.safeParse(issuedBefore).success) {
    return refuse('invalid_request', 'issuedBefore must be a moment like 2026-01-31T12:00:00Z.')
  }
  const before = issuedBefore === undefined ? {} : { issuedBefore: new Date(String(issuedBefore)) }
  try {
    checkKeys(body, { ...REACH, dryRun })
    return parseReach({ ...named, ...before }, now)
  } catch (error) {
    if (!isRescindError(error, 'usage')) throw error
    return refuse('invalid_request', error.message)
  }
}

/** Lists events after a position: `?after=&limit=`; `next` is where to go on. */
export function serveAdminEvents(
  { store }: Core,
  authenticate: ReturnType<typeof createBearerAuth<Caller>>,
): Handle {
  return async (request) => {
    if (request.method !== 'GET') return methodAnswer('GET')
    const authenticated = authenticate(request)
    if ('answer' in authenticated) return authenticated.answer
    const page = pageIn(request.query)
    if ('error' in page) return refusalAnswer(page)
    const events = await readEvents(store, page)
    if ('error' in events) return refusalAnswer(events)
    const next = events.at(-1)?.position ?? page.after
    return jsonAnswer({ events: events.map(publicEvent), next })
  }
}

interface Page {
  readonly after: string | null
  readonly limit: number
}

/** A position has the form that its store gave it: only the store can say that it is none. */
async function readEvents(
  store: AuthorityStore,
  { after, limit }: Page,
): Promise<readonly EventRow[] | Refusal> {
  try {
    return await store.readEvents(after, limit)
  } catch (error) {
    if (!isRescindError(error, 'usage')) throw error
    return refuse('invalid_request', 'after must be the position of an event.')
  }
}

function pageIn(query: string): Page | Refusal {
  const form = parseForm(query)
  if ('error' in form) return form
  if ([...form.keys()].some((key) => key !== 'after' && key !== 'limit')) {
    return refuse('invalid_request', 'Known parameters are after and limit.')
  }
  const after = form.get('after') ?? null
  if (after !== null && !POSITION.test(after)) {
    return refuse('invalid_request', 'after must be the position of an event.')
  }
  const limit = form.get('limit') ?? String(EVENTS_DEFAULT)
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > EVENTS_MAX) {
    return refuse('invalid_request', `limit must be a number from 1 to ${EVENTS_MAX}.`)
  }
  return { after, limit: Number(limit) }
}
