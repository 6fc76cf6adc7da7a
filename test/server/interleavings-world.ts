import type { AccessTokenCascade } from '../../src/server/options.ts'
import type { AuthorityStore, EventRow } from '../../src/store/authority/contract.ts'
import {
  type Choose,
  createSchedule,
  enumerateOrders,
  type Schedule,
  type Trace,
} from '../support/schedule.ts'
import {
  code,
  granted,
  openSecond,
  openWorld,
  redeem,
  revoke,
  rotate,
  type World,
} from './core-world.ts'
import { checkAnswers, checkEnd, newEvents } from './interleavings-invariants.ts'

/** Past the longest grace of these runs, and within the lifetime of a code. */
const PAST_GRACE_S = 11
const DAY_S = 86_400
/** Transactions that forget all that one run leaves. */
const FORGET_ROUNDS = 8

/** Who acts at once, on one grant: its code, the refresh token S that R superseded, R, and R's access token A. */
export const FAMILY_ACTORS = [
  'refresh',
  'revoke_refresh',
  'revoke_access',
  'revoke_superseded',
  'reuse',
  'replay',
  'revoke_user',
  'forget',
] as const
/** Who acts on a grant whose code is not redeemed yet. */
export const CODE_ACTORS = ['redeem', 'revoke_user', 'forget'] as const
export type ActorName = (typeof FAMILY_ACTORS)[number] | (typeof CODE_ACTORS)[number]

/** Some actors at once, under the options that matter to them. */
export interface Meeting {
  readonly actors: readonly ActorName[]
  readonly graceSeconds: number
  readonly cascade?: AccessTokenCascade
}

/** Runs meetings on one store in memory; each run has a grant of its own. */
export interface Arena extends AsyncDisposable {
  /** Runs a meeting once, and checks the invariants after each step; throws with all that runs it again. */
  meet(meeting: Meeting, choose: Choose): Promise<Trace>
}

/** Spoils a store on purpose, from the moment when the authority has accepted it. */
export type Spoil = (store: AuthorityStore) => AuthorityStore

/** Opens an arena for the meetings of one grace and cascade. */
export async function openArena(
  { graceSeconds, cascade = 'token' }: Omit<Meeting, 'actors'>,
  spoil: Spoil = (store) => store,
): Promise<Arena> {
  const schedule = createSchedule()
  const options = { lifetimes: { refreshGrace: graceSeconds }, accessTokenCascade: cascade }
  let spoiled: AuthorityStore | undefined
  const sound = await openWorld(options)
  const world = await openSecond(sound, {
    ...options,
    store: {
      ...schedule.wrap(lateBound(sound.store, () => spoiled)),
      // Ids are reserved by the thousand, in few runs, and one reservation says nothing to another.
      reserveIds: sound.store.reserveIds,
    },
  })
  spoiled = spoil(sound.store)
  // Another process looks at what became of it, on the sound store, and waits for no turn.
  const watcher = await openSecond(sound, options)
  let runs = 0
  return {
    async meet(meeting, choose) {
      runs += 1
      const parts = { meeting, world, watcher, schedule, user: `user-${runs}` }
      return meetOnce(parts, choose)
    },
    [Symbol.asyncDispose]: () => sound.store.close(),
  }
}

/** The authority tries its store out when it opens: what is spoiled is spoiled afterwards. */
function lateBound(sound: AuthorityStore, spoiled: () => AuthorityStore | undefined) {
  return {
    ...sound,
    readToken: (id: number) => (spoiled() ?? sound).readToken(id),
    commit: (change: Parameters<AuthorityStore['commit']>[0]) =>
      (spoiled() ?? sound).commit(change),
  }
}

export interface Parts {
  readonly meeting: Meeting
  readonly world: World
  readonly watcher: World
  readonly schedule: Schedule
  readonly user: string
}

/** One run: a grant, its tokens, and what its actors were answered so far. */
export interface Scene extends Parts {
  readonly code: string
  readonly superseded: string
  readonly refresh: string
  readonly access: string
  readonly grantId: number
  readonly since: EventRow
  /** Tokens of the grant that anybody holds. */
  readonly known: Set<string>
  readonly answers: { readonly actor: ActorName; readonly answer: unknown }[]
}

async function meetOnce(parts: Parts, choose: Choose): Promise<Trace> {
  const { meeting, schedule } = parts
  const choices: number[] = []
  const operations: string[] = []
  const told: Choose = (waiting) => {
    const choice = choose(waiting)
    choices.push(choice)
    operations.push(waiting[choice] ?? '')
    return choice
  }
  try {
    const scene = await setScene(parts)
    let checked = 0
    const actors = meeting.actors.map((actor, index) => ({
      name: `${actor}#${index}`,
      act: async () => {
        const answer = await act(scene, actor)
        scene.answers.push({ actor, answer })
      },
    }))
    const trace = await schedule.run(actors, told, async () => {
      const fresh = scene.answers.slice(checked)
      checked += fresh.length
      if (fresh.length > 0) await checkAnswers(scene, fresh)
    })
    await checkEnd(scene)
    return trace
  } catch (error) {
    const again = JSON.stringify({ ...meeting, choices })
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(
      `${message}\nmeeting: ${meeting.actors.join(', ')}; grace ${meeting.graceSeconds} s\n` +
        `${operations.join('\n')}\nagain: MEETING='${again}' vitest run test/server/interleavings.test.ts`,
      { cause: error },
    )
  }
}

/** Brings a grant to where the actors meet it, with clocks so that its tokens are about to expire if they may. */
async function setScene(parts: Parts): Promise<Scene> {
  const { watcher: host, meeting, user } = parts
  const { clock } = host
  const given = await code(host, user)
  const isFresh = meeting.actors.includes('redeem')
  let held = { superseded: '', refresh: '', access: '' }
  if (!isFresh) {
    const first = granted(await redeem(host, given))
    const second = granted(await rotate(host, first.refresh_token))
    held = {
      superseded: first.refresh_token,
      refresh: second.refresh_token,
      access: second.access_token,
    }
    clock.advance(meeting.actors.includes('forget') ? 29.5 * DAY_S : PAST_GRACE_S)
  }
  const since = (await newEvents(host)).at(-1) as EventRow
  const { access, refresh } = held
  return {
    ...parts,
    ...held,
    code: given,
    grantId: since.grantId as number,
    since,
    known: new Set([access, refresh].filter((token) => token !== '')),
    answers: [],
  }
}

function act(scene: Scene, actor: ActorName): Promise<unknown> {
  const { world, schedule, user } = scene
  switch (actor) {
    case 'refresh':
      return rotate(world, scene.refresh)
    case 'reuse':
      return rotate(world, scene.superseded)
    case 'revoke_refresh':
      return revoke(world, scene.refresh)
    case 'revoke_access':
      return revoke(world, scene.access)
    case 'revoke_superseded':
      return revoke(world, scene.superseded)
    case 'redeem':
    case 'replay':
      return redeem(world, scene.code)
    case 'revoke_user':
      return world.core.revoking.reach({ user }, 'admin', { actor: 'admin' })
    case 'forget':
      return schedule.turn('time passes', async () => {
        world.clock.advance(DAY_S)
        for (let round = 0; round < FORGET_ROUNDS; round += 1) {
          await scene.watcher.store.commit({ type: 'log', events: [] })
        }
      })
  }
}

/** All choices of `count` actors, repeated or not; time passes once. */
export function meetingsOf<T extends ActorName>(names: readonly T[], count: number): T[][] {
  if (count === 0) return [[]]
  return names.flatMap((name, index) =>
    meetingsOf(names.slice(name === 'forget' ? index + 1 : index), count - 1).map((rest) => [
      name,
      ...rest,
    ]),
  )
}

/** Runs every order of every meeting, each on a store of its own; returns how many orders there were. */
export async function enumerateMeetings(
  meetings: readonly (readonly ActorName[])[],
  options: Omit<Meeting, 'actors'>,
): Promise<number> {
  let orders = 0
  for (const actors of meetings) {
    await using arena = await openArena(options)
    const meeting = { ...options, actors }
    orders += await enumerateOrders(async (choose) => void (await arena.meet(meeting, choose)))
  }
  return orders
}

/** Runs as many meetings of 4 to 6 actors, in orders at random. */
export async function meetAtRandom(options: {
  readonly graceSeconds: number
  readonly runs: number
  readonly random: () => number
  readonly choose: Choose
}): Promise<void> {
  const { graceSeconds, runs, random, choose } = options
  await using arena = await openArena({ graceSeconds })
  for (let run = 0; run < runs; run += 1) {
    const names = random() < 0.2 ? CODE_ACTORS : FAMILY_ACTORS
    const actors: ActorName[] = names === CODE_ACTORS ? ['redeem'] : []
    const count = 4 + Math.floor(random() * 3)
    while (actors.length < count) {
      const actor = names[Math.floor(random() * names.length)] as ActorName
      if (actor !== 'forget' || !actors.includes('forget')) actors.push(actor)
    }
    await arena.meet({ actors, graceSeconds }, choose)
  }
}
