import type { RequestListener } from 'node:http'
import { listen } from '../listen.ts'
import { createRequestLog } from '../request-log.ts'
import {
  type Account,
  arrivedEmails,
  createAccount,
  type Email,
  resetUserSecret,
} from './account.ts'
import { ageTokens, changeSwitches, forget } from './control.ts'
import type { Fault, RouteName } from './faults.ts'
import type { OpenConnectorsOptions, OpenConnectorsSwitches } from './options.ts'
import type { ProviderCall } from './provider.ts'
import { type Night, runNight } from './refresh.ts'
import type { RequestLog, RequestRecord } from './request-log.ts'
import { API_PATH, createHandler, type Estate } from './server.ts'
import { type AccountTruth, createTruth } from './truth.ts'

/** The secrets of an account, as its profile page shows them. */
export interface AccountCredentials {
  readonly userSecret: string
  readonly organizationSecret: string
}

/** What whoever runs an account can see of it and do to it. */
export interface AccountControls {
  /** As they are now: a reset changes the user's. */
  readonly credentials: AccountCredentials
  readonly truth: AccountTruth
  /** The newest requests, without bodies and secrets. */
  readonly log: readonly RequestRecord[]
  /** What the platform asked of the providers, oldest first. */
  readonly providerCalls: readonly ProviderCall[]
  /** How many requests each route has seen. */
  counters(): ReadonlyMap<RouteName, number>
  /** The e-mails that have arrived, oldest first. */
  emails(): readonly Email[]
  /** Empties e-mails, provider calls and the request log. */
  forget(): void
  setFaults(faults: readonly Fault[]): void
  setLatency(ms: number): void
  setSwitches(switches: Partial<OpenConnectorsSwitches>): void
  resetUserSecret(): string
  /** Lets the last refresh of an instance lie so much further back. */
  ageTokens(id: number, ms: number): void
  /** Runs the nightly refresh, and resolves when every instance is refreshed or locked. */
  runNight(): Promise<Night>
}

/** A running account: what a client sees of it is its `apiUrl`. */
export interface OpenConnectorsAccount extends AccountControls, AsyncDisposable {
  /** Scheme, host and port: the control plane lies below it. */
  readonly url: string
  /** The base of every documented path. */
  readonly apiUrl: string
  close(): Promise<void>
}

/** An account without a server: its handler can be mounted on any. */
export interface OpenConnectorsEstate extends AccountControls {
  readonly handler: RequestListener
  /** Ends what waits: repetitions, and the night to come. */
  end(): void
}

/** Builds an account and its handler without listening. Throws TypeError where a switch or fault is unknown. */
export function createOpenConnectors(options: OpenConnectorsOptions): OpenConnectorsEstate {
  const account = createAccount(options)
  const log: RequestLog = createRequestLog()
  const estate: Estate = { account, log, truth: createTruth(account) }
  void keepNights(account, options.nightMs ?? DAY_MS)
  return {
    handler: createHandler(estate),
    end: () => account.ending.abort(),
    truth: estate.truth,
    log: log.entries,
    providerCalls: account.providerCalls,
    credentials: {
      get userSecret() {
        return account.userSecret
      },
      organizationSecret: account.organizationSecret,
    },
    counters: () => log.counters,
    emails: () => arrivedEmails(account),
    forget: () => forget(estate),
    setFaults: (faults) => account.faults.set(faults),
    setLatency: (ms) => {
      account.latencyMs = ms
    },
    setSwitches: (switches) => void changeSwitches(estate, switches),
    resetUserSecret: () => resetUserSecret(account),
    ageTokens: (id, ms) => ageTokens(estate, id, ms),
    runNight: () => runNight(account),
  }
}

const DAY_MS = 86_400_000

/** Runs the nightly refresh once a night until the account ends. */
async function keepNights(account: Account, nightMs: number): Promise<void> {
  try {
    while (true) {
      await account.clock.sleep(nightMs, account.ending.signal)
      await runNight(account)
    }
  } catch {
    // The account has ended.
  }
}

/** Starts an account on a port of its own and resolves once it listens. */
export async function startOpenConnectors(
  options: OpenConnectorsOptions,
): Promise<OpenConnectorsAccount> {
  const { handler, end, ...estate } = createOpenConnectors(options)
  const { url, close: stop } = await listen(handler, options).catch((error: unknown) => {
    // The night to come would keep the process.
    end()
    throw error
  })
  const close = (): Promise<void> => {
    end()
    return stop()
  }
  const place = { url, apiUrl: url + API_PATH, close, [Symbol.asyncDispose]: close }
  return Object.assign(estate, place)
}
