import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { DrillHome } from './drill-home.ts'
import { spawnRescind } from './run-cli.ts'

export interface KillWish {
  readonly via: 'rescind' | 'open-connectors'
  readonly depth: 'access' | 'refresh' | 'grant'
  /** The step in which the process is killed. */
  readonly step: number
}

const CONSENT = ['--consent', 'form']
/** Each call to the provider takes so long, so that a step is not over before the kill. */
const SLOW = [{ kind: 'slow', on: 'any', ms: 60 }] as const
/** The grant of the drill's code is made, and nobody hears of it. */
const LOST = [{ kind: 'hang', on: 'token', nth: 1 }] as const
const APPLY_STEP = 11

/**
 * Kills a drill in one of its steps. What is said of the connection must be true at the provider, and
 * `resume` must bring it back with as many live grants as before.
 */
export async function checkKilledDrill(drills: DrillHome, wish: KillWish): Promise<void> {
  const { org, run } = drills
  const alive = org.truth.counts().alive
  const evidence = await killAt(drills, wish, alive)
  const lost = org.truth.counts().alive - alive

  const status = await run(['drill', 'status', '--json'])
  const [{ stands = '' } = {}] = status.json.drills
  expect(status.json.drills, evidence()).toHaveLength(1)
  const known = TRUTHS.find(([said]) => said.test(stands)) ?? expect.unreachable(stands)
  expect(known[1], `${stands} And ${lost} grants more live.`).toContain(lost)

  const resumed = await run(['drill', 'resume', ...CONSENT, '--json'])
  const isBegun = !/^The drill \S+ died\. Nothing was revoked/.test(stands)
  expect([resumed.exitCode, resumed.stderr], evidence()).toEqual(
    isBegun ? [0, expect.anything()] : [2, expect.stringMatching(/Begin a new drill: rescind/)],
  )
  expect(org.truth.counts().alive, evidence()).toBe(alive)
  expect((await run(['drill', 'status'])).stdout).toMatch(/All drills have ended/)
}

/** What may be said, and by how many the live grants may differ then. */
const TRUTHS: readonly (readonly [RegExp, readonly number[]])[] = [
  [/Nothing was revoked/, [0]],
  [/ is back; /, [0]],
  [/whether it works since was not seen/, [0]],
  [/and may be back: /, [-1, 0]],
  [/may be dead: its revocation was begun/, [-1, 0]],
  [/The access token of .* was revoked on purpose/, [0]],
  [/ was dead when the drill died: it was revoked on purpose/, [-1]],
]

/** Gives the evidence so far, for the message of a failure. */
async function killAt(
  { org, home, env, connection, instance }: DrillHome,
  { via, depth, step }: KillWish,
  alive: number,
): Promise<() => string> {
  const out = join(home, `killed-${via}-${depth}-${step}-${Date.now()}`)
  const file = join(out, 'evidence.jsonl')
  const evidence = () => (existsSync(file) ? readFileSync(file, 'latin1') : '')
  const isAt = (no: number) => evidence().includes(`"kind":"intent","step":${no},`)
  const loses = step === APPLY_STEP && depth !== 'access'
  org.setFaults(SLOW)
  const subject = via === 'rescind' ? connection : instance
  const how = ['--via', via, '--depth', depth, '--load', '500ms', '--out', out]
  const child = spawnRescind(['drill', subject, ...how, ...CONSENT], { home, env })
  let isOver = false
  void child.done.then(() => {
    isOver = true
  })
  const until = async (holds: () => boolean) => {
    while (!holds() && !isOver) await new Promise((wait) => setTimeout(wait, 3))
  }
  if (loses) {
    await until(() => isAt(APPLY_STEP - 2))
    org.setFaults(LOST)
    await until(() => isAt(APPLY_STEP) && org.truth.counts().alive === alive)
  } else await until(() => isAt(step) || isAt(step + 1))
  child.process.kill('SIGKILL')
  const { code, stderr } = await child.done
  org.setFaults([])
  expect(code, `It ended before it was killed. ${stderr}`).toBeNull()
  return evidence
}
