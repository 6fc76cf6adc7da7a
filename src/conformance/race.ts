import type { World } from './world.ts'

/**
 * Runs a race as many times as the run asks for. The evidence of the first round that showed a
 * violation is kept, for a person to look at; that of the others is not.
 *
 * @param round says whether it showed a violation
 */
export async function race(world: World, round: () => Promise<boolean>): Promise<number> {
  let violations = 0
  for (let done = 0; done < world.limits.races; done++) {
    const kept = violations > 0 ? world.sender.kept() : undefined
    if (kept === undefined) world.sender.forget()
    if (await round()) violations += 1
    if (kept !== undefined) world.sender.keep(kept)
  }
  return violations
}
