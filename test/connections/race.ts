import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Answered, Ask, ChildOptions } from './race-child.ts'
import { type ConnectionWorld, openConnectionWorld } from './world.ts'

const CHILD = join(import.meta.dirname, 'race-child.ts')
const PROCESSES = 4
const CALLERS = 16
const HOUR_MS = 3_600_000

/** Starts a process with a vault on the world's home. */
export async function startChild(
  { home, tenant }: ConnectionWorld,
  more: Partial<ChildOptions> = {},
): Promise<ChildProcess> {
  const options: ChildOptions = { home, tenant, clockOffMs: 0, ...more }
  const child = fork(CHILD, [], {
    env: { ...process.env, RACE_CHILD: JSON.stringify(options) },
    execArgv: [],
  })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the process ended with ${code} before it was ready`)
  })
  ended.catch(() => {})
  await Promise.race([once(child, 'message'), ended])
  return child
}

export async function ask(child: ChildProcess, what: Ask): Promise<Answered> {
  const answer = once(child, 'message')
  child.send(what)
  return (await answer)[0] as Answered
}

/**
 * 64 callers in 4 processes, two of whose clocks are an hour off, find their token refused at once, again
 * and again. The org rotates, and ends the grant when a spent token is presented.
 */
export async function race(rounds: number): Promise<void> {
  await using world = await openConnectionWorld()
  const { id, deleteToken } = await world.connect()
  await world.vault.accessToken(id)
  const children = await Promise.all(
    Array.from({ length: PROCESSES }, (_, nth) =>
      startChild(world, { clockOffMs: [0, HOUR_MS, -HOUR_MS, 0][nth] ?? 0 }),
    ),
  )
  try {
    for (let round = 1; round <= rounds; round += 1) {
      const refused = round + 1
      const before = world.tokenRequests()
      const answers = await Promise.all(
        children.map((child) => ask(child, { id, refused, callers: CALLERS })),
      )
      expect(answers.flatMap(({ errors }) => errors)).toEqual([])
      const versions = answers.flatMap((one) => one.versions)
      expect(versions.length).toBe(PROCESSES * CALLERS)
      expect(new Set(versions)).toEqual(new Set([refused + 1]))
      expect(world.tokenRequests() - before, `refreshes of round ${round}`).toBe(1)
    }
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    expect((await world.health.check(id)).connection.state).toBe('connected')
  } finally {
    for (const child of children) child.disconnect()
  }
}
