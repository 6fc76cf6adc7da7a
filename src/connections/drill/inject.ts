import { isRescindError } from '../../core/errors.ts'
import type { ConnectionTraits } from '../../providers/connection-way.ts'
import type { DrillContext } from './context.ts'
import { fail, type Judgement, type Seen } from './step.ts'

/** One fault that is injected, and what must follow. */
export interface Injection {
  readonly name: string
  /** How it is injected. */
  readonly how: string
  /** What must follow, in words. */
  readonly mustEnd: string
  /** How many grants nobody holds afterwards, at most. */
  leaves(traits: ConnectionTraits): number
  /** Injects, acts, looks, and repairs what it broke. */
  run(context: DrillContext): Promise<{ readonly seen: Seen; readonly judgement: Judgement }>
}

/** Runs one injection. One that cannot be done has failed. */
export async function runInjection(injection: Injection, context: DrillContext) {
  try {
    return await injection.run(context)
  } catch (error) {
    if (!isRescindError(error) || context.signal?.aborted) throw error
    return {
      seen: { error: error.code },
      judgement: fail(`It could not be done: ${error.message}`),
    }
  }
}
