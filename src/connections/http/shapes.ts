import { z } from 'zod'
import { evictsOldest } from '../budget.ts'
import type { Cause, Connection, ConnectionEvent } from '../connection.ts'
import { isPrintable, OWNER_LENGTH_MAX, TAG, TAGS_MAX } from '../names.ts'
import type { Invitation, ReconnectOutcome } from '../reauthorize.ts'

const PAGE_MAX = 500
const PAGE_DEFAULT = 100
/** Codes are a few hundred characters at most vendors; Microsoft's have over a thousand. */
const CODE_LENGTH_MAX = 4_096

const STATES = [
  ...(['connected', 'degraded', 'reconnect_needed', 'reconnecting'] as const),
  ...(['disabled', 'revoked'] as const),
] as const satisfies readonly Connection['state'][]

const CAUSES = [
  ...(['revoked_or_expired', 'rotated_token_lost', 'no_refresh_token'] as const),
  ...(['identity_changed', 'scopes_lost', 'our_client_refused', 'provider_down'] as const),
  ...(['network', 'rate_limited', 'forbidden', 'malformed_answer', 'store_failed'] as const),
  ...(['no_probe', 'not_configured', 'issuer_mismatch', 'by_us', 'by_owner'] as const),
] as const satisfies readonly Cause['code'][]

const EVENT_TYPES = [
  ...(['connection.created', 'connection.degraded', 'connection.needs_reauth'] as const),
  ...(['connection.reconnecting', 'connection.healed', 'connection.reconnected'] as const),
  ...(['connection.disabled', 'connection.enabled', 'connection.revoked'] as const),
  ...(['connection.refreshed', 'connection.budget_low', 'connection.reconnect_failed'] as const),
  ...(['connection.connected', 'connection.tagged', 'connection.untagged'] as const),
] as const satisfies readonly ConnectionEvent['type'][]

const moment = z.iso.datetime()
const idOf = (name: string) =>
  z.string().regex(/^con_[0-9a-z]{10}$/, `${name} must be the id of a connection.`)
const connectionId = idOf('id')
const eventId = z.string().regex(/^cev_\d{1,15}$/, 'after must be the id of an event.')
const tag = z
  .string('tags must be words.')
  .regex(TAG, 'A tag has 1 to 64 letters, digits and the signs . : _ -')

const text = (name: string, lengthMax: number) =>
  z.string(`${name} must be a text.`).max(lengthMax, `${name} has ${lengthMax} characters at most.`)
const filled = (name: string, lengthMax: number) =>
  text(name, lengthMax).min(1, `${name} must not be empty.`)

const causeShape = z.strictObject({
  code: z.enum(CAUSES),
  confidence: z.enum(['certain', 'likely', 'possible']),
  text: z.string(),
})

/** A connection, as the API shows it: without its tokens. */
export const connectionShape = z.strictObject({
  id: connectionId,
  tenant: z.string(),
  provider: z.string(),
  owner: z.string(),
  tags: z.array(z.string()),
  state: z.enum(STATES),
  cause: causeShape.nullable(),
  scopes: z.array(z.string()).describe('What was granted; empty where it is not known'),
  identity: z
    .strictObject({ user: z.string(), org: z.string(), name: z.string().nullable() })
    .nullable(),
  version: z.int(),
  accessExpiresAt: moment.nullable(),
  createdAt: moment,
  changedAt: moment,
  checkedAt: moment.nullable(),
})

export const connectionsShape = z.strictObject({
  connections: z.array(connectionShape),
  next: z.string().nullable().describe('Where to go on; null at the end'),
})

const eventShape = z.strictObject({
  id: eventId,
  at: moment,
  connection: connectionId,
  type: z.enum(EVENT_TYPES),
  from: z.enum(STATES).nullable(),
  to: z.enum(STATES),
  cause: causeShape.nullable(),
})

export const eventsShape = z.strictObject({
  events: z.array(eventShape),
  next: z.string().describe('Where to go on, now or later'),
})

export const linkShape = z.strictObject({
  url: z
    .url()
    .describe('Where the owner consents. Who has it can bring a grant: send it to the owner alone'),
  expiresAt: moment,
  budget: z
    .strictObject({
      live: z.int(),
      max: z.int(),
      complete: z
        .boolean()
        .describe('False where the provider did not count: at least so many live'),
      evictsOldest: z.boolean().nullable().describe('Null where it is not known'),
    })
    .nullable()
    .describe(
      'Live tokens of this user and app before the new grant, and whether that one ends the oldest; null where nobody says',
    ),
})

export const disconnectedShape = z.strictObject({
  connection: connectionShape,
  revokedAtProvider: z.enum(['yes', 'no', 'unknown']),
  why: z.string(),
  mayLive: z.boolean().describe('Whether the grant may live on; then it can be asked for again'),
  leftAlone: z
    .boolean()
    .describe('Whether it may for the sake of other connections alone: then end those first'),
})

export const appliedShape = z.strictObject({
  connection: connectionShape,
  changes: z.array(z.string()),
})

export const errorShape = z.strictObject({
  error: z.strictObject({
    code: z.string().describe('Stable; of docs/errors.md, or the kind of a reconnect'),
    message: z.string().describe('One sentence'),
  }),
})

export const newConnectionShape = z.strictObject(
  {
    tenant: z
      .string('tenant must be the name of a tenant.')
      .max(64, 'tenant has 64 characters at most.'),
    owner: filled('owner', OWNER_LENGTH_MAX)
      .refine((text) => text.trim() !== '', 'owner must not be empty.')
      .refine(isPrintable, 'owner must be printable.'),
    tags: z
      .array(tag, 'tags must be a list of words.')
      .max(TAGS_MAX, `There are more than ${TAGS_MAX} tags.`)
      .default([]),
  },
  'Known keys are tenant, owner and tags.',
)

export const codeShape = z.strictObject(
  {
    state: filled('state', CODE_LENGTH_MAX),
    code: filled('code', CODE_LENGTH_MAX).optional(),
    error: filled('error', 200).optional(),
    iss: text('iss', CODE_LENGTH_MAX).optional(),
  },
  'Known keys are state, code, error and iss.',
)

const LIMIT = `limit must be a number from 1 to ${PAGE_MAX}.`
const limit = z.coerce.number(LIMIT).int(LIMIT).min(1, LIMIT).max(PAGE_MAX, LIMIT)

export const listQuery = z.strictObject(
  {
    after: idOf('after').optional(),
    limit: limit.default(PAGE_DEFAULT),
    tenant: text('tenant', 64).optional(),
    owner: text('owner', OWNER_LENGTH_MAX).optional(),
    state: z.enum(STATES, `state must be one of ${STATES.join(', ')}.`).optional(),
    tag: tag.optional(),
  },
  'Known parameters are after, limit, tenant, owner, state and tag.',
)

export const eventsQuery = z.strictObject(
  { after: eventId.default('cev_0'), limit: limit.default(PAGE_DEFAULT) },
  'Known parameters are after and limit.',
)

export const idShape = z.strictObject({ id: connectionId })

/** Shows a connection: times as texts, and nothing of its tokens. */
export function showConnection(connection: Connection): z.output<typeof connectionShape> {
  const { id, tenant, provider, owner, tags, state, cause, scopes, identity, version } = connection
  return {
    ...{ id, tenant, provider, owner, tags: [...tags], state, cause, scopes: [...scopes] },
    ...{ identity, version, accessExpiresAt: momentOf(connection.accessExpiresAt) },
    createdAt: textOf(connection.createdAt),
    changedAt: textOf(connection.changedAt),
    checkedAt: momentOf(connection.checkedAt),
  }
}

export function showEvent(event: ConnectionEvent): z.output<typeof eventShape> {
  return { ...event, at: textOf(event.at) }
}

export function showLink({ url, expiresAt, budget }: Invitation): z.output<typeof linkShape> {
  const shown = budget && { ...budget, evictsOldest: evictsOldest(budget) }
  return { url, expiresAt: textOf(expiresAt), budget: shown }
}

/** Says in one sentence why a code brought no grant, for a platform. */
export function describeOutcome(
  outcome: Exclude<ReconnectOutcome, { readonly kind: 'reconnected' }>,
): string {
  switch (outcome.kind) {
    case 'forged':
      return 'The state is of no link of ours.'
    case 'used':
      return 'The state was used before.'
    case 'late':
      return 'The link ran out. Make a new one.'
    case 'gone':
      return 'The connection was disconnected.'
    case 'denied':
    case 'provider_error':
    case 'code_refused':
    case 'unreachable':
    case 'our_fault':
    case 'wrong_issuer':
    case 'changed':
    case 'unconfirmed':
    case 'not_stored':
      return outcome.cause.text
  }
}

function textOf(ms: number): string {
  return new Date(ms).toISOString()
}

function momentOf(ms: number | null): string | null {
  return ms === null ? null : textOf(ms)
}
