import type { DrillContext } from '../context.ts'
import { rememberGrants } from '../live-grants.ts'
import {
  answeringOthers,
  callThrough,
  identityText,
  probeDirectly,
  type SeenCall,
  type SeenProbe,
  whoseGrant,
} from '../look.ts'
import { fail, failFirst, pass, type StepOf } from '../step.ts'

/** Signed requests and lifetimes of tokens break beyond this, and the times of a drill say nothing. */
export const CLOCK_OFFSET_MS_MAX = 5 * 60_000

export interface SeenSnapshot {
  readonly id: string
  readonly state: string
  readonly access: string | null
  readonly refresh: string | null
  /** What the platform itself says that it holds. */
  readonly stored: { readonly access: string | null; readonly refresh: string | null }
  readonly identity: string | null
  readonly scopes: readonly string[]
  readonly facts: Readonly<Record<string, string>>
  readonly liveTokens: number | null
  /** The provider's clock less ours; null when it does not tell. */
  readonly clockOffsetMs: number | null
  readonly others: number
}

/** Step 0: what there is, before anything is done. */
export const snapshotStep: StepOf<SeenSnapshot> = {
  no: 0,
  name: 'Snapshot',
  act: 'Read the connection and its tokens, without using them.',
  passOnlyIf: 'It is connected, both tokens are there, and the clocks agree.',
  async ask(context) {
    const { platform, fingerprint, memory, secrets, signal } = context
    const snapshot = await platform.snapshot(signal)
    const old = await platform.tokens(signal)
    context.keepOut(old.access, old.refresh)
    const others = await platform.others(signal)
    secrets.old = old
    const identity = await whoseGrant(context)
    memory.before = { ...snapshot, identity }
    memory.others = Object.fromEntries(others.map(({ id, state }) => [id, state]))
    memory.othersAnswering = await answeringOthers(context, others, identity)
    memory.liveBefore = await countLive(context)
    await rememberGrants(context)
    return {
      id: snapshot.id,
      state: snapshot.state,
      access: fingerprint(old.access),
      refresh: old.refresh && fingerprint(old.refresh),
      stored: { access: snapshot.accessFingerprint, refresh: snapshot.refreshFingerprint },
      identity: identityText(identity),
      scopes: snapshot.scopes,
      facts: snapshot.facts,
      liveTokens: memory.liveBefore,
      clockOffsetMs: await clockOffset(context),
      others: others.length,
    }
  },
  judge: ({ state, refresh, identity, clockOffsetMs, stored, access }) =>
    failFirst(
      [
        state !== 'connected' &&
          `The connection is ${state} before the drill: bring it back first, then drill.`,
        refresh === null && 'The platform holds no refresh token: there is nothing to drill.',
        identity === null && 'Nobody can say whose grant it is: a stranger could come back unseen.',
        stored.access !== null &&
          stored.access !== access &&
          'The platform holds another access token than it says.',
        clockOffsetMs !== null &&
          Math.abs(clockOffsetMs) > CLOCK_OFFSET_MS_MAX &&
          `The provider's clock is ${Math.round(Math.abs(clockOffsetMs) / 60_000)} minutes ${clockOffsetMs > 0 ? 'ahead of' : 'behind'} ours: set the clock that is wrong, then drill again.`,
      ],
      'Connected, with both tokens.',
    ),
}

/**
 * Counts the live tokens of the connection's user and app; null where the provider cannot say. It is
 * asked with a token of that count: none at all is the count of another app.
 */
export async function countLive(
  context: Pick<DrillContext, 'direct' | 'platform' | 'signal'>,
): Promise<number | null> {
  const { way, app, means } = context.direct
  if (way.countLive === undefined) return null
  const identity = await whoseGrant(context)
  if (identity === null) return null
  const { access } = await context.platform.tokens(context.signal)
  return (await way.countLive(app, identity, access, means)) || null
}

/** `Date` has whole seconds: its middle is taken, so that the error is half a second. */
const DATE_HALF_MS = 500

async function clockOffset({ direct, clock, signal }: DrillContext): Promise<number | null> {
  const { app, means } = direct
  const sentAt = clock.now()
  const { headers } = await means.http.send({ method: 'GET', url: app.url, signal })
  const told = Date.parse(headers.date ?? '')
  if (Number.isNaN(told)) return null
  return Math.round(told + DATE_HALF_MS - (sentAt + clock.now()) / 2)
}

export interface SeenBaseline {
  readonly identity: string | null
  readonly platform: SeenCall
  readonly direct: SeenProbe
  /** The platform refreshed for this call: the tokens of step 0 are the ones before. */
  readonly refreshed: boolean
}

/** Step 1: it works now, for both who ask. */
export const baselineStep: StepOf<SeenBaseline> = {
  no: 1,
  name: 'Baseline',
  act: 'Make the cheapest read through the platform, and the same at the provider.',
  passOnlyIf: 'Both answer, and with the same identity.',
  async ask(context) {
    const { platform, secrets, memory, fingerprint, signal } = context
    const call = await callThrough(context, (on) => platform.call(on))
    const now = await platform.tokens(signal)
    const refreshed =
      secrets.old !== null && fingerprint(now.access) !== fingerprint(secrets.old.access)
    context.keepOut(now.access, now.refresh)
    secrets.old = now
    if (refreshed) {
      const identity = await whoseGrant(context)
      memory.before = { ...(await platform.snapshot(signal)), identity }
    }
    return {
      identity: identityText(memory.before?.identity ?? null),
      platform: call,
      direct: await probeDirectly(context),
      refreshed,
    }
  },
  judge: ({ identity, platform, direct }) =>
    failFirst(
      [
        !platform.ok &&
          `A call through the platform fails already (${platform.status ?? 'no answer'}).`,
        direct.verdict !== 'alive' &&
          `The provider does not take the token that the platform holds (${direct.code ?? direct.status}).`,
        direct.identity !== null &&
          direct.identity !== identity &&
          'The provider says that the token is somebody else’s.',
        platform.identity !== null &&
          platform.identity !== identity &&
          'The platform’s call was made as somebody else.',
      ],
      [platform.identity, direct.identity].includes(identity)
        ? 'Alive for the platform and for the provider, as the same user.'
        : 'Alive for the platform and for the provider.',
    ),
}

export interface SeenControl {
  readonly platform: boolean
  readonly provider: { readonly ok: boolean; readonly status: number | null }
}

/** Step 2: what fails later is not our own fault. */
export const controlStep: StepOf<SeenControl> = {
  no: 2,
  name: 'Control',
  act: 'Ask the platform and the provider for what needs no grant.',
  passOnlyIf: 'Both answer: our own credentials and the way are well.',
  ask: async ({ platform, direct, signal }) => {
    const { ok, status } = await direct.way.control(direct.app, direct.means)
    return { platform: await platform.control(signal), provider: { ok, status } }
  },
  judge({ platform, provider }) {
    if (!platform) return fail('The platform refuses our own credentials: a 401 would say nothing.')
    if (!provider.ok) return fail(`The provider is not well (${provider.status ?? 'no answer'}).`)
    return pass('Our credentials and the way to the provider are well.')
  },
}
