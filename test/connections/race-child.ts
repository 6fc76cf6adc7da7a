import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import type { Clock } from '../../src/core/clock.ts'
import { systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { openVault } from './world.ts'

/** How a process of a test is started: over the environment, so that nothing is sent before it listens. */
export interface ChildOptions {
  readonly home: string
  readonly tenant: TenantConfig
  /** By how much its clock is off. */
  readonly clockOffMs: number
  /** Where it kills itself, in the middle of a refresh or of a consent. */
  readonly dies?: 'before send' | 'after send' | 'after answer' | 'after commit' | undefined
  /** Sleeps, with the intent on disk and nothing sent, until it is woken. */
  readonly sleeps?: boolean | undefined
}

/** So many callers ask for a token of a version that the provider refused. */
export interface Ask {
  readonly id: string
  readonly refused: number
  readonly callers: number
}

/** An owner comes back with a code. */
export interface Come {
  readonly state: string
  readonly code: string
}

export interface Answered {
  readonly versions: readonly number[]
  readonly errors: readonly string[]
}

/** The answer is on its way by then, and not here yet. */
const IN_FLIGHT_MS = 150

const options = JSON.parse(process.env.RACE_CHILD ?? '') as ChildOptions
const off: Clock = {
  now: () => systemClock.now() + options.clockOffMs,
  sleep: systemClock.sleep,
}
const die = () => process.kill(process.pid, 'SIGKILL')

const { vault, parts } = await openVault({
  ...{ home: options.home, tenants: [options.tenant], clock: off },
  wrap: (store) => ({
    ...store,
    async tokens(row) {
      if (options.sleeps) process.kill(process.pid, 'SIGSTOP')
      return store.tokens(row)
    },
    async update(id, decide) {
      let commits = false
      const updated = await store.update(id, (row) => {
        const change = decide(row)
        commits = change?.tokens !== undefined
        return change
      })
      if (commits && options.dies === 'after commit') die()
      return updated
    },
  }),
})
const { http } = parts
const send = http.send.bind(http)
Object.assign(http, {
  async send(request: Parameters<typeof send>[0]) {
    if (!String(request.url).endsWith('/token')) return send(request)
    if (options.dies === 'before send') die()
    if (options.dies === 'after send') setTimeout(die, IN_FLIGHT_MS)
    const answer = await send(request)
    if (options.dies === 'after answer') die()
    return answer
  },
})

process.on('message', async (message: Ask | Come) => {
  if ('code' in message) {
    const { state, code } = message
    const answer = { state, code: new Secret(code), error: null, iss: null }
    await createReauthorizing(parts, vault).callback(answer)
    return
  }
  const { id, refused, callers } = message
  const all = await Promise.allSettled(
    Array.from({ length: callers }, () => vault.accessToken(id, { refused })),
  )
  const answered: Answered = {
    versions: all.flatMap((one) => (one.status === 'fulfilled' ? [one.value.version] : [])),
    errors: all.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : [])),
  }
  process.send?.(answered)
})
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
