import type { Account } from './account.ts'
import { changeInstance, type Instance } from './instance.ts'
import { sendNotice } from './notice.ts'
import { presentRefreshToken, type TokenRefusal, type Tokens, type Trigger } from './provider.ts'

/**
 * Refreshes of an instance.
 *
 * ```
 *               refreshed                                    fifth failure
 *   ┌──────────────────────────────┐        ┌──────────────────────────────────────────┐
 *   ▼                              │        │                                          ▼
 * healthy ──── refresh fails ──▶ failing ───┘  again after the pause: by itself,   locked, and the
 *   ▲                                          or with the next call (a switch)    instance disabled,
 *   │                                                                              an e-mail sent
 *   └───────────── re-authenticated, or enabled by hand ───────────────────────────────┘
 * ```
 *
 * 1. Two attempts lie at least the pause apart; calls in between get the last failure.
 * 2. A locked refresh asks the provider nothing.
 *
 * A storm keeps neither.
 */
const FAILURES_MAX = 5
/** How many refreshes a storm sends where one is needed. */
const STORM_REFRESHES = 20

/** Refreshes an instance. Gives undefined where it worked, and else what the provider said. */
export function refreshInstance(
  account: Account,
  instance: Instance,
  trigger: Trigger,
): Promise<TokenRefusal | undefined> {
  const { refreshing } = instance
  const { switches } = account
  if (switches.refreshes === 'storm') return storm(account, instance, trigger)
  if (refreshing.locked || isPausing(account, instance)) {
    return Promise.resolve(refreshing.lastRefusal)
  }
  if (switches.concurrentRefreshes === 'each') return attempt(account, instance, trigger)
  refreshing.running ??= attempt(account, instance, trigger).finally(() => {
    refreshing.running = undefined
  })
  return refreshing.running
}

function isPausing({ clock, refreshRetryMs }: Account, { refreshing }: Instance): boolean {
  return clock.now() - refreshing.lastFailedAt < refreshRetryMs
}

async function storm(
  account: Account,
  instance: Instance,
  trigger: Trigger,
): Promise<TokenRefusal | undefined> {
  let refusal: TokenRefusal | undefined
  for (let n = 0; n < STORM_REFRESHES; n += 1) refusal = await attempt(account, instance, trigger)
  return refusal
}

async function attempt(
  account: Account,
  instance: Instance,
  trigger: Trigger,
): Promise<TokenRefusal | undefined> {
  const { refreshing } = instance
  instance.refreshAttempts += 1
  const { tokens, refusal } = await presentRefreshToken(account, instance, trigger)
  // What was re-authenticated meanwhile has newer tokens than these.
  if (instance.refreshing !== refreshing) return undefined
  if (refusal === undefined) {
    instance.refreshSuccesses += 1
    refreshing.failures = 0
    refreshing.lastFailedAt = Number.NEGATIVE_INFINITY
    const lost = account.switches.rotatedToken === 'lost'
    storeTokens(account, instance, lost ? { ...tokens, refreshToken: undefined } : tokens)
    return undefined
  }
  fail(account, instance, refusal)
  return refusal
}

function fail(account: Account, instance: Instance, refusal: TokenRefusal): void {
  const { refreshing } = instance
  const { notices, refreshes, failedRefreshIsRepeated } = account.switches
  refreshing.lastRefusal = refusal
  refreshing.lastFailedAt = account.clock.now()
  if (notices === 'never') return
  refreshing.failures += 1
  if (refreshing.locked) return
  const repeats = failedRefreshIsRepeated === 'by-itself' && refreshes === 'bounded'
  if (refreshing.failures >= FAILURES_MAX) lock(account, instance)
  else if (repeats) repeat(account, instance)
}

function lock(account: Account, instance: Instance): void {
  instance.refreshing.locked = true
  changeInstance(account, instance, () => {
    instance.disabled = true
  })
  sendNotice(account, instance)
}

/** Repeats a failed refresh after each pause, until it works, is locked, or somebody begins it anew. */
function repeat(account: Account, instance: Instance): void {
  const { refreshing } = instance
  refreshing.repeating ??= repeatUntilSettled(account, instance).finally(() => {
    refreshing.repeating = undefined
  })
}

async function repeatUntilSettled(account: Account, instance: Instance): Promise<void> {
  const { refreshing } = instance
  const { clock, refreshRetryMs, ending } = account
  const isOpen = (): boolean =>
    refreshing.failures > 0 &&
    !refreshing.locked &&
    instance.refreshing === refreshing &&
    account.instances.get(instance.id) === instance
  while (isOpen()) {
    const waitMs = refreshing.lastFailedAt + refreshRetryMs - clock.now()
    try {
      await clock.sleep(Math.max(waitMs, 1), ending.signal)
    } catch {
      return
    }
    if (isOpen()) await refreshInstance(account, instance, 'repetition')
  }
}

/** What the nightly refresh did. */
export interface Night {
  readonly refreshed: number
  readonly failed: number
}

/** Refreshes every enabled instance that can be, and resolves when each has its tokens or is locked. */
export async function runNight(account: Account): Promise<Night> {
  const due = [...account.instances.values()].filter(
    ({ disabled, configuration }) => !disabled && configuration['oauth.user.refresh_token'],
  )
  const results = await Promise.all(
    due.map(async (instance) => {
      const refusal = await refreshInstance(account, instance, 'night')
      if (refusal === undefined) return true
      if (account.switches.notices !== 'never') repeat(account, instance)
      await instance.refreshing.repeating
      return instance.refreshing.failures === 0 && account.switches.notices !== 'never'
    }),
  )
  const refreshed = results.filter(Boolean).length
  return { refreshed, failed: due.length - refreshed }
}

/** Writes tokens into a configuration; without a new refresh token the old one stays. */
export function storeTokens(account: Account, instance: Instance, tokens: Tokens): void {
  changeInstance(account, instance, () => {
    instance.configuration = {
      ...instance.configuration,
      'oauth.user.token': tokens.accessToken,
      'oauth.user.refresh_time': refreshTime(account),
      'base.url': tokens.instanceUrl,
      'sfdc.user.id.url': tokens.identityUrl,
      ...(tokens.refreshToken === undefined
        ? {}
        : { 'oauth.user.refresh_token': tokens.refreshToken }),
      ...(tokens.scope === undefined ? {} : { 'oauth.scope': tokens.scope }),
    }
  })
  // Those that a broken platform loses are secrets too.
  if (tokens.refreshToken !== undefined) account.secrets.add(tokens.refreshToken)
}

function refreshTime({ switches, clock }: Account): string {
  const now = clock.now()
  return String(switches.refreshTimeUnit === 's' ? Math.floor(now / 1000) : now)
}

/** Tells whether the interval since the last refresh is over; without either of them it never is. */
export function isIntervalOver({ clock }: Account, { configuration }: Instance): boolean {
  const intervalS = Number(configuration['oauth.user.refresh_interval'] ?? Number.NaN)
  const time = configuration['oauth.user.refresh_time'] ?? ''
  if (time === '' || Number.isNaN(intervalS)) return false
  const refreshedMs = time.length <= 10 ? Number(time) * 1000 : Number(time)
  return clock.now() - refreshedMs >= intervalS * 1000
}
