import type { Clock } from '../../../src/core/clock.ts'
import type {
  AuthorityStore,
  Change,
  Committed,
  EventRow,
  GrantRow,
  NewEvent,
  TokenRow,
} from '../../../src/store/authority/contract.ts'

/** Where the clock of a world begins. */
export const START = Date.UTC(2026, 5, 1)
export const HOUR_MS = 3_600_000
/** How long everything lives that a test starts and says nothing about. */
export const LIFE_MS = 24 * HOUR_MS
/** The epoch of a request that begins when its grant is written: nothing came between. */
export const JUST_NOW = Number.MAX_SAFE_INTEGER
/** How long events are kept in a world. */
export const EVENTS_KEPT_MS = 48 * HOUR_MS

export interface OpenOptions {
  readonly clock: Clock
  readonly eventsKeptMs: number
}

/** A database of one kind, empty at first. */
export interface StorePlace {
  /** Opens a store on it: each call as another process would. */
  open(options: OpenOptions): Promise<AuthorityStore>
  /** Counts the rows of every table that must stay bounded. */
  countRows(): Promise<Readonly<Record<string, number>>>
  /** Makes it look as if a newer Rescind had written it. */
  makeNewer(): Promise<void>
  remove(): Promise<void>
}

/** One kind of store, for the contract suite. */
export interface StoreKind {
  readonly name: string
  create(): Promise<StorePlace>
}

/** One database, opened twice: what is done through `store` must hold for `other`. */
export interface World {
  readonly store: AuthorityStore
  readonly other: AuthorityStore
  readonly place: StorePlace
  readonly clock: Clock & { set(now: number): void }
}

/** One promise of the contract; `run` throws when a store breaks it. */
export interface Check {
  readonly title: string
  readonly run: (world: World) => Promise<void>
}

export function manualClock(): World['clock'] {
  let now = START
  return {
    now: () => now,
    set(to) {
      now = to
    },
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
  }
}

/** Does some work on a fresh world, and closes it. */
export async function inWorld(
  kind: StoreKind,
  work: (world: World) => Promise<void>,
): Promise<void> {
  const place = await kind.create()
  const clock = manualClock()
  try {
    const store = await place.open({ clock, eventsKeptMs: EVENTS_KEPT_MS })
    const other = await place.open({ clock, eventsKeptMs: EVENTS_KEPT_MS })
    try {
      await work({ store, other, place, clock })
    } finally {
      await Promise.all([store.close(), other.close()])
    }
  } finally {
    await place.remove()
  }
}

export function grantRow(id: number, some: Partial<GrantRow> = {}): GrantRow {
  return {
    id,
    clientId: 'shop',
    userId: 'ada',
    sessionId: 'browser-1',
    scope: 'read write',
    createdAt: START,
    expiresAt: START + LIFE_MS,
    detail: null,
    ...some,
  }
}

/** A grant that every mark kills. */
export const ANCIENT = { born: 0, createdAt: 0 } as const

export function tokenRow(id: number, grantId: number, some: Partial<TokenRow> = {}): TokenRow {
  return {
    id,
    kind: 'refresh',
    hash: Buffer.alloc(16, id % 251),
    grantId,
    issuedAt: START,
    expiresAt: START + LIFE_MS,
    detail: null,
    ...some,
  }
}

export function newEvent(type: string, some: Partial<NewEvent> = {}): NewEvent {
  return {
    at: START,
    type,
    cause: 'test',
    actor: 'system',
    clientId: null,
    userId: null,
    grantId: null,
    sessionId: null,
    token: null,
    request: null,
    detail: null,
    ...some,
  }
}

interface Started {
  readonly grantId: number
  readonly tokenId: number
}

/** A grant with one refresh token, started; returns both ids. */
export async function startGrant(
  store: AuthorityStore,
  some: Partial<GrantRow> = {},
  began = JUST_NOW,
): Promise<Started> {
  return startGrantAs(store, await store.reserveIds(2), some, began)
}

/** As {@link startGrant}, many at once. */
export async function startGrants(store: AuthorityStore, count: number): Promise<Started[]> {
  const first = await store.reserveIds(2 * count)
  return Promise.all(Array.from({ length: count }, (_, no) => startGrantAs(store, first + 2 * no)))
}

async function startGrantAs(
  store: AuthorityStore,
  grantId: number,
  some: Partial<GrantRow> = {},
  began = JUST_NOW,
): Promise<Started> {
  const tokenId = grantId + 1
  const grant = grantRow(grantId, some)
  const token = tokenRow(tokenId, grantId, { expiresAt: grant.expiresAt })
  const committed = await store.commit({
    type: 'start_grant',
    began,
    grant,
    tokens: [token],
    events: [],
  })
  if (committed !== 'done') throw new Error('a fresh grant conflicts')
  return { grantId, tokenId }
}

/** Spends a token for one new refresh token, as a rotation does. */
export function spending(
  tokenId: number,
  grantId: number,
  successorId: number,
): Extract<Change, { type: 'spend_token' }> {
  return {
    type: 'spend_token',
    tokenId,
    grantId,
    successorId,
    at: START,
    tokens: [tokenRow(successorId, grantId)],
    events: [newEvent('token.rotated', { token: `spent ${tokenId}` })],
  }
}

export function endingToken(tokenId: number, at = START): Change {
  return { type: 'end_token', tokenId, at, events: [newEvent('token.revoked', { at })] }
}

export function endingGrant(grantId: number, at = START): Change {
  return { type: 'end_grant', grantId, at, events: [newEvent('grant.revoked', { at, grantId })] }
}

/** Reads all events by pages. */
export async function allEvents(store: AuthorityStore, pageSize = 100): Promise<EventRow[]> {
  const events: EventRow[] = []
  for (;;) {
    const page = await store.readEvents(events.at(-1)?.position ?? null, pageSize)
    events.push(...page)
    if (page.length < pageSize) return events
  }
}

export function countDone(committed: readonly Committed[]): number {
  return committed.filter((each) => each === 'done').length
}
