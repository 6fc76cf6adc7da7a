import { z } from 'zod'
import { RescindError } from '../../core/errors.ts'
import type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
import type { Core } from '../core.ts'
import { isName } from '../names.ts'
import { parseReach } from '../reach.ts'
import { refuse } from '../refusal.ts'
import { refusalAnswer } from '../wire/answers.ts'
import type { Caller, createBearerAuth } from '../wire/bearer.ts'
import { jsonEndpoint } from './json-endpoint.ts'
import { endpointPaths } from './paths.ts'
import { createSignedAuth, type SigningCaller } from './signed-caller.ts'

const text = z.string().refine(isName)
const subjectIdentifier = z.discriminatedUnion('format', [
  z.strictObject({ format: z.literal('iss_sub'), iss: text, sub: text }),
  z.strictObject({ format: z.literal('opaque'), id: text }),
  z.strictObject({ format: z.literal('email'), email: text }),
])

/** Whom a caller means, by RFC 9493 section 3.2. */
export type SubjectIdentifier = z.infer<typeof subjectIdentifier>

/** Who may ask that all of a user be revoked: an identity provider, an incident tool. */
export interface GlobalRevocationCaller extends Caller {
  /** Whose users it may name; null where there is but one tenant. */
  readonly tenant: string | null
}

export interface GlobalRevocationOptions {
  readonly callers: readonly GlobalRevocationCaller[]
  /** Callers without a key, who sign each request: Okta's Universal Logout knows no other way. */
  readonly signers?: readonly SigningCaller[] | undefined
  /**
   * Finds the user that a subject means, among those of the caller's tenant; null when there is none.
   * Without it a subject is a user's id itself, as `opaque` or as `iss_sub` of this issuer.
   */
  readonly resolveSubject?:
    | ((subject: SubjectIdentifier, tenant: string | null) => Promise<string | null>)
    | undefined
}

type Named = Pick<GlobalRevocationCaller, 'name' | 'tenant'>

const NO_CONTENT: WireAnswer = { status: 204, headers: { 'cache-control': 'no-store' }, body: '' }

/**
 * Global Token Revocation: all grants of a user, in one write. The body's key is `sub_id`, or
 * `subject` as in the older drafts.
 *
 * @throws RescindError `usage` when callers of tenants could name each other's users
 * @see https://datatracker.ietf.org/doc/draft-parecki-oauth-global-token-revocation/
 */
export function serveGlobalRevocation(
  core: Core,
  { callers, signers = [], resolveSubject }: GlobalRevocationOptions,
  authenticate: ReturnType<typeof createBearerAuth<GlobalRevocationCaller>>,
): Handle {
  const { issuer, revoking, clock } = core
  if (!resolveSubject && [...callers, ...signers].some(({ tenant }) => tenant !== null)) {
    throw new RescindError(
      'usage',
      'globalRevocation has callers of a tenant: give it "resolveSubject", which knows whose user is whose.',
    )
  }
  const resolve = resolveSubject ?? (async (subject) => ownUser(subject, issuer))
  const audience = new URL(endpointPaths(issuer).globalRevocation, issuer).href
  const signed = createSignedAuth(core, signers, audience)
  const authenticateEither = async (request: WireRequest) =>
    (await signed(request)) ?? authenticate(request)
  return jsonEndpoint<Named>(authenticateEither, async ({ caller, body, request }) => {
    const { sub_id, subject } = body
    if ((sub_id === undefined) === (subject === undefined)) {
      return refusalAnswer(refuse('invalid_request', 'Name the user once, as sub_id.'))
    }
    const parsed = subjectIdentifier.safeParse(sub_id ?? subject)
    if (!parsed.success) {
      const why = 'sub_id must be a subject identifier of format iss_sub, opaque or email.'
      return refusalAnswer(refuse('invalid_request', why))
    }
    const user = await resolve(parsed.data, caller.tenant)
    if (user === null) {
      return refusalAnswer(refuse('invalid_request', 'The user is not known.'), { status: 404 })
    }
    const asked = { actor: `caller:${caller.name}`, request: request.id }
    // The user is the host's own word: an undefined one must not be answered as if it were dead.
    const reach = parseReach({ user }, clock.now())
    await revoking.reach(reach, 'global_token_revocation', asked)
    return NO_CONTENT
  })
}

/** What no function of the host tells, the subject must: an address of mail is no user's id. */
function ownUser(subject: SubjectIdentifier, issuer: string): string | null {
  switch (subject.format) {
    case 'opaque':
      return subject.id
    case 'iss_sub':
      return subject.iss === issuer ? subject.sub : null
    case 'email':
      return null
  }
}
