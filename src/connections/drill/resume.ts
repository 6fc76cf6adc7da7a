import { calmFirst } from './fault-run.ts'
import { checkGuards, refusalOf, refusedBy } from './guards.ts'
import { isOnAnotherGrant } from './live-grants.ts'
import { callThrough, isAnothers, isBackNow, until } from './look.ts'
import {
  DETECTION_STEP,
  faultsOf,
  forgetReconnect,
  guardValue,
  header,
  isBegun,
  isEvidenceLost,
  NEW_STEP,
  type Run,
  write,
} from './run.ts'
import { whereItEnded, whereItStood } from './standing.ts'
import { NEEDS_OWNER } from './steps/notice.ts'
import { becomeReconnected } from './steps/reconnect.ts'

/**
 * Goes on with a drill that died: asks again for what may not be permitted any more, and finds out what was done
 * to the connection while nobody watched. What somebody did is not undone, and no platform is blamed for it.
 *
 * @throws RescindError `drill_refused` when a guard does not hold
 */
export async function goOn(run: Run): Promise<void> {
  const { options, context } = run
  const { about } = options.journal
  const { memory } = context
  const guards = await checkGuards(context, options.permission, 'again', async () => {
    if (faultsOf(options.evidence.records) !== null) await calmFirst(context)
  })
  const refusal = refusalOf(guards)
  if (refusal !== undefined) {
    const stands = (await isAnothers(context))
      ? whereItEnded(about, memory, true)
      : whereItStood(about, memory)
    throw refusedBy('The drill does not go on.', refusal, stands)
  }
  const isNowLost = options.evidence.records.length === 0
  if (isNowLost) write(run, { ...header(options), evidenceLost: true })
  write(run, { kind: 'resumed', drill: about.drill, guards: guards.map(guardValue) })
  await rememberDeath(run)
  if (memory.disconnected) return
  if (await isOnAnotherGrant(context)) await takeAsItIs(run)
  else if (await isLostInRefresh(run)) bringBackAnew(run)
  else if (isEvidenceLost(run) && about.depth === 'access' && (await isBackNow(context))) {
    memory.healedAlone = true
    memory.seenWell = true
  }
  context.save()
}

/** What the platform says before the first call is of the time when the drill was dead. */
async function rememberDeath(run: Run): Promise<void> {
  const { context, judged } = run
  const { memory, platform, clock, signal } = context
  const { state } = await platform.snapshot(signal)
  const before = memory.resumed
  const isUnjudged = memory.revokedAt !== null && !judged.has(DETECTION_STEP)
  const isCutOff = isUnjudged && isBegun(run, DETECTION_STEP)
  memory.resumed = {
    at: clock.now(),
    isUnjudged: isUnjudged || before?.isUnjudged === true,
    unrecoveredAt: memory.recoveredAt === null ? clock.now() : (before?.unrecoveredAt ?? null),
    inDetection: isCutOff || before?.inDetection === true,
    gaveUp: (isUnjudged && NEEDS_OWNER.has(state)) || before?.gaveUp === true,
  }
  if (state === 'revoked') memory.disconnected = true
  context.save()
}

/** Takes the grant that somebody gave the connection; one that does not work, and is the first, is no reconnect. */
async function takeAsItIs({ context }: Run): Promise<void> {
  const { memory } = context
  const wasBack = memory.reconnected || memory.healedAlone
  const isBack = await isBackNow(context)
  if (!isBack && !memory.reconnected) return
  if (wasBack) memory.cameBackAnew = (memory.cameBackAnew ?? 0) + 1
  await becomeReconnected(context, 'somebody, before the drill was gone on with')
  memory.seenWell = isBack
  // Who brought it back may have been told once more.
  memory.deathNotices = undefined
  memory.duplicateNotices = null
}

/**
 * Where tokens rotate, what a refresh of step 12 brought may have gone with the process that died, and with it the
 * platform that lived there: nobody's fault but the drill's.
 */
async function isLostInRefresh(run: Run): Promise<boolean> {
  const { context, judged } = run
  const { memory, platform, rules } = context
  if (judged.has(NEW_STEP) || !(isBegun(run, NEW_STEP) || isEvidenceLost(run))) return false
  if (!memory.reconnected && !memory.healedAlone) return false
  if (platform.receiver !== 'lost') return false
  memory.seenWell = false
  context.save()
  // The refresh that was cut off is settled by the next one, which waits for it; a provider in trouble is not pressed.
  const { cause } = await until(
    context,
    { ms: SETTLE_MS, everyMs: SETTLE_LOOK_MS },
    () => callThrough(context, (on) => platform.forceRefresh(on)),
    (call) => call.ok || call.cause === 'rotated_token_lost',
  )
  return rules.traits.rotation !== 'never' && cause === 'rotated_token_lost'
}

/** Three tries at most. */
const SETTLE_MS = 4_000
const SETTLE_LOOK_MS = 2_000

/** What had come back is lost: the owner consents once more, and steps 12 to 15 are of that grant. */
function bringBackAnew(run: Run): void {
  write(run, { kind: 'lost', step: NEW_STEP, why: LOST_IN_REFRESH })
  forgetReconnect(run.judged)
  const { memory } = run.context
  const { resumed } = memory
  Object.assign(memory, {
    ...(resumed && { resumed: { ...resumed, unrecoveredAt: resumed.at } }),
    ...{ reconnected: false, healedAlone: false, ownGrant: null, appliedBy: null },
    ...{ recoveredAt: null, cameBackAnew: (memory.cameBackAnew ?? 0) + 1 },
  })
}

const LOST_IN_REFRESH =
  'The answer to a refresh of step 12 went with the process that died, or was lost since, and the rotated token with it: the connection is brought back once more.'
