import { formatCounted } from '../../../core/counts.ts'
import { formatDuration } from '../../../core/moments.ts'
import type { DrillContext, DrillMemory, DrillRules, Resumed } from '../context.ts'
import {
  answers,
  callThrough,
  countRefreshes,
  mostOf,
  type SeenCall,
  type SeenRefreshes,
  until,
} from '../look.ts'
import type { Notice, Receiver } from '../platform.ts'
import { fail, failFirst, type Judgement, pass, type StepOf, skip, unless } from '../step.ts'

/** How often a job of a customer's would call. */
const CALL_MS = 250
/** A second notice that was sent with the first has come by then. */
const SETTLE_MS = 1_000
const LOOK_MS = 100
/** States in which a platform says that only the owner can bring the connection back. */
export const NEEDS_OWNER = new Set<string>(['reconnect_needed', 'reconnecting', 'disabled'])
/** Causes that say, rightly, that the grant is gone. */
const RIGHT_CAUSES = new Set<string>(['revoked_or_expired', 'by_owner', 'no_refresh_token'])

/** As the memory has it; null where no process of the drill died. */
export interface SeenResumed {
  readonly resumed: Resumed | null
}

/** Refreshes, by all who count them. */
export interface SeenCounts extends SeenResumed {
  /** Since the revocation. */
  readonly refreshes: SeenRefreshes
  /** Those of them since the drill was gone on with; null where no process of it died. */
  readonly refreshesSince: SeenRefreshes | null
}

export interface SeenDetection extends SeenCounts {
  readonly calls: number
  readonly last: SeenCall
  readonly state: string
  /** The cause as the platform has it, once it knows. */
  readonly cause: string | null
  readonly accessChanged: boolean
  /** From the revocation until it is healed, or until the platform says that it needs its owner. */
  readonly detectMs: number | null
  /** From the revocation to the first call that the provider refused; null at depth access. */
  readonly refusedMs: number | null
  /** How long the platform said that all is well after the token was dead. */
  readonly falseHealthyMs: number | null
}

/** Step 5: whether the platform notices, and heals what heals alone. */
export const detectionStep: StepOf<SeenDetection> = {
  no: 5,
  name: 'Detection',
  act: 'Call through the platform as a job would; then its own scheduled check, unprompted.',
  passOnlyIf:
    'Access: it heals by itself with exactly one refresh. Refresh, grant: refused by the provider, and a reconnect is needed.',
  async ask(context) {
    const { platform, clock, memory, rules, secrets, fingerprint, signal } = context
    const { depth, limits } = rules
    const since = memory.revokedAt ?? clock.now()
    const isDead = depth !== 'access'
    const resumed = memory.resumed ?? null
    let calls = 0
    const act = memory.accessSurvives ? platform.forceRefresh : platform.call
    const last = await until(
      context,
      { ms: limits.detectMs, everyMs: CALL_MS },
      async () => {
        calls += 1
        return callThrough(context, (on) => act.call(platform, on))
      },
      (call) =>
        isLostWithIt(call.cause, resumed, rules) ||
        (isDead ? isDeath(call) || isGivenUp(call, resumed) : call.ok),
    )
    if (isDead && isDeath(last)) memory.failedAt ??= clock.now()
    // A scheduled check may refresh what is well: what healed it is counted before.
    const counts = await countFor(context, since)
    const look = async () => {
      const snapshot = await platform.snapshot(signal)
      if (NEEDS_OWNER.has(snapshot.state)) memory.unhealthyAt ??= clock.now()
      return snapshot
    }
    // Who says so by the call alone need not wait for a check that takes long.
    if (isDead) await look()
    await platform.scheduledCheck(signal)
    const snapshot = await until(
      context,
      { ms: isDead ? leftOf(context, limits.detectMs) : 0, everyMs: LOOK_MS },
      look,
      ({ state }) => NEEDS_OWNER.has(state) === isDead,
    )
    const held = await platform.tokens(signal)
    context.keepOut(held.access, held.refresh)
    const old = secrets.old?.access
    const accessChanged = old !== undefined && fingerprint(held.access) !== fingerprint(old)
    if (!isDead && last.ok && accessChanged) {
      memory.recoveredAt ??= clock.now()
      memory.healedAlone = true
      memory.seenWell = true
    }
    memory.refreshAttempts = mostOf(counts.refreshes)
    return {
      ...counts,
      calls,
      last,
      state: snapshot.state,
      cause: last.cause,
      accessChanged,
      detectMs: detectMsOf(context),
      refusedMs: isDead ? sinceRevoked(memory, memory.failedAt) : null,
      falseHealthyMs: falseHealthyMsOf(context),
    }
  },
  judge(seen, rules) {
    if (NEEDS_OWNER.has(seen.state) && isLostWithIt(seen.cause, seen.resumed, rules)) {
      return skip(LOST_WITH_IT)
    }
    return rules.depth === 'access' ? judgeHealing(seen, rules) : judgeDeath(seen, rules)
  },
}

async function countFor(context: DrillContext, since: number): Promise<SeenCounts> {
  const { resumed = null } = context.memory
  return {
    refreshes: await countRefreshes(context, since),
    refreshesSince: resumed && (await countRefreshes(context, resumed.at)),
    resumed,
  }
}

/** What it rotated to went with the process that died: the platform is right to ask the owner. */
function isLostWithIt(
  cause: string | null,
  resumed: Resumed | null,
  { traits }: DrillRules,
): boolean {
  const mayBeCutOff = resumed?.inDetection === true && traits.rotation !== 'never'
  return mayBeCutOff && cause === 'rotated_token_lost'
}

const LOST_WITH_IT =
  'The answer to a refresh went with the process that died, or was lost since: that the owner is asked for a token that was lost is right, and says nothing of the revocation.'

/** Refreshes that are too many, or too few: of a drill that died, those alone that it saw. */
function isOff(
  { refreshes, refreshesSince }: SeenCounts,
  bound: { least: number; most: number },
): boolean {
  const count = mostOf(refreshesSince ?? refreshes)
  if (count === null) return false
  return count > bound.most || (refreshesSince === null && count < bound.least)
}

/** Whose the refreshes were that nobody saw, the provider does not know. */
function mixed(
  { refreshes, resumed }: SeenCounts,
  bound: { least: number; most: number },
): string | false {
  const count = mostOf(refreshes)
  if (resumed === null || count === null) return false
  if (refreshes.provider === null && resumed.inDetection) {
    return 'The drill died while the connection was looked at, and the refreshes of the process that died are not counted.'
  }
  if (count < bound.least) return NOT_SEEN
  return (
    count > bound.most &&
    `${formatCounted(count, 'refresh', 'refreshes')} came, and for a part of that time the drill was dead: which were of that time cannot be told.`
  )
}

const NOT_SEEN =
  'It is well, and no refresh was counted: what was done while the drill was dead nobody saw.'

/** A limit or a lack of rights is a no of the provider's as well, and may pass. */
function isDeath({ ok, providerRefused, cause }: SeenCall): boolean {
  return !ok && providerRefused && (cause === null || RIGHT_CAUSES.has(cause))
}

/** A platform that gave the connection up while the drill was dead asks the provider no more. */
function isGivenUp({ ok, providerRefused, cause }: SeenCall, resumed: Resumed | null): boolean {
  const isSilent = !ok && !providerRefused && cause !== null && RIGHT_CAUSES.has(cause)
  return resumed?.gaveUp === true && isSilent
}

const GIVEN_UP =
  'The platform had given the connection up before the drill was gone on with, and asks the provider no more: whether it was refused a call by then, nobody saw.'

/** What is left of a time since the revocation; since the drill was gone on with, where it died. */
function leftOf({ memory, clock }: DrillContext, limitMs: number): number {
  const since = Math.max(memory.revokedAt ?? clock.now(), memory.resumed?.at ?? 0)
  return Math.max(0, since + limitMs - clock.now())
}

/** A time that went on while the drill was dead is no fault of the platform's, and shows nothing. */
export function lateOnly(late: string | false): string | false {
  return late && `${late} For a part of that the drill was dead, so that it cannot be judged.`
}

/** A dead grant is detected when the platform says so: that a call was refused tells nobody to reconnect. */
export function detectMsOf({ memory, rules }: Pick<DrillContext, 'memory' | 'rules'>) {
  return sinceRevoked(memory, rules.depth === 'access' ? memory.recoveredAt : memory.unhealthyAt)
}

/** How long after the revocation a moment was; null where it did not come. */
export function sinceRevoked({ revokedAt }: DrillMemory, at: number | null): number | null {
  return at === null || revokedAt === null ? null : Math.max(0, at - revokedAt)
}

function falseHealthyMsOf({ memory, rules, clock }: DrillContext): number | null {
  if (rules.depth === 'access' || memory.deadAt === null) return null
  return Math.max(0, (memory.unhealthyAt ?? clock.now()) - memory.deadAt)
}

function judgeHealing(seen: SeenDetection, { limits }: DrillRules): Judgement {
  const { last, accessChanged, state, detectMs, resumed } = seen
  const count = mostOf(seen.refreshes)
  const late = tooLong('to heal', detectMs, limits.detectMs)
  const judged = failFirst(
    [
      NEEDS_OWNER.has(state) &&
        `The platform says ${state}, though only the access token is dead: a refresh would do.`,
      !last.ok &&
        `Calls through the platform still fail (${last.cause ?? last.status ?? 'no answer'}).`,
      !accessChanged && 'The platform says that all is well, and still holds the dead token.',
      isOff(seen, ONE) &&
        `It took ${formatCounted(count ?? 0, 'refresh', 'refreshes')}, and exactly one is right.`,
      !resumed?.isUnjudged && late,
    ],
    `It healed by itself within ${formatDuration(detectMs ?? 0)}${count === null ? '; its refreshes are not counted' : ', with one refresh'}.`,
  )
  return unless(judged, [mixed(seen, ONE), lateOnly(late)])
}

/** What a dead access token takes. */
const ONE = { least: 1, most: 1 }

function judgeDeath(seen: SeenDetection, { limits }: DrillRules): Judgement {
  const { last, state, detectMs, refusedMs, falseHealthyMs, resumed } = seen
  const late =
    tooLong('to notice', detectMs, limits.detectMs) ||
    tooLong('to say that it is not well', falseHealthyMs, limits.falseHealthyMs)
  const judged = failFirst(
    [
      last.ok && 'The platform does not notice: calls through it still go well.',
      !last.ok &&
        !last.providerRefused &&
        !isGivenUp(last, resumed) &&
        `The platform does not say that the provider refused (${last.cause ?? last.status ?? 'no answer'}).`,
      !NEEDS_OWNER.has(state) && `The platform says ${state}, though only a reconnect can help.`,
      last.cause !== null &&
        !RIGHT_CAUSES.has(last.cause) &&
        `The platform gives the wrong cause: ${last.cause}.`,
      !resumed?.isUnjudged && late,
    ],
    `A call was refused after ${formatDuration(refusedMs ?? 0)}; the platform says ${state} after ${formatDuration(detectMs ?? 0)}.`,
  )
  return unless(judged, [isGivenUp(last, resumed) && GIVEN_UP, lateOnly(late)])
}

function tooLong(what: string, ms: number | null, max: number): string | false {
  return (
    ms !== null &&
    ms > max &&
    `It took ${formatDuration(ms)} ${what}, and at most ${formatDuration(max)} is allowed.`
  )
}

export interface SeenStorm extends SeenCounts {
  readonly calls: number
  readonly ok: number
  readonly forMs: number
  /** Other connections that answered a call before, and were called again. */
  readonly othersCalled: number
  /** Other connections that were well before, and are not now. */
  readonly brokenOthers: readonly string[]
}

/** Step 6: a dead connection costs the provider little. */
export const stormStep: StepOf<SeenStorm> = {
  no: 6,
  name: 'No storm',
  act: 'Keep calling for a while; then call through other connections.',
  passOnlyIf: 'Refreshes stay within the bound, and other connections are as before.',
  async ask(context) {
    const { platform, clock, memory, rules, signal } = context
    const startedAt = clock.now()
    let [calls, ok] = [0, 0]
    while (clock.now() - startedAt < rules.limits.loadMs) {
      const call = await callThrough(context, (on) => platform.call(on))
      calls += 1
      if (call.ok) ok += 1
      await clock.sleep(CALL_MS, signal)
    }
    const counts = await countFor(context, memory.revokedAt ?? startedAt)
    // Of what healed by itself, its own refresh counts, and none that the scheduled check made.
    if (rules.depth !== 'access') memory.refreshAttempts = mostOf(counts.refreshes)
    const others = await platform.others(signal)
    const forMs = clock.now() - startedAt
    const shownBroken = others
      .filter(({ id, state }) => memory.others[id] === 'connected' && state !== 'connected')
      .map(({ id }) => id)
    // After the refreshes are counted: such a call may cost one of its own.
    const { othersAnswering = [] } = memory
    const silent = await silentOf(context, othersAnswering)
    const brokenOthers = [...new Set([...shownBroken, ...silent])]
    return { ...counts, calls, ok, forMs, othersCalled: othersAnswering.length, brokenOthers }
  },
  judge(seen, { depth, habits }) {
    const { calls, refreshes, othersCalled, brokenOthers } = seen
    const most = depth === 'access' ? 1 + habits.refreshesOfCheck : habits.refreshAttemptsMax
    const count = mostOf(refreshes)
    const called =
      othersCalled === 0 ? '' : `: ${formatCounted(othersCalled, 'answers', 'answer')} a call`
    const ofCheck =
      depth === 'access' && habits.refreshesOfCheck > 0 ? ', those of its scheduled check too' : ''
    const judged = failFirst(
      [
        isOff(seen, { least: 0, most }) &&
          `${count} refreshes for one dead token, and at most ${most} ${most === 1 ? 'is' : 'are'} right.`,
        brokenOthers.length > 0 && `Other connections broke with it: ${brokenOthers.join(', ')}.`,
      ],
      `${formatCounted(calls, 'more call')}: ${count === null ? 'refreshes are not counted' : `${formatCounted(count, 'refresh', 'refreshes')} since the revocation, of at most ${most}${ofCheck}`}. Other connections are as before${called}.`,
    )
    return unless(judged, [mixed(seen, { least: 0, most })])
  },
}

/** One call may go wrong by chance; a grant that is dead answers none. */
async function silentOf(context: DrillContext, others: readonly string[]) {
  const silent: string[] = []
  for (const id of others) {
    const wish = { ms: SETTLE_MS, everyMs: CALL_MS }
    if (!(await until(context, wish, () => answers(context, id), Boolean))) silent.push(id)
  }
  return silent
}

export interface SeenNotices extends SeenResumed {
  readonly receiver: Receiver
  readonly state: string
  /** Step 5 has seen it heal by itself. */
  readonly healed: boolean
  readonly notices: readonly SeenNotice[]
  readonly notifyMs: number | null
  readonly duplicates: number
}

export interface SeenNotice {
  readonly id: string
  readonly at: number
  readonly kind: Notice['kind']
  readonly signatureGood: boolean | null
  readonly cause: string | null
}

/** A notice that was sent is there to be seen. */
const isHeard = (receiver: Receiver) => receiver === 'kept' || receiver === 'of_process'

/** What was told of a death since a moment, each delivery by itself. */
export async function noticesOfDeath(
  { platform, rules }: DrillContext,
  since: number,
): Promise<readonly Notice[]> {
  const { deathNotices } = rules.habits
  return (await platform.notices(since)).filter(({ kind }) => deathNotices.includes(kind))
}

/** Step 7: somebody is told, once, and rightly. */
export const noticeStep: StepOf<SeenNotices> = {
  no: 7,
  name: 'State and notice',
  act: 'Read the state, and what came to the webhook or the mailbox.',
  passOnlyIf:
    'One notice of the death, signed where the platform signs, with the right cause; none where it healed.',
  async ask(context) {
    const { platform, clock, memory, rules, signal } = context
    const since = memory.revokedAt ?? clock.now()
    const isDead = rules.depth !== 'access'
    // What the history alone has may still come.
    const mustCome = rules.habits.signsNotices && isHeard(platform.receiver)
    const isHere = ({ signatureGood }: Notice) => !mustCome || signatureGood !== null
    const left = leftOf(context, rules.limits.notifyMs)
    const mayCome = rules.habits.signsNotices || isHeard(platform.receiver)
    await until(
      context,
      { ms: isDead && mayCome ? left : 0, everyMs: LOOK_MS },
      () => noticesOfDeath(context, since),
      (notices) => notices.some(isHere),
    )
    await clock.sleep(SETTLE_MS, signal)
    const notices = await noticesOfDeath(context, since)
    const first = notices.reduce((at, notice) => Math.min(at, notice.at), Number.POSITIVE_INFINITY)
    if (notices.length > 0) memory.notifiedAt ??= first
    memory.deathNotices = notices.length
    memory.duplicateNotices = Math.max(0, notices.length - 1)
    return {
      receiver: platform.receiver,
      healed: memory.healedAlone,
      state: (await platform.snapshot(signal)).state,
      notices: notices.map(({ id, at, kind, signatureGood, cause }) => ({
        id,
        at,
        kind,
        signatureGood,
        cause,
      })),
      notifyMs: notices.length > 0 ? first - since : null,
      duplicates: memory.duplicateNotices,
      resumed: memory.resumed ?? null,
    }
  },
  judge(seen, rules) {
    return rules.depth === 'access' ? judgeQuiet(seen, rules) : judgeNotices(seen, rules)
  },
}

function judgeQuiet(seen: SeenNotices, rules: DrillRules): Judgement {
  const { notices, state, healed, resumed } = seen
  const [first] = notices
  if (notices.length === 1 && first && isLostWithIt(first.cause, resumed, rules)) {
    return skip(LOST_WITH_IT)
  }
  if (notices.length > 0) {
    return fail(
      healed
        ? 'Somebody was told of a death, and the connection had healed by itself.'
        : 'Somebody was told of a death, and only the access token is dead: a refresh would do.',
    )
  }
  if (NEEDS_OWNER.has(state)) return fail(`The platform says ${state}, and nobody was told.`)
  return healed
    ? pass('It healed by itself, and nobody was bothered.')
    : skip('It was not seen to heal by itself: that nobody was told shows nothing.')
}

function judgeNotices(
  { receiver, notices, state, notifyMs, resumed }: SeenNotices,
  rules: DrillRules,
): Judgement {
  const { habits, limits } = rules
  if (!isHeard(receiver) && !habits.signsNotices && NEEDS_OWNER.has(state)) {
    return skip(
      receiver === 'lost'
        ? 'What the platform told of the death went to the process that died.'
        : 'The platform tells by mail alone, and the drill has no mailbox to see one.',
    )
  }
  const isLost = notices.some(({ cause }) => isLostWithIt(cause, resumed, rules))
  const wrong = notices.find(
    ({ cause }) =>
      cause !== null && !RIGHT_CAUSES.has(cause) && !isLostWithIt(cause, resumed, rules),
  )
  const late = tooLong('to tell anybody', notifyMs, limits.notifyMs)
  const cameNone =
    habits.signsNotices && notices.every(({ signatureGood }) => signatureGood === null)
  const judged = failFirst(
    [
      !NEEDS_OWNER.has(state) && `The platform says ${state}, though only a reconnect can help.`,
      notices.length === 0 && `Nobody was told within ${formatDuration(limits.notifyMs)}.`,
      notices.length > 1 && `${notices.length} notices of one death came.`,
      isHeard(receiver) &&
        cameNone &&
        'The history has the death, and no webhook of it came to the drill.',
      habits.signsNotices &&
        notices.some(({ signatureGood }) => signatureGood === false) &&
        'The notice carries no good signature.',
      wrong !== undefined &&
        habits.tellsCause &&
        `The notice gives the wrong cause: ${wrong.cause}.`,
      !resumed?.isUnjudged && late,
    ],
    `One notice, ${formatDuration(notifyMs ?? 0)} after the revocation.`,
  )
  return unless(judged, [
    cameNone &&
      (receiver === 'lost'
        ? 'The history has the death once; what was sent of it went to the process that died.'
        : 'The history has the death, and nothing of the drill’s receives webhooks to show that one was sent.'),
    isLost && LOST_WITH_IT,
    lateOnly(late),
  ])
}
