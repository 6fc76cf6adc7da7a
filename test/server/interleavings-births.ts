import { type Authority, createAuthority } from '../../src/server/authority.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { type Choose, createSchedule, type Schedule } from '../support/schedule.ts'
import { CALLBACK, CHALLENGE, handClock, ISSUER, KEY } from './core-world.ts'
import { FORM } from './endpoints-world.ts'
import type { Spoil } from './interleavings-world.ts'

const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'

/** Who asks for tokens of one user in one session, and who revokes them; one of them in another process. */
export const BIRTH_ACTORS = [
  'issue',
  'authorize',
  'revoke_user',
  'revoke_session',
  'revoke_user_elsewhere',
] as const
export type BirthActor = (typeof BIRTH_ACTORS)[number]

/** One who asks and each who revokes, and those who revoke two at a time: in every order there is of them. */
export function meetingsOfBirths(): BirthActor[][] {
  const revokers = BIRTH_ACTORS.filter((actor) => !isAsker(actor))
  const singles = ['issue' as const, 'authorize' as const].flatMap((asker) =>
    revokers.map((revoker): BirthActor[] => [asker, revoker]),
  )
  const pairs = revokers.flatMap((one, place) =>
    revokers.slice(place).map((other): BirthActor[] => ['issue', one, other]),
  )
  return [...singles, ...pairs, ['authorize', 'revoke_user', 'revoke_user_elsewhere']]
}

/** Runs meetings of those who ask and those who revoke; each run has a user of its own. */
export interface Nursery extends AsyncDisposable {
  /** Runs a meeting once; throws when a token lives that was under way when it was revoked. */
  meet(actors: readonly BirthActor[], choose: Choose): Promise<void>
}

interface Scene {
  readonly user: string
  /** The tokens that somebody was given, by the place of the actor. */
  readonly held: Map<number, string>
}

/** Opens an authority in two processes on one store in memory, whose operations go in the order that is chosen. */
export async function openNursery(spoil: Spoil = (store) => store): Promise<Nursery> {
  const schedule = createSchedule()
  const clock = handClock()
  const sound = await openSqliteAuthorityStore(':memory:', { clock })
  let scene: Scene = { user: '', held: new Map() }
  // The authority tries its store out when it opens: what is spoiled is spoiled afterwards.
  let used = sound
  const late: AuthorityStore = {
    ...sound,
    commit: (change) => used.commit(change),
    readEpoch: () => used.readEpoch(),
  }
  const store = { ...schedule.wrap(late), reserveIds: sound.reserveIds }
  const authorize = async () => {
    // The user logs in and consents: anything may happen meanwhile.
    await schedule.turn('login', async () => {})
    return { userId: scene.user, sessionId: scene.user }
  }
  const options = { issuer: ISSUER, key: KEY, clock, onTrouble: () => {} }
  const here = await createAuthority({ ...options, store, authorize })
  await here.clients.add({ id: 'app', authMethod: 'none', scope: 'read', redirectUris: [CALLBACK] })
  const elsewhere = await createAuthority({ ...options, store })
  const watcher = await createAuthority({ ...options, store: sound })
  // Ids are reserved by the thousand, and one reservation says nothing to another.
  await here.issue({ clientId: 'app', userId: 'nobody', scope: 'read' })
  used = spoil(sound)
  let runs = 0
  return {
    async meet(actors, choose) {
      runs += 1
      scene = { user: `user-${runs}`, held: new Map() }
      const parts = { scene, schedule, here, elsewhere }
      const acting = actors.map((actor, no) => ({
        name: `${actor}#${no}`,
        act: () => act(parts, actor, no),
      }))
      const { operations } = await schedule.run(acting, choose)
      for (const [no, actor] of actors.entries()) {
        if (!isAsker(actor)) continue
        const token = scene.held.get(no)
        const isAlive = token !== undefined && (await watcher.introspect(token)).active
        const wanted = fateOf(`${actor}#${no}`, operations)
        if (wanted === 'any' || isAlive === (wanted === 'alive')) continue
        const told = `${actor} is ${isAlive ? 'alive' : 'dead'} and must be ${wanted}`
        throw new Error([told, ...operations].join('\n'))
      }
    },
    [Symbol.asyncDispose]: () => sound.close(),
  }
}

interface Parts {
  readonly scene: Scene
  readonly schedule: Schedule
  readonly here: Authority
  readonly elsewhere: Authority
}

async function act(parts: Parts, actor: BirthActor, no: number): Promise<void> {
  const { scene, schedule, here, elsewhere } = parts
  const { user } = scene
  // Somebody comes when it is his turn: what was answered before is not under way with him.
  await schedule.turn('comes', async () => {})
  switch (actor) {
    case 'issue':
      return hold(scene, no, async () => {
        const asked = { clientId: 'app', userId: user, sessionId: user, scope: 'read' }
        return (await here.issue(asked)).access_token
      })
    case 'authorize':
      return hold(scene, no, () => tokenByCode(here))
    case 'revoke_user':
      return here.revoke({ user })
    case 'revoke_session':
      return here.revoke({ session: user })
    case 'revoke_user_elsewhere':
      return elsewhere.revoke({ user })
  }
}

/** Asks for a token; who is refused has none. */
async function hold({ held }: Scene, no: number, ask: () => Promise<string | null>) {
  const token = await ask().catch(() => null)
  if (token !== null) held.set(no, token)
}

async function tokenByCode({ fetch }: Authority): Promise<string | null> {
  const query = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'app', redirect_uri: CALLBACK },
    ...{ code_challenge: CHALLENGE, code_challenge_method: 'S256' },
  })
  const answer = await fetch(new Request(`${ISSUER}/authorize?${query}`))
  const code = new URL(answer.headers.get('location') ?? '').searchParams.get('code')
  if (code === null) return null
  const body = new URLSearchParams({
    ...{ grant_type: 'authorization_code', client_id: 'app', code, redirect_uri: CALLBACK },
    code_verifier: VERIFIER,
  }).toString()
  const headers = { 'content-type': FORM }
  const redeemed = await fetch(new Request(`${ISSUER}/token`, { method: 'POST', headers, body }))
  return ((await redeemed.json()) as { access_token?: string }).access_token ?? null
}

function isAsker(actor: string): boolean {
  return actor.startsWith('issue') || actor.startsWith('authorize')
}

/**
 * What must become of a token, by the order of the operations. It is dead when its request had asked the store
 * before a revocation was answered, or was there before one was asked for in the same process; and it lives when
 * it came after all of them were answered.
 */
function fateOf(asker: string, operations: readonly string[]): 'dead' | 'alive' | 'any' {
  const at = (name: string, what: string) => operations.indexOf(`${name}: ${what}`)
  const names = [...new Set(operations.map((operation) => operation.split(':')[0] as string))]
  const revokers = names.filter((name) => !isAsker(name))
  const isOvertaken = revokers.some(
    (revoker) =>
      at(asker, 'readEpoch') < at(revoker, 'commit mark') ||
      (!revoker.includes('elsewhere') && at(asker, 'comes') < at(revoker, 'comes')),
  )
  if (isOvertaken) return 'dead'
  const isLast = revokers.every((revoker) => at(revoker, 'commit mark') < at(asker, 'comes'))
  return isLast ? 'alive' : 'any'
}
