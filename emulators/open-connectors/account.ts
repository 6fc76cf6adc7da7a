import { createHash } from 'node:crypto'
import type { Clock } from '../../src/core/clock.ts'
import { createScaledClock } from '../scaled-clock.ts'
import { createFaultPlan, type FaultPlan } from './faults.ts'
import type { Instance } from './instance.ts'
import {
  type OpenConnectorsOptions,
  type OpenConnectorsSwitches,
  resolveSwitches,
} from './options.ts'
import type { ProviderCall } from './provider.ts'

/** One message in the catcher, where the platform's notices end. */
export interface Email {
  readonly id: string
  /** When it arrived, in milliseconds of the account's clock. */
  readonly at: number
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly instanceId: number
}

/** The whole state of an emulated account. */
export interface Account {
  readonly seed: number
  readonly salesforceUrl: string
  readonly clock: Clock
  readonly faults: FaultPlan
  /** By id, oldest first; what was deleted is gone. */
  readonly instances: Map<number, Instance>
  readonly emails: Email[]
  /** What the platform asked of the providers, oldest first. */
  readonly providerCalls: ProviderCall[]
  /** Every secret that the account ever made or was given. */
  readonly secrets: Set<string>
  readonly refreshRetryMs: number
  /** Ends what waits when the account is closed. */
  readonly ending: AbortController
  readonly organizationSecret: string
  userSecret: string
  userSecretResets: number
  /** Those that it was started with. */
  readonly firstSwitches: OpenConnectorsSwitches
  switches: OpenConnectorsSwitches
  latencyMs: number
  lastInstanceId: number
  elementTokensMade: number
  requests: number
}

const REFRESH_RETRY_MS = 10_000
/** The first instance gets the id that the vendor's samples begin with. */
const FIRST_INSTANCE_ID = 4_013

/** Builds an account without instances. Throws TypeError where a switch, a fault or the address is wrong. */
export function createAccount(options: OpenConnectorsOptions): Account {
  const seed = options.seed ?? 1
  if (!URL.canParse(options.salesforceUrl)) {
    const message = 'salesforceUrl is not an address: name that of an emulated org'
    throw new TypeError(`${message}, like http://127.0.0.1:4400`)
  }
  const switches = resolveSwitches(options.switches)
  const account: Account = {
    seed,
    salesforceUrl: new URL(options.salesforceUrl).origin,
    clock: options.clock ?? createScaledClock(options.timeScale ?? 1),
    faults: createFaultPlan(seed, options.faults ?? []),
    instances: new Map(),
    emails: [],
    providerCalls: [],
    secrets: new Set(),
    refreshRetryMs: options.refreshRetryMs ?? REFRESH_RETRY_MS,
    ending: new AbortController(),
    organizationSecret: createHash('md5').update(`${seed}:organization`).digest('hex'),
    userSecret: userSecretOf(seed, 0),
    userSecretResets: 0,
    firstSwitches: switches,
    switches,
    latencyMs: options.latencyMs ?? 0,
    lastInstanceId: FIRST_INSTANCE_ID,
    elementTokensMade: 0,
    requests: 0,
  }
  account.secrets.add(account.organizationSecret).add(account.userSecret)
  return account
}

/** Gives the user a new secret; the old one is dead at once. */
export function resetUserSecret(account: Account): string {
  account.userSecretResets += 1
  account.userSecret = userSecretOf(account.seed, account.userSecretResets)
  account.secrets.add(account.userSecret)
  return account.userSecret
}

/** A secret with every sign that a parser may stumble on: `+`, `/` and an `=` in the middle. */
function userSecretOf(seed: number, ordinal: number): string {
  const text = base64(`${seed}:user:${ordinal}`)
  return `${text.slice(0, 8)}+${text.slice(8, 16)}/${text.slice(16, 24)}=${text.slice(24, 40)}`
}

/** Makes the next Element token of the account. */
export function makeElementToken(account: Account): string {
  account.elementTokensMade += 1
  const text = base64(`${account.seed}:element:${account.elementTokensMade}`)
  const token = `${text.slice(0, 20)}+/${text.slice(22)}`
  account.secrets.add(token)
  return token
}

function base64(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

/** Makes the id of the next request: 24 hex digits. */
export function makeRequestId(account: Account): string {
  account.requests += 1
  const text = `${account.seed}:request:${account.requests}`
  return createHash('sha256').update(text).digest('hex').slice(0, 24)
}

/** Gives the e-mails that have arrived. */
export function arrivedEmails(account: Account): Email[] {
  const now = account.clock.now()
  return account.emails.filter(({ at }) => at <= now)
}
