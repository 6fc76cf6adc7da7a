import { RescindError } from '../core/errors.ts'
import type { Run } from '../store/run-states.ts'
import type { Context } from './context.ts'

/**
 * Finds a run by its id; without one the newest, or the only one that is not finished.
 *
 * @throws RescindError `run_unknown`, `plan_other_tenant`, `usage` when several can be resumed
 */
export async function findRun(
  context: Context,
  id: string | undefined,
  which: 'any' | 'unfinished',
  tenant: string | undefined,
): Promise<Run> {
  if (tenant !== undefined) context.tenant(tenant)
  const { runs } = await context.store()
  if (id === undefined) return chooseRun(await runs.list(tenant), which)
  const run = await runs.get(id)
  if (!run) {
    const message = `There is no run "${id}" in this store. List them with: rescind runs`
    throw new RescindError('run_unknown', message)
  }
  if (tenant !== undefined && run.tenant !== tenant) {
    const message = `${id} is a run of tenant "${run.tenant}", and this is "${tenant}". Nothing was sent.`
    throw new RescindError('plan_other_tenant', message)
  }
  if (which === 'unfinished' && run.state === 'finished') {
    const message = `${id} is finished. Look at it again with: rescind verify ${id}`
    throw new RescindError('run_unknown', message)
  }
  return run
}

/** Without a name: the newest to look at, and the only one to resume. */
function chooseRun(all: readonly Run[], which: 'any' | 'unfinished'): Run {
  const runs = which === 'any' ? all.slice(0, 1) : all.filter(({ state }) => state !== 'finished')
  const [run, ...more] = runs
  if (!run) {
    const message = which === 'any' ? 'There is no run yet.' : 'There is no run to resume.'
    throw new RescindError('run_unknown', `${message} List them with: rescind runs`)
  }
  if (more.length > 0) {
    const names = runs.map(({ id, tenant }) => `${id} (${tenant})`).join(', ')
    throw new RescindError('usage', `Several runs can be resumed. Name one: ${names}.`)
  }
  return run
}
