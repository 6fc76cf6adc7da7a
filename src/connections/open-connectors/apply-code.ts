import type { Clock } from '../../core/clock.ts'
import { mayHaveHadEffect } from '../../core/http.ts'
import type { Secret } from '../../core/secret.ts'
import type { Answer, Failure } from './answer.ts'
import type { OpenConnectorsClient } from './client.ts'
import { type Instance, tokensOf } from './instance.ts'

/** Reads may lag behind a change for a moment; a grant that shows no new token after this is none. */
const SETTLE_MS_MAX = 5_000
const LOOK_MS = 250

export type Route = 'PATCH' | 'PUT'

/** What a code came to. */
export type CodeApplied =
  | { readonly ok: true; readonly route: Route; readonly instance: Instance }
  /** Refused, lost on the way, or answered with a 2xx that changed no token: then `failure` is null. */
  | { readonly ok: false; readonly route: Route; readonly failure: Failure | null }

export interface ApplyMeans {
  readonly client: OpenConnectorsClient
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/** The route that a first code takes. */
export function firstRoute({ settings }: OpenConnectorsClient): Route {
  return settings.switches.apply === 'put' ? 'PUT' : 'PATCH'
}

/** The route that is left after another failed: it takes a fresh code, for the first may be spent. */
export function nextRoute({ settings }: OpenConnectorsClient, failed: Route): Route | null {
  return settings.switches.apply === 'patch-then-put' && failed === 'PATCH' ? 'PUT' : null
}

/**
 * Gives the platform a code, and looks whether its tokens are others now: a 200 alone is not taken for a
 * new grant, and an answer that was lost not for a failure. No page says that the id stays, so that
 * the instance is looked for.
 *
 * @throws RescindError `secret_masked`, and what the calls throw
 */
export async function applyCode(
  before: Instance,
  code: Secret,
  route: Route,
  means: ApplyMeans,
): Promise<CodeApplied> {
  const { client, signal } = means
  const answer = await heard(() =>
    route === 'PATCH' ? client.patch(before, code, signal) : client.put(before, code, signal),
  )
  if (answer !== 'lost' && !answer.ok) return { ok: false, route, failure: answer.failure }
  const shown = answer === 'lost' ? null : answer.value
  const instance = await settled(before, shown, means)
  return instance ? { ok: true, route, instance } : { ok: false, route, failure: null }
}

/** Sends what may have an effect; `lost` where nobody says whether it had. */
export async function heard<T>(send: () => Promise<Answer<T>>): Promise<Answer<T> | 'lost'> {
  try {
    return await send()
  } catch (error) {
    if (mayHaveHadEffect(error)) return 'lost'
    throw error
  }
}

/** Waits until the instance is read with other tokens; undefined when it never is. */
async function settled(
  before: Instance,
  shown: Instance | null,
  { client, clock, signal }: ApplyMeans,
): Promise<Instance | undefined> {
  const until = clock.now() + SETTLE_MS_MAX
  let id = shown?.id ?? before.id
  for (;;) {
    const now = await client.get(id, signal)
    if (now.ok && hasNewTokens(before, now.value)) return now.value
    if (!now.ok && now.failure.status === 404) id = (await sameToken(before, client, signal)) ?? id
    if (clock.now() >= until) return undefined
    await clock.sleep(LOOK_MS, signal)
  }
}

async function sameToken(
  { token }: Instance,
  client: OpenConnectorsClient,
  signal?: AbortSignal,
): Promise<number | undefined> {
  for await (const other of client.list(signal)) {
    if (token !== null && other.token?.reveal() === token.reveal()) return other.id
  }
  return undefined
}

/** A provider may keep the refresh token; a new access token is what every redeemed code brings. */
export function hasNewTokens(before: Instance, after: Instance): boolean {
  const [was, is] = [tokensOf(before).access, tokensOf(after).access]
  return is !== null && is.reveal() !== was?.reveal()
}
