import type { Role } from './config.ts'
import type { HeldToken } from './grant.ts'
import { watchOf } from './life.ts'
import type { World } from './world.ts'

/**
 * Returns a token for a case that is not about its kind: the refresh token of a new grant, or its access
 * token where only that can be looked at without being used up, or a token of the client itself.
 */
export async function anyToken(world: World, role: Role): Promise<HeldToken> {
  if (world.config.tokens.user === undefined) return await world.service(role)
  const { access, refresh } = await world.grant(role)
  if (refresh === undefined) return access
  const watch = watchOf(world)
  return !(await watch.sees(refresh)) && (await watch.sees(access)) ? access : refresh
}
