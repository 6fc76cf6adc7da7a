import {
  type AuthorityStore,
  type EventRow,
  type GrantView,
  isGrantDead,
  type MarkRow,
  markKeysOf,
  type TokenKind,
  type TokenView,
} from '../store/authority/contract.ts'
import type { Cause } from './events.ts'
import { fingerprintOf, idOfFingerprint } from './fingerprint.ts'
import { type Death, deathOf } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import type { SigningKeys } from './signing-keys.ts'
import { detailOf, type Tokens } from './tokens.ts'

/** Events of one millisecond that are looked through; a busy one has some hundreds. */
const EVENTS_MAX = 2_000

/** Why a token is dead, or that it is alive. */
export interface Explanation {
  readonly fingerprint: string
  readonly kind: TokenKind
  readonly state: 'alive' | 'dead'
  readonly death: Death | null
  /** When it died: of several deaths, the first. Null while it is alive. */
  readonly at: Date | null
  readonly issuedAt: Date
  readonly expiresAt: Date
  readonly clientId: string
  readonly userId: string | null
  readonly sessionId: string | null
  readonly grantId: number
  /** What brought its death about, who asked and by which request; null where no event is kept. */
  readonly cause: string | null
  readonly actor: string | null
  readonly request: string | null
  readonly eventId: string | null
  /** One sentence: by which cascade it died. */
  readonly cascade: string
}

/**
 * Returns what explains a token, named by its fingerprint or presented itself; null where none is
 * known, because it was never issued, or has expired and is forgotten.
 */
export function createExplain(
  parts: AuthorityParts,
  tokens: Tokens,
  keys: Pick<SigningKeys, 'list'>,
) {
  const { store } = parts
  const find = async (what: string): Promise<TokenView | null> => {
    const id = idOfFingerprint(what)
    if (id === null) {
      const parsed = await tokens.parse(what)
      return parsed && tokens.find(parsed)
    }
    const view = await store.readToken(id)
    return view && fingerprintOf(view) === what ? view : null
  }
  return async (what: string): Promise<Explanation | null> => {
    const view = await find(what)
    if (!view) return null
    const { death, at, mark } = await firstDeath(parts, view)
    const events = at === null ? [] : await store.eventsAt(at, EVENTS_MAX)
    const event = events.find((one) => isAbout(one, view, death, mark)) ?? null
    const { grant } = view
    return {
      ...{ fingerprint: fingerprintOf(view), kind: view.kind, death },
      state: death === null ? 'alive' : 'dead',
      at: at === null ? null : new Date(at),
      issuedAt: new Date(view.issuedAt),
      expiresAt: new Date(Math.min(view.expiresAt, grant.expiresAt)),
      ...{ clientId: grant.clientId, userId: grant.userId, sessionId: grant.sessionId },
      ...{ grantId: grant.id, cause: event?.cause ?? null, actor: event?.actor ?? null },
      ...{ request: event?.request ?? null, eventId: event?.id ?? null },
      cascade:
        death === null && (await isSignerGone(keys, view))
          ? 'The access token is alive, but it is a JWT whose key was dropped: nobody who presents it is believed.'
          : sentence(view, death, { event, mark }),
    }
  }
}

/** A JWT lives no longer than its key, unless that was dropped: then all that is left signs from later on. */
async function isSignerGone(keys: Pick<SigningKeys, 'list'>, view: TokenView): Promise<boolean> {
  if (detailOf(view).jwt !== true) return false
  const first = Math.min(...(await keys.list()).map(({ signsFrom }) => signsFrom.getTime()))
  return view.issuedAt < first
}

interface Died {
  readonly death: Death | null
  readonly at: number | null
  /** The mark that killed its grant, as it was set then. */
  readonly mark: MarkRow | null
}

/** A token can die several times over; what killed it is the first, and of one moment the widest. */
async function firstDeath({ store, clock }: AuthorityParts, view: TokenView): Promise<Died> {
  const now = clock.now()
  const { end, grant } = view
  const expiresAt = Math.min(view.expiresAt, grant.expiresAt)
  const deaths: (Died & { readonly at: number })[] = []
  if (grant.endedAt !== null) deaths.push({ death: 'grant_ended', at: grant.endedAt, mark: null })
  for (const mark of await deadlyMarks(store, grant)) {
    deaths.push({ death: 'marked', at: mark.at, mark })
  }
  if (end) deaths.push({ death: end.state, at: end.at, mark: null })
  if (expiresAt <= now) deaths.push({ death: 'expired', at: expiresAt, mark: null })
  const [first] = deaths.sort((one, other) => one.at - other.at)
  return first ?? { death: deathOf(view, now), at: null, mark: null }
}

/** The settings of marks that killed a grant first, one of each mark and kind. */
async function deadlyMarks(store: AuthorityStore, grant: GrantView): Promise<readonly MarkRow[]> {
  const isMarked = isGrantDead({ ...grant, endedAt: null })
  return isMarked ? store.readMarks(markKeysOf(grant), grant) : []
}

/** Says whether an event of the moment of death is the one that tells of it. */
function isAbout(
  event: EventRow,
  view: TokenView,
  death: Death | null,
  mark: MarkRow | null,
): boolean {
  switch (death) {
    case 'grant_ended':
      return event.type === 'grant.revoked' && event.grantId === view.grant.id
    case 'marked':
      return event.type === 'reach.revoked' && mark !== null && isSetting(event, mark)
    case 'used':
    case 'revoked':
      return event.token === fingerprintOf(view) && event.type !== 'revocation.foreign'
    case 'expired':
    case null:
      return false
  }
}

function isSetting(event: EventRow, mark: MarkRow): boolean {
  const { issuedBefore = null } = event.detail === null ? {} : JSON.parse(event.detail)
  return keyOf(event) === mark.key && issuedBefore === momentOf(mark)
}

/** The name of the mark that an event tells of. */
function keyOf({ clientId, userId, sessionId }: EventRow): string {
  if (sessionId !== null) return `s:${sessionId}`
  if (userId !== null) return clientId === null ? `u:${userId}` : `x:${clientId} ${userId}`
  return clientId === null ? 'a' : `c:${clientId}`
}

function sentence(
  view: TokenView,
  death: Death | null,
  { event, mark }: { readonly event: EventRow | null; readonly mark: MarkRow | null },
): string {
  const why = event === null ? 'the event is no longer kept' : because(event)
  const name = { code: 'code', access: 'access token', refresh: 'refresh token' }[view.kind]
  switch (death) {
    case null:
      return `The ${name} is alive.`
    case 'grant_ended':
      return event?.token === fingerprintOf(view)
        ? `The ${name} was revoked, and its whole grant with it: ${why}.`
        : `The ${name} died with its grant ${view.grant.id}: ${why}.`
    case 'marked':
      return `The ${name} died with ${mark === null ? 'a revocation of many' : reachWords(mark)}: ${why}.`
    case 'used':
      return view.kind === 'code'
        ? 'The code was redeemed; it works once.'
        : 'The refresh token was changed into the next one; it works once.'
    case 'revoked':
      return `The ${name} alone was revoked: ${why}.`
    case 'expired':
      return `The ${name} expired; nobody revoked it.`
  }
}

function reachWords(mark: MarkRow): string {
  const moment = momentOf(mark)
  const whose = whoseWords(mark.key)
  return moment === null ? whose : `${whose} that was granted before ${moment}`
}

/** The moment of a setting that kills what is older, as its event has it; null for one that kills all. */
function momentOf({ before }: MarkRow): string | null {
  return before === 0 ? null : new Date(before).toISOString()
}

function whoseWords(key: string): string {
  const rest = key.slice(2)
  switch (key[0]) {
    case 'c':
      return `all of the client ${rest}`
    case 'u':
      return `all of the user ${rest}`
    case 'x': {
      const [client, ...user] = rest.split(' ')
      return `all of the user ${user.join(' ')} at the client ${client}`
    }
    case 's':
      return `the session ${rest}`
    default:
      return 'all'
  }
}

const BECAUSE: Readonly<Record<Cause, string>> = {
  authorization: 'the user authorized',
  issue: 'the host issued it',
  client_credentials: 'the client asked for itself',
  refresh: 'it was refreshed',
  refresh_reuse: 'a refresh token that was used up was presented again, as a thief would',
  code: 'the code was redeemed',
  code_reuse: 'the code was presented a second time, as a thief would',
  revocation_endpoint: 'its client asked at the revocation endpoint',
  library: 'the host asked',
  client_disabled: 'the client was disabled',
  admin: 'an administrator asked',
  command_line: 'somebody asked on the command line',
  global_token_revocation: 'an identity provider asked by global token revocation',
  webhook: 'a webhook failed',
}

function because({ cause, actor }: EventRow): string {
  const words = (BECAUSE as Readonly<Record<string, string | undefined>>)[cause] ?? cause
  return `${words} (${actor})`
}
