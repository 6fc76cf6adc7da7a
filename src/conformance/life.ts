import type { HttpResponse } from '../core/http.ts'
import type { Role } from './config.ts'
import { brief, type HeldToken, parseObject } from './grant.ts'
import { fail } from './verdict.ts'
import type { World } from './world.ts'

/** Between two looks at a token that should be dead by now. */
const SETTLE_STEP_MS = 50

export type Life = 'alive' | 'dead' | 'unseen'

/** One way to see whether a token lives, which was seen to tell a live one. */
interface Look {
  readonly name: string
  /** @param quiet not shown as evidence */
  look(token: HeldToken, quiet?: boolean): Promise<Life>
}

/** Sees whether tokens live. Each way was first seen to call a fresh token of the kind alive. */
export interface LifeWatch {
  /** Says whether anything sees such a token without using it up. */
  sees(token: HeldToken): Promise<boolean>
  /** Looks without using the token up. */
  life(token: HeldToken): Promise<Life>
  /** The same; where nothing sees the token, the case is not decided by it. */
  lifeOrDoubt(token: HeldToken): Promise<Life>
  /**
   * Where nothing can see it, the case is not decided by it.
   *
   * @param when "after its revocation"
   * @throws CaseEnd `fail` when it lives
   */
  expectDead(token: HeldToken, when: string): Promise<void>
  /**
   * Where nothing sees a refresh token, it is used to see whether it works; where nothing sees another
   * one, the case is not decided by it.
   *
   * @throws CaseEnd `fail` when it is dead
   */
  expectAlive(token: HeldToken, when: string): Promise<void>
}

const watches = new WeakMap<World, LifeWatch>()

/** Returns the watch of a run; what it learnt of the server's looks is kept for all cases. */
export function watchOf(world: World): LifeWatch {
  const known = watches.get(world)
  if (known) return known
  const made = openWatch(world)
  watches.set(world, made)
  return made
}

function openWatch(world: World): LifeWatch {
  const calibrated = new Map<string, Promise<readonly Look[]>>()
  const looksFor = (token: HeldToken): Promise<readonly Look[]> => {
    const key = `${token.role} ${token.kind} ${token.service}`
    const found = calibrated.get(key) ?? calibrate(world, token)
    calibrated.set(key, found)
    // A calibration that broke is tried again by the next case.
    found.catch(() => calibrated.delete(key))
    return found
  }

  const life = async (token: HeldToken, quiet = false): Promise<Life> => {
    const seen: Life[] = []
    for (const { look } of await looksFor(token)) seen.push(await look(token, quiet))
    if (seen.includes('alive')) return 'alive'
    return seen.includes('dead') ? 'dead' : 'unseen'
  }

  const settled = async (token: HeldToken): Promise<Life> => {
    const startedAt = world.clock.now()
    for (let looks = 0; ; looks++) {
      // The first look is the evidence: many of them would push out the request that they are about.
      const now = await life(token, looks > 0)
      const tookMs = world.clock.now() - startedAt
      if (now === 'dead' && looks > 0) world.note(`It took ${tookMs} ms to die.`)
      if (now !== 'alive' || tookMs >= world.settleMs) return now
      await world.clock.sleep(SETTLE_STEP_MS)
    }
  }

  return {
    sees: async (token) => (await looksFor(token)).length > 0,
    life: (token) => life(token),
    async lifeOrDoubt(token) {
      const now = await life(token)
      if (now === 'unseen') world.doubt(unseen(token))
      return now
    },
    async expectDead(token, when) {
      const now = await settled(token)
      if (now === 'alive') fail(`The ${token.kind} token of ${token.role} is still active ${when}.`)
      if (token.kind === 'refresh') {
        const answer = await world.refresh(token)
        if (answer.status === 200) {
          fail(`The refresh token of ${token.role} still gives new tokens ${when}.`)
        }
      } else if (now === 'unseen') {
        world.doubt(unseen(token))
      }
    },
    async expectAlive(token, when) {
      const now = await life(token)
      if (now === 'dead') fail(`The ${token.kind} token of ${token.role} is dead ${when}.`)
      if (now === 'alive') return
      if (token.kind !== 'refresh') {
        return world.doubt(unseen(token))
      }
      const answer = await world.refresh(token)
      if (answer.status !== 200) {
        fail(`The refresh token of ${token.role} is refused ${when}: ${brief(answer)}.`)
      }
    },
  }
}

const unseen = ({ kind, role }: HeldToken): string =>
  `Nothing shows whether the ${kind} token of ${role} lives: add a resource, or rs1.`

/** Tries each look on a fresh token of the same kind: one that does not see it alive is no look. */
async function calibrate(world: World, like: HeldToken): Promise<readonly Look[]> {
  const fresh = await freshLike(world, like)
  if (fresh === undefined) return []
  const looks: Look[] = []
  for (const role of introspectors(world, like.role)) {
    const look = introspectionLook(world, role)
    if ((await look.look(fresh, true)) !== 'alive') continue
    looks.push(look)
    break
  }
  if (like.kind === 'access') {
    for (const look of bearerLooks(world)) {
      if ((await look.look(fresh, true)) === 'alive') looks.push(look)
    }
  }
  return looks
}

async function freshLike(world: World, like: HeldToken): Promise<HeldToken | undefined> {
  if (like.service) return await world.service(like.role)
  const grant = await world.grant(like.role)
  return like.kind === 'refresh' ? grant.refresh : grant.access
}

/** Who may be able to introspect, the likeliest first. */
function introspectors(world: World, owner: Role): readonly Role[] {
  if (world.target.introspection === undefined) return []
  const candidates: readonly Role[] = ['rs1', owner, 'c1']
  return [...new Set(candidates)].filter((role) => world.config.clients[role] !== undefined)
}

function introspectionLook(world: World, as: Role): Look {
  return {
    name: `introspection as ${as}`,
    look: async (token, quiet) => {
      return judgeIntrospection(await world.introspect({ as, token, quiet }))
    },
  }
}

/** Says what an introspection shows; only a 200 with a boolean `active` shows anything. */
export function judgeIntrospection(answer: HttpResponse): Life {
  const { active } = parseObject(answer.body)
  if (answer.status !== 200 || typeof active !== 'boolean') return 'unseen'
  return active ? 'alive' : 'dead'
}

function bearerLooks(world: World): readonly Look[] {
  const { resource } = world.config
  const places = [
    ...(resource ? [{ url: resource.url, method: resource.method }] : []),
    ...(world.target.userinfo ? [{ url: world.target.userinfo, method: 'GET' as const }] : []),
  ]
  return places.map(({ url, method }) => ({
    name: 'protected resource',
    look: async (token, quiet) => {
      const headers = { authorization: `Bearer ${token.value.reveal()}` }
      return judgeResource(await world.sender.send({ method, url, headers }, { quiet }))
    },
  }))
}

/** Says what a protected resource shows. @see RFC 6750 section 3.1 */
export function judgeResource(answer: HttpResponse): Life {
  if (answer.status === 401) return 'dead'
  return answer.status >= 200 && answer.status < 300 ? 'alive' : 'unseen'
}
