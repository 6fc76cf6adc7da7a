import { isRescindError, RescindError } from '../../core/errors.ts'
import type { Http } from '../../core/http.ts'
import { Secret } from '../../core/secret.ts'
import type { Mail, Mailbox } from '../open-connectors/platform.ts'
import type { Witness } from './context.ts'

/** The control plane of an emulator, which no real provider has. */
export interface EmulatorControl {
  ask<Answer>(name: string): Promise<Answer>
  tell<Answer>(name: string, value: unknown, how?: TellOptions): Promise<Answer>
}

interface TellOptions {
  /** Within which it answers; as any other request unless told. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** The night answers when it is over: five refreshes of each dead instance, ten seconds apart unless told. */
const NIGHT_MS_MAX = 30 * 60_000

/**
 * Opens the control plane of an emulator on this machine.
 *
 * @param url any address of the emulator
 * @throws RescindError `drill_refused` where nothing answers as an emulator does
 */
export function emulatorControl(url: string, http: Http): EmulatorControl {
  const { origin } = new URL(url)
  const send = async <Answer>(name: string, body?: string, how?: TellOptions): Promise<Answer> => {
    const method = body === undefined ? 'GET' : 'POST'
    const answer = await http.send({ method, url: `${origin}/__emulator/${name}`, body, ...how })
    const told = answer.status === 200 ? readJson(answer.body) : undefined
    if (told !== undefined) return told as Answer
    throw new RescindError(
      'drill_refused',
      `${origin} does not answer as an emulator (${answer.status} to ${name}): a simulated drill, and faults, take one. Start it with: rescind emulate`,
    )
  }
  return {
    ask: (name) => send(name),
    tell: (name, value, how) => send(name, JSON.stringify(value), how),
  }
}

/** Runs the nightly refresh of an emulated account, to its end. */
export function emulatorNight({ tell }: EmulatorControl): (signal?: AbortSignal) => Promise<void> {
  return async (signal) => void (await tell('night', {}, { timeoutMs: NIGHT_MS_MAX, signal }))
}

/** A server that answers 200 to everything answers with a page as a rule. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Asks whether an emulator answers, and no real server; null where nobody does. */
export async function isEmulator(control: EmulatorControl): Promise<boolean | null> {
  try {
    const answer = await control.ask<{ readonly faults?: unknown } | null>('faults')
    return Array.isArray(answer?.faults)
  } catch (error) {
    if (!isRescindError(error)) throw error
    return error.code === 'drill_refused' ? false : null
  }
}

interface LoggedRequest {
  readonly at: number
  readonly route: string
  readonly grantType?: string | null
  readonly clientId?: string | null
  readonly grant?: number | null
  readonly status: number
}

/** Each drill of the same app asks once with a token of nobody, to see that its client is taken. */
const UNPLACED_MAX = 3

/** The connection whose refreshes are counted. */
export interface Witnessed {
  readonly clientId: string
  /** The refresh token that the platform holds now. */
  held(): Promise<Secret | null>
}

/**
 * Counts the refreshes of one connection in the log of an emulated org: those that its app made with a token of a
 * grant that it has or had, spent and dead ones too. Of others nothing is said, as when two are drilled at once;
 * but many of no grant at all are a platform that sends a spoilt token.
 */
export function emulatorWitness(control: EmulatorControl, { clientId, held }: Witnessed): Witness {
  return {
    async refreshes(since, old) {
      const tokens = [old, await held()].filter((token) => token !== null)
      const grants = await Promise.all(
        tokens.map((token) => grantOf(control, token, 'refreshToken')),
      )
      const own = grants.map(({ grant }) => grant).filter((grant) => grant !== null)
      const all = await tokenRequests(control, 'refresh_token', since)
      const requests = all.filter((one) => one.clientId === clientId)
      const unplaced = requests.filter(({ grant }) => grant === null).length
      const counted = requests.filter(({ grant }) => own.some((one) => one === grant)).length
      return counted + (unplaced > UNPLACED_MAX ? unplaced : 0)
    },
  }
}

/** What an emulated org answered to the codes that were presented since a moment: statuses. */
export async function codesPresented(
  control: EmulatorControl,
  since: number,
): Promise<readonly number[]> {
  return (await tokenRequests(control, 'authorization_code', since)).map(({ status }) => status)
}

async function tokenRequests(control: EmulatorControl, grant: string, since: number) {
  const { requests } = await control.ask<{ requests: readonly LoggedRequest[] }>('requests')
  return requests.filter(
    ({ at, route, grantType }) => at >= since && route === 'token' && grantType === grant,
  )
}

/** What names a grant of an emulated org: a refresh token of its, or the code that brought it. */
export type GrantKey = 'refreshToken' | 'code'

/** Asks an emulated org for the handle of a grant; null where it knows none. */
export async function handleOf(
  control: EmulatorControl,
  secret: Secret,
  key: GrantKey = 'refreshToken',
): Promise<Secret | null> {
  const { deleteToken } = await grantOf(control, secret, key)
  return deleteToken === null ? null : new Secret(deleteToken)
}

interface GrantOf {
  /** As the log of requests names it; no secret. */
  readonly grant: number | null
  readonly deleteToken: string | null
}

function grantOf(control: EmulatorControl, secret: Secret, key: GrantKey): Promise<GrantOf> {
  return control.tell('grant-of', { [key]: secret.reveal() })
}

/** Does something while faults are in force at an emulator, and counts the calls that they struck. */
export async function underFaults<Outcome>(
  control: EmulatorControl,
  faults: readonly object[],
  work: () => Promise<Outcome>,
): Promise<{ readonly outcome: Outcome; readonly struck: number }> {
  await control.tell('faults', faults)
  const outcome = await work()
  const inForce = await control.ask<{ faults: readonly { struck: number }[] }>('faults')
  await control.tell('faults', [])
  return { outcome, struck: inForce.faults.reduce((sum, { struck }) => sum + struck, 0) }
}

interface ProviderCall {
  readonly at: number
  readonly instanceId: number | null
  readonly kind: string
}

/** Counts the refreshes of one instance that an emulated account sent to the provider. */
export function instanceWitness(control: EmulatorControl, instance: number): Witness {
  return {
    async refreshes(since) {
      const { calls } = await control.ask<{ calls: readonly ProviderCall[] }>('provider')
      return calls.filter(
        ({ at, instanceId, kind }) => at >= since && instanceId === instance && kind === 'refresh',
      ).length
    },
  }
}

/** The catcher in which an emulated account's mails end. */
export function emulatorMailbox(control: EmulatorControl): Mailbox {
  return {
    async since(at) {
      const { emails } = await control.ask<{ emails: readonly Mail[] }>('emails')
      return emails.filter((mail) => mail.at >= at)
    },
  }
}
