import { formatCounted } from '../../../core/counts.ts'
import { isRescindError } from '../../../core/errors.ts'
import { formatDuration } from '../../../core/moments.ts'
import { missingScopes } from '../../grant-change.ts'
import type { DrillContext, DrillRules } from '../context.ts'
import { revokeSurplus, type SeenGrants } from '../live-grants.ts'
import {
  callThrough,
  identityText,
  probeDirectly,
  type SeenCall,
  type SeenProbe,
  until,
} from '../look.ts'
import { fail, failFirst, type Judgement, type StepOf, skip, unless } from '../step.ts'
import { countLive } from './before.ts'
import { lateOnly, noticesOfDeath } from './notice.ts'
import { enableAgain } from './reconnect.ts'
import { expectedOf } from './revoke.ts'

const LOOK_MS = 100
const CALL_MS = 250
/** Calls that must all go well before a connection counts as recovered. */
const CALLS_AFTER = 5
const SETTLE_MS = 1_000

/** States that no platform leaves by itself, once it has the code. */
const STUCK = new Set<string>(['reconnect_needed', 'disabled'])
/** Reads may lag behind a change for so long. */
const STUCK_MS = 5_000

/** The connection at one moment, as evidence shows it. */
export interface SeenHeld {
  readonly id: string
  readonly state: string
  readonly access: string | null
  readonly refresh: string | null
  readonly identity: string | null
  readonly scopes: readonly string[]
  /** Of the platform's own: the element token must outlive a reconnect. */
  readonly facts: Readonly<Record<string, string>>
}

export interface SeenNew {
  readonly before: SeenHeld
  readonly after: SeenHeld
  /** What came of enabling it once more, where the new grant did not lift the lock. */
  readonly enabled: string
  readonly platform: SeenCall
  readonly direct: SeenProbe
  readonly refreshed: readonly SeenRefreshed[]
}

/** One forced refresh, and whether it was kept. */
export interface SeenRefreshed {
  readonly call: SeenCall
  readonly accessChanged: boolean
  /** What the platform says that it holds is what it holds. */
  readonly persisted: boolean
}

/** Step 12: what came back is what was there, and it lasts. */
export const newStep: StepOf<SeenNew> = {
  no: 12,
  name: 'Verify new',
  act: 'Enable it once more where it is still disabled; call through the platform and directly; make it refresh.',
  passOnlyIf:
    'The same connection with new tokens, the same identity, no fewer scopes; refreshes work and are kept.',
  async ask(context) {
    const { platform, memory, clock, signal, secrets } = context
    const enabled = memory.reconnected ? await enableAgain(context) : 'not_needed'
    const call = await callUntilWell(context)
    if (call.ok) memory.recoveredAt ??= clock.now()
    const held = await platform.tokens(signal)
    context.keepOut(held.access, held.refresh)
    const after = await look(context, held)
    const probe = await probeDirectly(context, held.access)
    // Where spent tokens are refused, only the second refresh shows that the first one was kept.
    const rounds = context.rules.traits.rotation === 'never' ? 1 : 2
    // One that is cut off may take the grant with it: that is on the disk before it is asked for.
    memory.seenWell = false
    context.save()
    const refreshed: SeenRefreshed[] = []
    for (let round = 0; round < rounds; round += 1) refreshed.push(await forceRefresh(context))
    return {
      before: beforeOf(context, secrets.old),
      after,
      enabled,
      platform: call,
      direct: probe,
      refreshed,
    }
  },
  judge: (seen, rules) => judgeNew(seen, rules),
}

/** Waits for the first call that goes well, but not for what is shown for a while as what cannot heal by itself. */
async function callUntilWell(context: DrillContext): Promise<SeenCall> {
  const { platform, clock, rules } = context
  let stuckSince: number | null = null
  const look = async () => {
    const call = await callThrough(context, (on) => platform.call(on))
    const isStuck = !call.ok && (await isShownStuck(context))
    stuckSince = isStuck ? (stuckSince ?? clock.now()) : null
    return call
  }
  return until(
    context,
    { ms: rules.limits.recoverMs, everyMs: CALL_MS },
    look,
    ({ ok }) => ok || (stuckSince !== null && clock.now() - stuckSince >= STUCK_MS),
  )
}

/** A platform that does not answer may be well in a moment. */
async function isShownStuck({ platform, signal }: DrillContext): Promise<boolean> {
  try {
    return STUCK.has((await platform.snapshot(signal)).state)
  } catch (error) {
    if (!isRescindError(error)) throw error
    return false
  }
}

function judgeNew(seen: SeenNew, { depth, traits }: DrillRules): Judgement {
  const { before, after, platform, direct, refreshed } = seen
  const lost = missingScopes(before.scopes, after.scopes)
  const refreshStays = depth === 'access' && traits.rotation !== 'always'
  // A difference fails below: who is known on one side alone was not compared.
  const isSeen =
    before.identity !== null && [direct.identity, after.identity].includes(before.identity)
  const changedFacts = Object.keys(before.facts).filter(
    (name) => STABLE_FACTS.has(name) && before.facts[name] !== after.facts[name],
  )
  return failFirst(
    [
      !platform.ok &&
        `Calls through the platform still fail (${platform.cause ?? platform.status ?? 'no answer'}).`,
      direct.verdict !== 'alive' &&
        `The provider does not take the new token (${direct.code ?? direct.status}).`,
      direct.identity !== null &&
        direct.identity !== before.identity &&
        'Another identity came back: the new grant is somebody else’s.',
      after.identity !== null &&
        after.identity !== before.identity &&
        'The platform says that another identity came back.',
      after.id !== before.id && 'The connection has another id.',
      changedFacts.length > 0 &&
        `What must outlive a reconnect changed: ${changedFacts.join(', ')}.`,
      after.state !== 'connected' && `The platform says ${after.state}.`,
      after.access === before.access && 'The access token is the old one.',
      !refreshStays && after.refresh === before.refresh && 'The refresh token is the old one.',
      lost.length > 0 && `Scopes were lost: ${lost.join(', ')}.`,
      ...refreshed.map((one, round) => complaintOf(one, round)),
    ],
    `The same connection${isSeen ? ' and identity' : ''}, with ${refreshStays ? 'a new access token' : 'new tokens'}; a refresh works and is kept.${isSeen ? '' : ' Whose grant came back, nobody could say.'}`,
  )
}

/** Facts of a platform's that jobs hold on to. */
const STABLE_FACTS = new Set(['element', 'elementToken'])

function complaintOf(
  { call, accessChanged, persisted }: SeenRefreshed,
  round: number,
): string | false {
  const which =
    round === 0 ? 'A refresh' : 'The second refresh: what the first one brought was lost, for it'
  if (!call.ok) return `${which} fails (${call.cause ?? call.status ?? 'no answer'}).`
  if (!accessChanged) return `${which} brings no new token.`
  return (
    !persisted && `${which} is not kept: the platform says that it holds other tokens than it does.`
  )
}

async function look(
  { platform, fingerprint, signal }: DrillContext,
  held: Awaited<ReturnType<DrillContext['platform']['tokens']>>,
): Promise<SeenHeld> {
  const { id, state, identity, scopes, facts } = await platform.snapshot(signal)
  return {
    ...{ id, state, identity: identityText(identity), scopes, facts },
    access: fingerprint(held.access),
    refresh: held.refresh && fingerprint(held.refresh),
  }
}

function beforeOf(
  { memory, fingerprint }: DrillContext,
  old: DrillContext['secrets']['old'],
): SeenHeld {
  const { id = '', state = '', identity = null, scopes = [], facts = {} } = memory.before ?? {}
  return {
    ...{ id, state, identity: identityText(identity), scopes, facts },
    access: old && fingerprint(old.access),
    refresh: old?.refresh ? fingerprint(old.refresh) : null,
  }
}

async function forceRefresh(context: DrillContext): Promise<SeenRefreshed> {
  const { platform, fingerprint, signal } = context
  const before = fingerprint((await platform.tokens(signal)).access)
  const call = await callThrough(context, (on) => platform.forceRefresh(on))
  const held = await platform.tokens(signal)
  context.keepOut(held.access, held.refresh)
  const { accessFingerprint, refreshFingerprint } = await platform.snapshot(signal)
  const access = fingerprint(held.access)
  const refresh = held.refresh && fingerprint(held.refresh)
  const persisted =
    (accessFingerprint === null || accessFingerprint === access) &&
    (refreshFingerprint === null || refreshFingerprint === refresh)
  return { call, accessChanged: access !== before, persisted }
}

export interface SeenOld {
  readonly access: SeenProbe
  /** What the provider says to the old refresh token; null where it was not presented. */
  readonly refresh: string | null
  readonly whyNotRefresh: string | null
}

/** Step 13: what died stays dead. */
export const oldStep: StepOf<SeenOld> = {
  no: 13,
  name: 'Verify old',
  act: 'Present the old access token once more; the old refresh token only where that does no harm.',
  passOnlyIf: 'Refused, still; an access token that the provider documents to live on need not be.',
  async ask(context) {
    const { direct, secrets, rules } = context
    const old = secrets.old?.refresh ?? null
    const { rotation, replayKills } = rules.traits
    const access = await probeDirectly(context)
    if (rotation !== 'never' || replayKills) {
      const whyNotRefresh = 'The provider may take it for a replay, and end the new grant.'
      return { access, refresh: null, whyNotRefresh }
    }
    if (rules.depth === 'access' || old === null) {
      return { access, refresh: null, whyNotRefresh: 'It was not revoked.' }
    }
    const { error, status, tokens } = await direct.way.refresh(direct.app, old, direct.means)
    context.keepOut(tokens?.accessToken ?? null, tokens?.refreshToken ?? null)
    return {
      access,
      refresh: tokens === null ? (error ?? `${status}`) : 'tokens',
      whyNotRefresh: null,
    }
  },
  judge({ access, refresh, whyNotRefresh }, rules) {
    const isRefused = access.verdict === 'dead'
    const mayLive = expectedOf(rules) === 'alive'
    if (mayLive && !isRefused && refresh === null) {
      return skip(
        `The old access token may live on, as the provider documents for this depth, and the old refresh token was not presented. ${whyNotRefresh}`,
      )
    }
    return failFirst(
      [
        !mayLive &&
          !isRefused &&
          `The old access token is not refused (${access.code ?? access.status ?? access.verdict}).`,
        refresh === 'tokens' && 'The old refresh token still gives tokens.',
      ],
      refusedText(isRefused, refresh !== null),
    )
  },
}

function refusedText(access: boolean, refresh: boolean): string {
  if (access && refresh) return 'Both old tokens are still refused.'
  return access
    ? 'The old access token is still refused.'
    : 'The old refresh token is still refused; the access token may live on, as the provider documents for this depth.'
}

export interface SeenRecovery {
  readonly calls: number
  readonly failed: number
  readonly healedNotices: number
  /** Once for each time that it came back, as a drill that died may lose what did; null where somebody else was at it. */
  readonly healedMost: number | null
  /** That of `recoverMs` in which the drill was at work: all of it, where none of its processes died before that. */
  readonly workedMs: number | null
  readonly deaths: SeenDeaths
  readonly recoverMs: number | null
  /** The gap in which jobs had to wait. */
  readonly gap: { readonly from: number | null; readonly to: number | null }
}

/** What was told of the one death in the whole drill. */
export interface SeenDeaths {
  readonly notices: number
  /** More are too many; null where somebody else was at it too. Those that step 7 has judged are not judged again. */
  readonly most: number | null
  /** From the revocation to the last one. */
  readonly lastMs: number | null
}

/** Step 14: work goes on. */
export const recoveryStep: StepOf<SeenRecovery> = {
  no: 14,
  name: 'Recovery',
  act: 'Call as jobs would; read the notice that it is well again, and once more those of the death.',
  passOnlyIf:
    'All calls go well, nobody was told of the death once more, and the healing is told once, where the platform tells it.',
  async ask(context) {
    const { platform, clock, memory, rules, signal } = context
    const since = memory.revokedAt ?? clock.now()
    let failed = 0
    for (let calls = 0; calls < CALLS_AFTER; calls += 1) {
      if (!(await callThrough(context, (on) => platform.call(on))).ok) failed += 1
    }
    if (failed > 0) memory.seenWell = false
    const isHealed = async () =>
      (await platform.notices(since)).filter(({ kind }) => kind === 'healed').length
    const waits = rules.habits.tellsHealing && rules.depth !== 'access'
    const ms = waits ? rules.limits.notifyMs : 0
    await until(context, { ms, everyMs: LOOK_MS }, isHealed, (count) => count > 0)
    if (waits) await clock.sleep(SETTLE_MS, signal)
    const { revokedAt: from, recoveredAt: to } = memory
    const recoverMs = from === null || to === null ? null : to - from
    return {
      calls: CALLS_AFTER,
      failed,
      healedNotices: await isHealed(),
      healedMost: memory.deathNotices === undefined ? null : 1 + (memory.cameBackAnew ?? 0),
      workedMs: to === null ? null : to - Math.max(from ?? to, memory.resumed?.unrecoveredAt ?? 0),
      deaths: await lookAtDeaths(context, { since, isWell: failed === 0 }),
      recoverMs,
      gap: { from, to },
    }
  },
  judge(
    { failed, calls, healedNotices, healedMost, workedMs, deaths, recoverMs },
    { depth, habits, limits },
  ) {
    const late =
      recoverMs !== null &&
      recoverMs > limits.recoverMs &&
      `It took ${formatDuration(recoverMs)} to recover, and at most ${formatDuration(limits.recoverMs)} is allowed.`
    const judged = failFirst(
      [
        failed > 0 && `${failed} of ${calls} calls failed after the connection came back.`,
        recoverMs === null && 'It never recovered.',
        habits.tellsHealing &&
          depth !== 'access' &&
          healedNotices === 0 &&
          'Nobody was told that it is well again.',
        healedMost !== null &&
          healedNotices > healedMost &&
          `${healedNotices} notices of one healing came.`,
        tooMany(deaths),
        (workedMs ?? 0) > limits.recoverMs && late,
      ],
      `Well again ${formatDuration(recoverMs ?? 0)} after the revocation.`,
    )
    return unless(judged, [lateOnly(late), deaths.most === null && NOT_ALL_SEEN])
  },
}

const NOT_ALL_SEEN =
  'All calls go well. How often the death and the healing were told is not judged: somebody else brought the connection back, or the drill did not see all of it.'

async function lookAtDeaths(
  context: DrillContext,
  { since, isWell }: { readonly since: number; readonly isWell: boolean },
): Promise<SeenDeaths> {
  const { memory, rules } = context
  const { deathNotices, locksLifted = 0, cameBackAnew = 0, recoveredAt } = memory
  // What died again is told again, rightly.
  const end = isWell ? Number.POSITIVE_INFINITY : (recoveredAt ?? since)
  const times = (await noticesOfDeath(context, since)).map(({ at }) => at).filter((at) => at <= end)
  const right = Math.max(locksLifted, rules.depth === 'access' ? 0 : 1) + cameBackAnew
  const most = deathNotices === undefined ? null : Math.max(deathNotices, right)
  if (most !== null && times.length > most) memory.duplicateNotices = times.length - right
  const lastMs = times.length === 0 ? null : Math.max(...times) - since
  return { notices: times.length, most, lastMs }
}

function tooMany({ notices, most, lastMs }: SeenDeaths): string | false {
  if (most === null || notices <= most) return false
  const last = `${formatDuration(lastMs ?? 0)} after the revocation`
  return most === 0
    ? `Somebody was told of a death, ${last}, and only the access token was dead.`
    : `${formatCounted(notices, 'notice')} of one death came, the last ${last}.`
}

export interface SeenHygiene {
  readonly before: number | null
  readonly after: number | null
  /** Null where the provider counts the tokens alone, or not even that. */
  readonly grants: SeenGrants | null
  /** A process of the drill died: what began or ended meanwhile may be anybody's. */
  readonly isResumed: boolean
}

/** Step 15: nothing is left behind, and nothing else is gone. */
export const hygieneStep: StepOf<SeenHygiene> = {
  no: 15,
  name: 'Hygiene',
  act: 'Count the live tokens of the user and the app; revoke what the drill has left over.',
  passOnlyIf: 'As many as before, none of the drill’s left over, and none gone that should live.',
  async ask(context) {
    const grants = await revokeSurplus(context)
    const before = context.memory.liveBefore
    const isResumed = context.memory.resumed !== undefined
    return { before, after: await countLive(context), grants, isResumed }
  },
  judge({ before, after, grants, isResumed }) {
    if (before === null || after === null) {
      return skip('The provider cannot say how many live tokens the user and the app have.')
    }
    const { left = 0, gone = 0, revoked = 0 } = grants ?? {}
    const count = `${formatCounted(after, 'live token')}, and ${before} before`
    const judged = failFirst(
      [
        gone > 0 &&
          `${count}: ${gone} of those before ${gone === 1 ? 'is' : 'are'} gone that the drill did not revoke.`,
        left > 0 &&
          `${count}: ${left} began meanwhile, and ${left === 1 ? 'is' : 'are'} not surely the drill’s, so that ${left === 1 ? 'it was' : 'they were'} left alone. End at the provider what nobody needs.`,
        after > before && `${count}: the drill, or the platform, left some behind.`,
        after < before && `${count}: one is gone that should live.`,
      ],
      revoked === 0
        ? `${count}.`
        : `${count}: ${revoked} that a code of the drill’s had brought, and nobody holds, ${revoked === 1 ? 'was' : 'were'} revoked.`,
    )
    if (judged.verdict !== 'fail' || !isResumed) return judged
    return skip(
      `${judged.why} The drill was dead for a while, and whose doing that is cannot be told; a grant whose token went with it lives on until somebody revokes it at the provider.`,
    )
  },
}

export interface SeenHygieneAfterFaults extends SeenHygiene {
  /** How many grants the faults leave, at most, that were not revoked after them. */
  readonly byFaults: number
}

/** The same after faults: what each orphaned was revoked after it, where it was surely the drill's. */
export const hygieneAfterFaults: StepOf<SeenHygieneAfterFaults> = {
  ...hygieneStep,
  act: 'Count the live tokens of the user and the app.',
  passOnlyIf: 'As many as before, and no more beside them than the faults leave.',
  ask: async (context) => ({
    before: context.memory.liveBefore,
    after: await countLive(context),
    grants: null,
    isResumed: false,
    byFaults: context.memory.leftByFaults ?? 0,
  }),
  judge(seen, rules) {
    const { before, after, byFaults } = seen
    if (before === null || after === null || after <= before) return hygieneStep.judge(seen, rules)
    const count = `${formatCounted(after, 'live token')}, and ${before} before`
    const others = after - before - byFaults
    if (others > 0) {
      return fail(
        `${count}: the faults leave ${byFaults} at most, and the drill, or the platform, left ${others} more behind.`,
      )
    }
    return skip(
      `${count}: what a fault lost, or a refusal left, lives on at the provider until somebody revokes it there.`,
    )
  },
}
