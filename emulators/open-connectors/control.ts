import { arrivedEmails, resetUserSecret } from './account.ts'
import type { Fault } from './faults.ts'
import { type OpenConnectorsSwitches, resolveSwitches } from './options.ts'
import { runNight } from './refresh.ts'
import type { Estate } from './server.ts'

/**
 * Gives the value of one control of the emulator's own control plane, which no real account has. Below
 * `/__emulator/`, on the same port, without latency or faults.
 *
 * GET  truth      every instance as it really is, one JSON object a line (holds secrets)
 * GET  counts     `{instances}`: how many there are
 * GET  emails     the e-mails that have arrived
 * GET  provider   what the platform asked of the providers: refreshes, codes, calls
 * GET  requests   `{requests, counters}`: the newest requests, and the count of each route
 * GET  switches   the switches in force
 * POST switches   switches to change
 * GET  faults     `{faults}`: those in force, each with how many calls it has `struck`
 * POST faults     a JSON array of faults, in place of those in force
 * POST calm       no faults any more, and the switches that the account was started with
 * POST latency    `{"ms": 40}`
 * POST night      runs the nightly refresh, and answers when every instance is refreshed or locked
 * POST age        `{"id": 4014, "ms": 3600000}`: the last refresh of an instance lies so much further back
 * POST reset      resets the user secret
 * POST forget     empties the e-mails, the calls of providers and the request log
 */
export async function controlValue(estate: Estate, route: string, body: string): Promise<unknown> {
  const { account, truth, log } = estate
  const input = (): Record<string, unknown> => JSON.parse(body) as Record<string, unknown>
  switch (route) {
    case 'GET truth':
      return truth.instances()
    case 'GET counts':
      return { instances: account.instances.size }
    case 'GET emails':
      return { emails: arrivedEmails(account) }
    case 'GET provider':
      return { calls: account.providerCalls }
    case 'GET requests':
      return { requests: log.entries, counters: Object.fromEntries(log.counters) }
    case 'GET switches':
      return account.switches
    case 'POST switches':
      return changeSwitches(estate, input())
    case 'GET faults':
      return { faults: account.faults.list() }
    case 'POST faults':
      account.faults.set(JSON.parse(body) as readonly Fault[])
      return { faults: account.faults.list() }
    case 'POST calm':
      account.faults.set([])
      account.switches = account.firstSwitches
      return account.switches
    case 'POST latency':
      account.latencyMs = Number(input().ms)
      return { latencyMs: account.latencyMs }
    case 'POST night':
      return runNight(account)
    case 'POST age':
      ageTokens(estate, Number(input().id), Number(input().ms))
      return {}
    case 'POST reset':
      return { userSecret: resetUserSecret(account) }
    case 'POST forget':
      forget(estate)
      return {}
    default:
      return undefined
  }
}

/** Changes some switches of a running account. Throws TypeError where a name or a value is unknown. */
export function changeSwitches(
  { account }: Estate,
  switches: Partial<OpenConnectorsSwitches>,
): OpenConnectorsSwitches {
  account.switches = resolveSwitches({ ...account.switches, ...switches })
  return account.switches
}

/** Lets the last refresh of an instance lie further back. Throws TypeError where there is none. */
export function ageTokens({ account }: Estate, id: number, ms: number): void {
  const instance = account.instances.get(id)
  const time = instance?.configuration['oauth.user.refresh_time'] ?? ''
  if (instance === undefined || time === '') {
    throw new TypeError(`no instance that was ever refreshed has the id ${id}`)
  }
  const unit = time.length <= 10 ? 1_000 : 1
  const aged = String(Number(time) - Math.round(ms / unit))
  instance.configuration = { ...instance.configuration, 'oauth.user.refresh_time': aged }
}

/** Empties what was recorded; what is so stays. */
export function forget({ account, log }: Estate): void {
  account.emails.length = 0
  account.providerCalls.length = 0
  log.clear()
}
