import type { Clock } from '../../src/core/clock.ts'
import type { Client } from '../../src/server/client-settings.ts'
import { type Core, type CoreOptions, createCore } from '../../src/server/core.ts'
import type { Asked } from '../../src/server/events.ts'
import type { TokenAnswer } from '../../src/server/grant.ts'
import { isRefusal, type Refusal } from '../../src/server/refusal.ts'
import type { Revoked } from '../../src/server/revoke.ts'
import type { AuthorityStore, EventRow } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'

export const ISSUER = 'https://as.example'
export const KEY = new Uint8Array(32).fill(7)
export const CALLBACK = 'https://app.example/callback'
export const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
/** More events than any test makes. */
const EVENTS_MAX = 10_000

/** A clock that stands still until a test moves it. */
export interface HandClock extends Clock {
  advance(seconds: number): void
}

export function handClock(startedAt = Date.UTC(2026, 0, 1)): HandClock {
  let now = startedAt
  return {
    now: () => now,
    sleep: async () => {},
    advance: (seconds) => {
      now += seconds * 1000
    },
  }
}

/** What a test of the core has at hand: an authority in memory, its clock, and three clients. */
export interface World extends AsyncDisposable {
  readonly core: Core
  readonly store: AuthorityStore
  readonly clock: HandClock
  readonly app: Client
  readonly other: Client
  readonly jwtApp: Client
}

/** Opens an authority on a store, in memory unless another is given; `wrap` puts something between the two. */
export async function openWorld(
  options: Partial<CoreOptions> & {
    readonly openStore?: (clock: Clock) => Promise<AuthorityStore>
    readonly wrap?: (store: AuthorityStore) => AuthorityStore
  } = {},
): Promise<World> {
  const clock = handClock()
  const { openStore = openInMemory, wrap = (given) => given, ...rest } = options
  const store = rest.store ?? (await openStore(clock))
  const core = await createCore({ issuer: ISSUER, key: KEY, clock, ...rest, store: wrap(store) })
  const app = await addClient(core, 'app', 'opaque')
  const other = await addClient(core, 'other', 'opaque')
  const jwtApp = await addClient(core, 'jwt-app', 'jwt')
  const close = () => store.close()
  return { core, store, clock, app, other, jwtApp, [Symbol.asyncDispose]: close }
}

function openInMemory(clock: Clock): Promise<AuthorityStore> {
  return openSqliteAuthorityStore(':memory:', { clock })
}

/** Opens the authority a second time on the same store, as another process does. */
export async function openSecond(world: World, options: Partial<CoreOptions> = {}): Promise<World> {
  const { store, clock } = world
  const core = await createCore({ issuer: ISSUER, key: KEY, store, clock, ...options })
  return { ...world, core, [Symbol.asyncDispose]: async () => {} }
}

async function addClient(core: Core, id: string, accessTokenFormat: 'opaque' | 'jwt') {
  const added = await core.clients.add({
    ...{ id, accessTokenFormat, scope: 'read write', introspect: 'own', redirectUris: [CALLBACK] },
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
  })
  return added.client
}

export function askedBy(client: Client, request?: string): Asked {
  return { actor: `client:${client.id}`, request }
}

/** The tokens of one answer, both there. */
export type Pair = TokenAnswer & { readonly refresh_token: string }

/** Starts a grant for a user, as a host does that keeps its own login. */
export async function issue(
  { core, app }: World,
  given: { client?: Client; user?: string; session?: string; scope?: string } = {},
): Promise<Pair> {
  const client = given.client ?? app
  const answer = await core.issuing.start({
    ...{ client, userId: given.user ?? 'ada', sessionId: given.session },
    ...{ scope: given.scope ?? 'read write', refreshable: true, asked: askedBy(client) },
    began: await core.issuing.begin(),
  })
  return answer as Pair
}

export async function code({ core, app }: World, user = 'ada'): Promise<string> {
  return core.issuing.startWithCode({
    ...{ client: app, userId: user, scope: 'read write', asked: askedBy(app) },
    ...{ redirectUri: CALLBACK, challenge: CHALLENGE, began: await core.issuing.begin() },
  })
}

export function redeem(
  { core, app }: World,
  given: string,
  { client = app, redirectUri = CALLBACK, challenge = CHALLENGE } = {},
): Promise<TokenAnswer | Refusal> {
  const asked = askedBy(client)
  return core.issuing.redeem({ code: given, client, redirectUri, challenge, asked })
}

export function rotate(
  { core, app }: World,
  refreshToken: string,
  { client = app, scope = null as string | null } = {},
): Promise<TokenAnswer | Refusal> {
  return core.issuing.rotate({ refreshToken, client, scope, asked: askedBy(client) })
}

export function revoke({ core, app }: World, token: string, client = app): Promise<Revoked> {
  return core.revoking.token({ token, clientId: client.id, asked: askedBy(client) })
}

/** Returns an answer with both tokens, or fails with the refusal. */
export function granted(answer: TokenAnswer | Refusal): Pair {
  if (isRefusal(answer)) throw new Error(`refused: ${answer.error_description}`)
  return answer as Pair
}

/** Says of each token whether it is active, as a resource server hears it. */
export async function activity({ core }: World, ...tokens: string[]): Promise<boolean[]> {
  const answers = await Promise.all(tokens.map((token) => core.introspecting.token(token, null)))
  return answers.map(({ active }) => active)
}

export async function eventsOf({ store }: World, after: EventRow | null = null) {
  return store.readEvents(after?.position ?? null, EVENTS_MAX)
}

/** What happened while `work` ran, in one line an event: type and cause. */
export async function eventsDuring(world: World, work: () => Promise<unknown>): Promise<string[]> {
  const before = (await eventsOf(world)).at(-1) ?? null
  await work()
  // What nobody waits for is written in the same turn as this.
  await world.store.commit({ type: 'log', events: [] })
  return (await eventsOf(world, before)).map(({ type, cause }) => `${type} ${cause}`)
}
