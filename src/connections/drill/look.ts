import { isRescindError } from '../../core/errors.ts'
import type { Identity, ProbeAnswer } from '../../providers/connection-way.ts'
import type { DrillContext } from './context.ts'
import type { HeldTokens, OtherConnection, PlatformCall } from './platform.ts'

/** An answer through the platform, as evidence shows it. */
export interface SeenCall {
  readonly ok: boolean
  readonly status: number | null
  readonly identity: string | null
  readonly providerRefused: boolean
  readonly cause: string | null
  readonly requestId: string | null
  readonly ms: number
}

/** An answer of the provider's own, as evidence shows it. */
export interface SeenProbe {
  readonly verdict: ProbeAnswer['verdict']
  readonly status: number | null
  readonly code: string | null
  readonly identity: string | null
  readonly ms: number
}

/** Writes who a grant belongs to, by the provider's own ids. */
export function identityText(identity: Identity | null): string | null {
  return identity === null ? null : `${identity.org}/${identity.user}`
}

/** Calls through the platform. A call that breaks on the way is a failed call, and no end of the drill. */
export async function callThrough(
  { clock, signal }: DrillContext,
  call: (signal?: AbortSignal) => Promise<PlatformCall>,
): Promise<SeenCall> {
  const startedAt = clock.now()
  try {
    const { identity, ...answer } = await call(signal)
    return { ...answer, identity: identityText(identity), ms: clock.now() - startedAt }
  } catch (error) {
    if (!isRescindError(error)) throw error
    const ms = clock.now() - startedAt
    return {
      ok: false,
      status: null,
      identity: null,
      providerRefused: false,
      cause: error.code,
      requestId: null,
      ms,
    }
  }
}

/** Asks the provider directly with an access token. */
export async function probeDirectly(
  { clock, direct, secrets }: DrillContext,
  token = secrets.old?.access,
): Promise<SeenProbe> {
  const startedAt = clock.now()
  if (token === undefined) {
    return { verdict: 'unclear', status: null, code: 'no_token', identity: null, ms: 0 }
  }
  const answer = await direct.way.probe(direct.app, token, direct.means)
  return {
    verdict: answer.verdict,
    status: answer.status,
    code: 'code' in answer ? answer.code : null,
    identity: 'identity' in answer ? identityText(answer.identity) : null,
    ms: clock.now() - startedAt,
  }
}

/** Each is a call to the provider, and a tenant may have thousands. */
const OTHERS_CALLED_MAX = 10

/** Calls through other connections that are said to be well, those of the same user first; names who answered. */
export async function answeringOthers(
  context: DrillContext,
  others: readonly OtherConnection[],
  identity: Identity | null,
): Promise<readonly string[]> {
  const own = identityText(identity)
  const isOwn = (other: OtherConnection) => identityText(other.identity ?? null) === own
  const asked = others
    .filter(({ state }) => state === 'connected')
    .toSorted((a, b) => Number(isOwn(b)) - Number(isOwn(a)))
    .slice(0, OTHERS_CALLED_MAX)
  const answering: string[] = []
  for (const { id } of asked) if (await answers(context, id)) answering.push(id)
  return answering
}

/** Asks whether a call through another connection goes well. */
export async function answers(context: DrillContext, other: string): Promise<boolean> {
  return (await callThrough(context, (on) => context.platform.callOther(other, on))).ok
}

/** Asks whose grant it is: the platform where it knows, else the provider itself. */
export async function whoseGrant({
  platform,
  direct,
  signal,
}: Pick<DrillContext, 'platform' | 'direct' | 'signal'>): Promise<Identity | null> {
  const { identity } = await platform.snapshot(signal)
  if (identity !== null) return identity
  const { access } = await platform.tokens(signal)
  const probe = await direct.way.probe(direct.app, access, direct.means)
  return probe.verdict === 'alive' ? probe.identity : null
}

/** Whether the connection is shown to be somebody else's now than before the drill. */
export async function isAnothers(context: DrillContext): Promise<boolean> {
  const right = identityText(context.memory.before?.identity ?? null)
  const now = await whoseGrant(context).catch((error: unknown) => {
    if (!isRescindError(error)) throw error
    return null
  })
  return right !== null && now !== null && identityText(now) !== right
}

/** The tokens that the platform holds; null where it does not say. */
export async function heldNow(context: DrillContext): Promise<HeldTokens | null> {
  try {
    const held = await context.platform.tokens(context.signal)
    context.keepOut(held.access, held.refresh)
    return held
  } catch (error) {
    if (!isRescindError(error)) throw error
    return null
  }
}

/** A stranger's grant answers as well: what is somebody else's is not back. */
export async function isWell(context: DrillContext): Promise<boolean> {
  const { ok } = await callThrough(context, (on) => context.platform.call(on))
  return ok && !(await isAnothers(context))
}

/** A platform may say that calls go well: the provider must take the token that it holds. */
export async function isBackNow(context: DrillContext): Promise<boolean> {
  if (!(await isWell(context))) return false
  const held = await heldNow(context)
  return held !== null && (await probeDirectly(context, held.access)).verdict === 'alive'
}

/** Refreshes since a moment, by all who count them. */
export interface SeenRefreshes {
  readonly platform: number | null
  readonly provider: number | null
}

export async function countRefreshes(
  { platform, witness, secrets }: DrillContext,
  since: number,
): Promise<SeenRefreshes> {
  const [byPlatform, byProvider] = await Promise.all([
    platform.refreshes(since),
    witness === null ? null : witness.refreshes(since, secrets.old?.refresh ?? null),
  ])
  return { platform: byPlatform, provider: byProvider }
}

/** The larger of the counts: who misses some must not make it look better. Null when nobody counts. */
export function mostOf({ platform, provider }: SeenRefreshes): number | null {
  if (platform === null && provider === null) return null
  return Math.max(platform ?? 0, provider ?? 0)
}

/**
 * Asks again and again until an answer will do, or the time is up; gives the last answer.
 *
 * @param everyMs how long it waits between two
 */
export async function until<Answer>(
  { clock, signal }: DrillContext,
  wish: { readonly ms: number; readonly everyMs: number },
  ask: () => Promise<Answer>,
  isEnough: (answer: Answer) => boolean,
): Promise<Answer> {
  const deadline = clock.now() + wish.ms
  for (;;) {
    const answer = await ask()
    if (isEnough(answer) || clock.now() >= deadline) return answer
    await clock.sleep(Math.min(wish.everyMs, Math.max(0, deadline - clock.now())), signal)
  }
}
