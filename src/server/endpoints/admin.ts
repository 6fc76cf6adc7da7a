import { z } from 'zod'
import { isRescindError } from '../../core/errors.ts'
import type { AuthorityStore, EventRow } from '../../store/authority/contract.ts'
import type { Core } from '../core.ts'
import { publicEvent } from '../public-event.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import type { RevokeReach } from '../revoke.ts'
import { jsonAnswer, methodAnswer, refusalAnswer } from '../wire/answers.ts'
import type { Caller, createBearerAuth } from '../wire/bearer.ts'
import { parseForm } from '../wire/form.ts'
import type { Handle } from '../wire/message.ts'
import { jsonEndpoint } from './json-endpoint.ts'

const EVENTS_DEFAULT = 100
/** A page of about half a megabyte. */
const EVENTS_MAX = 1_000
const POSITION = /^[\w-]{1,64}$/
/** Longer than any id that a host gives a user or a session. */
const NAME_LENGTH_MAX = 512
const CLIENT_ID = /^[\x21-\x7e]{1,200}$/

const name = (key: string) =>
  z
    .string(`${key} must be a string.`)
    .refine(isName, `${key} must be a name of 1 to ${NAME_LENGTH_MAX} printable characters.`)

const revocation = z.strictObject(
  {
    user: name('user').optional(),
    client: z
      .string('client must be a string.')
      .regex(CLIENT_ID, 'client must be a client id.')
      .optional(),
    session: name('session').optional(),
    grant: z
      .int('grant must be the number of a grant.')
      .positive('grant must be the number of a grant.')
      .optional(),
    issuedBefore: z.iso
      .datetime({ offset: true, error: 'issuedBefore must be a moment like 2026-01-31T12:00:00Z.' })
      .optional(),
    dryRun: z.boolean('dryRun must be true or false.').optional(),
  },
  'Known keys are user, client, session, grant, issuedBefore and dryRun.',
)
type Revocation = z.infer<typeof revocation>

/** Says whether a text can be the name of a user or a session: no control characters, no broken pairs. */
export function isName(text: string): boolean {
  const isShort = text.length > 0 && text.length <= NAME_LENGTH_MAX
  return isShort && text.isWellFormed() && !/\p{Cc}/u.test(text)
}

/**
 * Revokes everything of a user, a client, both, a session, a grant, or all that was issued before a
 * moment: `{"user": "u1"}`. With `"dryRun": true` it kills nothing and counts: no kill waits for a count.
 */
export function serveAdminRevocation(
  { revoking, clock }: Core,
  authenticate: ReturnType<typeof createBearerAuth<Caller>>,
): Handle {
  return jsonEndpoint(authenticate, async ({ caller, body, request }) => {
    const parsed = revocation.safeParse(body)
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      return refusalAnswer(refuse('invalid_request', issue?.message ?? 'The body is wrong.'))
    }
    const reach = reachIn(parsed.data, clock.now())
    if (isRefusal(reach)) return refusalAnswer(reach)
    if (parsed.data.dryRun) {
      return jsonAnswer({ counted: await revoking.count(reach), revoked: false })
    }
    await revoking.reach(reach, 'admin', { actor: caller.name, request: request.id })
    return jsonAnswer({ revoked: true })
  })
}

/** What the body names: exactly one thing, or a user at a client; a moment narrows the wide ones. */
function reachIn(asked: Revocation, now: number): RevokeReach | Refusal {
  const { user, client, session, grant } = asked
  const issuedBefore = asked.issuedBefore === undefined ? undefined : new Date(asked.issuedBefore)
  if (issuedBefore && issuedBefore.getTime() > now) {
    // It would kill what is issued until then, too.
    return refuse('invalid_request', 'issuedBefore must not lie in the future.')
  }
  const before = issuedBefore ? { issuedBefore } : {}
  const isNarrow = session !== undefined || grant !== undefined
  const isWide = user !== undefined || client !== undefined || issuedBefore !== undefined
  if (isNarrow && (isWide || (session !== undefined && grant !== undefined))) {
    return refuse('invalid_request', 'A session or a grant stands alone.')
  }
  if (session !== undefined) return { session }
  if (grant !== undefined) return { grant }
  if (user !== undefined) return { user, ...(client === undefined ? {} : { client }), ...before }
  if (client !== undefined) return { client, ...before }
  if (issuedBefore) return { issuedBefore }
  return refuse('invalid_request', 'Name a user, client, session, grant or issuedBefore.')
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
