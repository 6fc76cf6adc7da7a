import { createHash } from 'node:crypto'
import { formatCounted } from '../../core/counts.ts'
import { isRescindError, RescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { VERSION } from '../../core/version.ts'
import { type DrillContext, type DrillMemory, emptyMemory } from './context.ts'
import { EVIDENCE_FORMAT, type EvidenceRecord, type EvidenceValue } from './evidence.ts'
import type { EvidenceFile } from './evidence-file.ts'
import type { EvidenceSigner } from './evidence-key.ts'
import { checkGuards, type DrillPermission, type GuardResult, refusalOf } from './guards.ts'
import { type Injection, runInjection } from './inject.ts'
import { attempt, bringBack, calm } from './injections/row.ts'
import { injectionsOf } from './injections.ts'
import {
  type DrillAbout,
  type DrillJournal,
  mayBeDead,
  mayBeRevoked,
  whereItEnded,
  whereItStands,
  whereItStood,
} from './journal.ts'
import { grantsBeforeFault, heldGrant, isReplacedByHand, revokeOrphans } from './live-grants.ts'
import { callThrough, identityText, isAnothers, probeDirectly, until } from './look.ts'
import type { HeldTokens } from './platform.ts'
import { type Judgement, type Step, step } from './step.ts'
import { hygieneAfterFaults } from './steps/after.ts'
import { detectMsOf, sinceRevoked } from './steps/notice.ts'
import { becomeReconnected } from './steps/reconnect.ts'
import { STEPS, VERDICT_STEP } from './steps.ts'

/** What a person or a log sees while a drill runs: each record, when it is on the disk. */
export type DrillListener = (record: EvidenceRecord) => void

export interface DrillOptions {
  readonly context: Omit<DrillContext, 'memory' | 'secrets' | 'save' | 'keepOut'>
  readonly journal: DrillJournal
  readonly evidence: EvidenceFile
  readonly signer: EvidenceSigner
  readonly permission: DrillPermission
  /** user@host */
  readonly actor: string
  /** Faults to inject in place of a revocation; simulated mode alone. */
  readonly injections?: readonly Injection[] | undefined
  /** Of a drill that died. */
  readonly resumed?: Pick<DrillContext, 'memory' | 'secrets'> | undefined
  readonly listen?: DrillListener | undefined
}

export interface DrillEnd {
  readonly verdict: 'passed' | 'failed'
  /** The first step that failed. */
  readonly failedAt: number | null
  /** Names of the faults that failed. */
  readonly failedFaults: readonly string[]
}

/**
 * Runs a drill: guards, then each step with its intent written before it, then the signed verdict.
 * A step that fails does not stop those that bring the connection back. A drill of faults that died is
 * not gone on with, nor is one whose evidence is gone: the connection is brought back, and it has failed.
 *
 * @throws RescindError `drill_refused` when a guard does not hold; `stopped_by_signal`, and what a
 * step could not go on from, with what state the connection is in
 */
export async function runDrill(options: DrillOptions): Promise<DrillEnd> {
  const run = openRun(options)
  try {
    if (options.resumed === undefined) await begin(run)
    else await goOn(run)
    if (faultsOf(options.evidence.records) !== null && options.resumed !== undefined) {
      return await endFaults(run)
    }
    if (options.injections === undefined) await walkSteps(run, STEPS)
    else await inject(run, options.injections)
    return await finish(run)
  } catch (error) {
    throw ended(run, error)
  } finally {
    options.journal.leave()
    options.evidence.close()
  }
}

interface Run {
  readonly options: DrillOptions
  readonly context: DrillContext
  /** The last judgement of each step. */
  readonly judged: Map<number, Judgement>
  readonly failedFaults: Set<string>
}

function openRun(options: DrillOptions): Run {
  const { evidence, journal, resumed } = options
  const memory: DrillMemory = resumed?.memory ?? emptyMemory(options.context.clock.now())
  const secrets = resumed?.secrets ?? { old: null, link: null, callback: null }
  const { platform } = options.context
  // What was told of the death went to the process that died.
  const isLost =
    resumed !== undefined && memory.revokedAt !== null && platform.receiver === 'of_process'
  const context: DrillContext = {
    ...options.context,
    platform: isLost ? { ...platform, receiver: 'lost' } : platform,
    memory,
    secrets,
    keepOut: (...some: readonly (Secret | null)[]) => evidence.keepOut(...some),
    save: () => journal.save(memory, secrets),
  }
  context.keepOut(
    options.context.direct.app.clientSecret,
    secrets.old?.access ?? null,
    secrets.old?.refresh ?? null,
  )
  return { options, context, ...judgedSoFar(evidence.records) }
}

function write(
  { options }: Run,
  body: { readonly kind: string; readonly [name: string]: EvidenceValue },
): void {
  // Two that go on with one drill would break the chain of its evidence.
  options.journal.hold()
  const record = options.evidence.append(body)
  options.listen?.(record)
}

/** What is refused leaves nothing behind but its message. */
async function begin(run: Run): Promise<void> {
  const { options, context } = run
  const guards = await checkGuards(context, options.permission, 'all', async () => {
    if (options.injections !== undefined) await calmFirst(context)
  })
  const refusal = refusalOf(guards)
  if (refusal !== undefined) {
    options.journal.close()
    throw refused(`The drill does not begin. ${thenSay(refusal, 'Nothing was revoked.')}`)
  }
  write(run, header(options))
  write(run, { kind: 'guards', guards: guards.map(guardValue) })
}

/** What another left on when it died; where the emulator cannot be reached, a guard says so. */
async function calmFirst({ lab }: DrillContext): Promise<void> {
  if (lab !== null) await attempt(() => calm(lab))
}

/** What was permitted at the beginning may not be any more. */
async function goOn(run: Run): Promise<void> {
  const { options, context, judged } = run
  const { about } = options.journal
  const { memory } = context
  const guards = await checkGuards(context, options.permission, 'again', async () => {
    if (faultsOf(options.evidence.records) !== null) await calmFirst(context)
  })
  const refusal = refusalOf(guards)
  if (refusal !== undefined) {
    const stands = whereItStood(about, memory)
    throw refused(`The drill does not go on. ${thenSay(refusal, stands)}`)
  }
  const isNowLost = options.evidence.records.length === 0
  if (isNowLost) write(run, { ...header(options), evidenceLost: true })
  write(run, { kind: 'resumed', drill: about.drill, guards: guards.map(guardValue) })
  rememberCutOff(run)
  if (await isLostInRefresh(run)) {
    bringBackAnew(run)
  } else if (!judged.has(NEW_STEP) && (await isReplacedByHand(context))) {
    countLost(memory)
    await becomeReconnected(context, BY_SOMEBODY)
    memory.ownGrant = (await heldGrant(context)) ?? memory.ownGrant
    memory.deathNotices = undefined
    context.save()
  } else if (await isBackAlready(context)) {
    await becomeReconnected(context, BY_SOMEBODY)
    memory.seenWell = true
    // Who brought it back may have been told once more.
    memory.deathNotices = undefined
    context.save()
  } else if (isLost(run) && about.depth === 'access' && (await isBackNow(context))) {
    memory.healedAlone = true
    memory.seenWell = true
    context.save()
  }
}

/**
 * A platform that lives in the drill's own process dies with it, in the middle of a refresh perhaps; another one may
 * have refreshed for the drill's scheduled check.
 */
function rememberCutOff({ options, context, judged }: Run): void {
  const { memory, platform } = context
  if (memory.revokedAt === null || judged.has(DETECTION_STEP)) return
  const begun = options.evidence.records.filter(
    ({ kind, step }) => kind === 'intent' && step === DETECTION_STEP,
  )
  const { depth, habits } = context.rules
  const ofCheck = depth === 'access' ? habits.refreshesOfCheck : 0
  memory.cutOff = begun.length * (platform.receiver === 'lost' ? 1 : ofCheck)
  context.save()
}

/** Where tokens rotate, what a refresh of step 12 brought went with the process that died: nobody's fault but the drill's. */
async function isLostInRefresh(run: Run): Promise<boolean> {
  const { context, judged, options } = run
  const { memory, platform, rules } = context
  const isBegun = options.evidence.records.some(
    ({ kind, step }) => kind === 'intent' && step === NEW_STEP,
  )
  if (judged.has(NEW_STEP) || !(isBegun || isLost(run))) return false
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

/** What had come back is lost: the owner consents once more, and steps 12 to 15 are of that grant. */
function bringBackAnew(run: Run): void {
  const { context, judged } = run
  const { memory } = context
  write(run, { kind: 'lost', step: NEW_STEP, why: LOST_IN_REFRESH })
  forgetReconnect(judged)
  countLost(memory)
  Object.assign(memory, { reconnected: false, healedAlone: false, ownGrant: null, appliedBy: null })
  context.save()
}

/** What had come back is given up, or was replaced: its grant, its healing and its death are the drill's. */
function countLost(memory: DrillMemory): void {
  const { drilled, ofCodes } = memory.lostGrants ?? { drilled: false, ofCodes: 0 }
  memory.lostGrants = memory.reconnected
    ? { drilled, ofCodes: ofCodes + 1 }
    : { drilled: true, ofCodes }
}

const BY_SOMEBODY = 'somebody, before the drill was gone on with'
const LOST_IN_REFRESH =
  'The drill died in a refresh of its own, and the rotated token went with it: the connection is brought back once more.'

function forgetReconnect(judged: Run['judged']): void {
  for (let no = LINK_STEP; no <= NEW_STEP; no += 1) judged.delete(no)
}

/** What was written before the drill died is gone: only what brings the connection back is still to be done. */
function isLost({ options }: Run): boolean {
  return options.evidence.records[0]?.evidenceLost === true
}

/** The process may have died after the new grant was stored, or a person has reconnected it by hand. */
async function isBackAlready(context: DrillContext): Promise<boolean> {
  const { memory, secrets, rules, fingerprint } = context
  const old = secrets.old?.refresh ?? null
  if (memory.revokedAt === null || rules.depth === 'access' || old === null) return false
  if (memory.reconnected || memory.healedAlone) return false
  const held = await heldNow(context)
  if (!held?.refresh || fingerprint(held.refresh) === fingerprint(old)) return false
  context.keepOut(held.access, held.refresh)
  // A platform that rotates changes its tokens by itself, while the old ones live.
  const isDead = memory.accessSurvives || (await probeDirectly(context)).verdict === 'dead'
  return isDead && (await isBackNow(context))
}

/** What ends with a command keeps its line to itself, so that it can be pasted. */
function thenSay(refusal: string, text: string): string {
  return `${refusal}${refusal.endsWith('.') ? ' ' : '\n'}${text}`
}

function refused(text: string): RescindError {
  return new RescindError('drill_refused', text)
}

function guardValue({ name, ok, said }: GuardResult): EvidenceValue {
  return { name, ok, said }
}

function header({ journal, context, permission, signer, actor, injections }: DrillOptions) {
  const { drill, subject, via, depth, mode } = journal.about
  const { rules, direct, consent } = context
  const config = { rules: { ...rules }, provider: direct.app.url, users: permission.allowedUsers }
  return {
    kind: 'drill',
    format: EVIDENCE_FORMAT,
    drill,
    connection: subject,
    platform: via,
    provider: new URL(direct.app.url).host,
    ...{ depth, mode, actor, ownerConsent: permission.ownerConsent, consent: consent.how },
    inject: injections?.map(({ name }) => name) ?? null,
    limits: { ...rules.limits },
    version: VERSION,
    config: createHash('sha256').update(JSON.stringify(config)).digest('hex'),
    key: { id: signer.keyId, public: signer.publicKey },
  }
}

async function walkSteps(run: Run, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (!isToBeDone(run, step.no)) continue
    const why = whySkipped(run, step.no)
    if (why === undefined) await walkStep(run, step)
    else
      record(run, step, {
        judgement: { verdict: 'skipped', why },
        seen: {},
        startedAt: run.context.clock.now(),
      })
  }
}

/** The first of those that bring a new grant: what one of them has in hand does not outlive a process. */
const LINK_STEP = 8
const APPLY_STEP = 11
const NEW_STEP = 12
const DETECTION_STEP = 5
const NOTICE_STEP = 7
/** Three tries at most. */
const SETTLE_MS = 4_000
const SETTLE_LOOK_MS = 2_000

function isToBeDone({ judged, context }: Run, no: number): boolean {
  if (judged.has(APPLY_STEP) || context.memory.reconnected) return !judged.has(no)
  return (no >= LINK_STEP && no <= APPLY_STEP) || !judged.has(no)
}

function whySkipped(run: Run, no: number): string | undefined {
  const { context, judged } = run
  const failed = (one: number) => judged.get(one)?.verdict === 'fail'
  const { memory } = context
  if (no < LINK_STEP && isLost(run)) return 'What was seen of it is lost with the evidence.'
  const early = [0, 1, 2].find(failed)
  if (early !== undefined && no > early) {
    return `Step ${early} failed: nothing was revoked.`
  }
  if (no > 4 && memory.revokedAt !== null && !mayBeRevoked(memory)) {
    return 'The revocation had no effect: the connection is as it was.'
  }
  if (no > 4 && no <= APPLY_STEP && memory.reconnected) {
    return 'It was reconnected before the drill was gone on with: what came of its death cannot be looked at any more.'
  }
  if (no >= LINK_STEP && no <= APPLY_STEP && memory.healedAlone) {
    return 'The connection healed by itself: there is nothing to reconnect.'
  }
  if (no >= 9 && no <= APPLY_STEP && failed(8)) return 'There is no link to consent at.'
  if (no === APPLY_STEP && failed(9) && !context.secrets.callback?.code) {
    return 'There is no code to apply.'
  }
  if (no >= 12 && no <= 14 && !memory.healedAlone && !memory.reconnected) {
    return 'The connection was not seen to come back.'
  }
  return undefined
}

async function walkStep(run: Run, one: Step): Promise<void> {
  const { context } = run
  const startedAt = context.clock.now()
  context.signal?.throwIfAborted()
  write(run, { kind: 'intent', step: one.no, name: one.name, will: one.act })
  const { seen, judgement } = await one.run(context).catch((error: unknown) => {
    if (!isRescindError(error) || context.signal?.aborted) throw error
    // Who comes later goes on from here.
    if (error.code === 'nobody_consented') throw error
    const why = `It could not be done: ${error.message}`
    return { seen: { error: error.code }, judgement: { verdict: 'fail', why } as const }
  })
  if (one.no === NEW_STEP) context.memory.seenWell = judgement.verdict === 'pass'
  context.save()
  record(run, one, { judgement, seen, startedAt })
}

interface StepEnd {
  readonly judgement: Judgement
  readonly seen: Readonly<Record<string, EvidenceValue>>
  readonly startedAt: number
}

function record(run: Run, step: Step, { judgement, seen, startedAt }: StepEnd): void {
  run.judged.set(step.no, judgement)
  write(run, {
    kind: 'step',
    step: step.no,
    name: step.name,
    did: step.act,
    passOnlyIf: step.passOnlyIf,
    verdict: judgement.verdict,
    why: judgement.why,
    startedAt: new Date(startedAt).toISOString(),
    tookMs: run.context.clock.now() - startedAt,
    evidence: seen,
  })
}

/** Steps 0 to 2, then each fault by itself, then the count of what is left. */
async function inject(run: Run, injections: readonly Injection[]): Promise<void> {
  await walkSteps(
    run,
    STEPS.filter(({ no }) => no <= 2),
  )
  for (const injection of injections) {
    const { name, how, mustEnd } = injection
    const startedAt = run.context.clock.now()
    run.context.signal?.throwIfAborted()
    const why = whySkipped(run, 3) ?? whyHurt(run)
    write(run, { kind: 'intent', inject: name, will: how })
    const skipped = { seen: {}, judgement: { verdict: 'skipped', why: why ?? '' } as const }
    const { seen, judgement } = why === undefined ? await injectOne(run, injection) : skipped
    if (judgement.verdict === 'fail') run.failedFaults.add(name)
    write(run, {
      ...{ kind: 'inject', inject: name, did: how, passOnlyIf: mustEnd },
      ...{ verdict: judgement.verdict, why: judgement.why },
      startedAt: new Date(startedAt).toISOString(),
      tookMs: run.context.clock.now() - startedAt,
      evidence: seen,
    })
  }
  await walkSteps(run, [step(hygieneAfterFaults)])
}

/** A fault may kill the connection: that is on the disk before it is injected, and until a call goes well. */
async function injectOne({ context }: Run, injection: Injection) {
  const { memory, clock } = context
  const there = await grantsBeforeFault(context)
  memory.hurt = { fault: injection.name, at: clock.now() }
  context.save()
  const { seen, judgement } = await runInjection(injection, context)
  const leaves = judgement.verdict === 'skipped' ? 0 : injection.leaves(context.rules.traits)
  const isBack = await isWell(context)
  const orphansRevoked = isBack ? await revokeOrphans(context, { there, leaves }) : 0
  memory.leftByFaults = (memory.leftByFaults ?? 0) + leaves - orphansRevoked
  if (isBack) memory.hurt = null
  context.save()
  return { seen: { ...seen, orphansRevoked }, judgement }
}

/** What is in force when a process dies cannot be judged by the next: it brings the connection back alone. */
async function endFaults(run: Run): Promise<DrillEnd> {
  const { options, context } = run
  const { memory, lab } = context
  const { records } = options.evidence
  if (lab === null) throw new RescindError('drill_refused', 'Faults take emulators.')
  await calm(lab)
  if (memory.hurt !== null) {
    await bringBack(context, lab)
    if (await isWell(context)) {
      const [hurt] = injectionsOf([memory.hurt.fault])
      await revokeOrphans(context, { there: null, leaves: hurt?.leaves(context.rules.traits) ?? 0 })
      memory.hurt = null
    }
    context.save()
  }
  const of = (kind: string) =>
    records.filter((one) => one.kind === kind && one.inject !== undefined).map((one) => one.inject)
  const [begun, judged] = [of('intent'), of('inject')]
  const left = (faultsOf(records) ?? []).filter((name) => !judged.includes(name))
  for (const { name, how, mustEnd } of left.length === 0 ? [] : injectionsOf(left)) {
    const why = begun.includes(name)
      ? 'The drill died before it was judged.'
      : 'Not run: the drill died before it.'
    write(run, {
      ...{ kind: 'inject', inject: name, did: how, passOnlyIf: mustEnd, verdict: 'skipped', why },
      ...{ startedAt: new Date(context.clock.now()).toISOString(), tookMs: 0, evidence: {} },
    })
  }
  return finish(run, 'The drill died: what was left of its faults was not run.')
}

/** The names of the faults of a drill; null where it is of a revocation. */
function faultsOf(records: readonly EvidenceRecord[]): readonly string[] | null {
  return (records[0]?.inject ?? null) as readonly string[] | null
}

function whyHurt({ context }: Run): string | undefined {
  const { hurt } = context.memory
  return hurt ? `The fault ${hurt.fault} left the connection dead.` : undefined
}

/** A platform may say that calls go well: the provider must take the token that it holds. */
async function isBackNow(context: DrillContext): Promise<boolean> {
  if (!(await isWell(context))) return false
  const held = await heldNow(context)
  context.keepOut(held?.access ?? null)
  return held !== null && (await probeDirectly(context, held.access)).verdict === 'alive'
}

function heldNow({ platform, signal }: DrillContext): Promise<HeldTokens | null> {
  return platform.tokens(signal).catch((error: unknown) => {
    if (!isRescindError(error)) throw error
    return null
  })
}

/** A stranger's grant answers as well: what is somebody else's is not back. */
async function isWell(context: DrillContext): Promise<boolean> {
  const { ok } = await callThrough(context, (on) => context.platform.call(on))
  return ok && !(await isAnothers(context))
}

function judgedSoFar(records: readonly EvidenceRecord[]): Pick<Run, 'judged' | 'failedFaults'> {
  const judged = new Map<number, Judgement>()
  const failedFaults = new Set<string>()
  for (const { kind, step, inject, verdict, why } of records) {
    if (kind === 'lost') forgetReconnect(judged)
    if (kind === 'inject' && verdict === 'fail') failedFaults.add(String(inject))
    if (kind !== 'step' || typeof step !== 'number') continue
    judged.set(step, { verdict, why } as Judgement)
  }
  return { judged, failedFaults }
}

/** @param cut why it has failed, even where no step has */
async function finish(run: Run, cut?: string): Promise<DrillEnd> {
  const startedAt = run.context.clock.now()
  const failed = [...run.judged].filter(([, { verdict }]) => verdict === 'fail').map(([no]) => no)
  failed.sort((a, b) => a - b)
  const failedAt = failed[0] ?? null
  const failedFaults = [...run.failedFaults]
  const { memory } = run.context
  const isMended = memory.healedAlone || memory.reconnected
  // An access token that was revoked may be refreshed after the drill has looked.
  const isHealed = run.context.rules.depth === 'access'
  const isOver = isMended || !mayBeRevoked(memory) || isHealed
  // Where access tokens outlive the grant a call goes well, and the next refresh does not.
  const isBack = (await isBackNow(run.context)) && isOver
  const isFailed = failed.length > 0 || failedFaults.length > 0
  const complaints = [
    ...failed.map((no) => `Step ${no} failed: ${run.judged.get(no)?.why}`),
    failedFaults.length > 0 &&
      `${formatCounted(failedFaults.length, 'fault')} failed: ${failedFaults.join(', ')}.`,
    cut,
    isLost(run) && 'The evidence of what came before the drill died is lost.',
    !isFailed && !isBack && 'At the end the connection is not well.',
  ].filter((one) => typeof one === 'string')
  const verdict = complaints.length === 0 ? 'passed' : 'failed'
  const notJudged = notJudgedIn(run)
  const why =
    complaints.length === 0
      ? passedText(notJudged, run.options.evidence.records)
      : complaints.join(' ')
  const { about } = run.options.journal
  const stands = isBack ? null : whereItEnded(about, memory, await isAnothers(run.context))
  const end = { verdict, failedAt, failedFaults, notJudged, why, isBack, stands, startedAt }
  write(run, endOf(run, end))
  run.options.journal.close()
  return { verdict, failedAt, failedFaults }
}

/** Steps of which nothing is known; those of a reconnect are none where it healed by itself. */
function notJudgedIn({ judged, context }: Run): readonly number[] {
  const isNeedless = (no: number) =>
    context.memory.healedAlone && no >= LINK_STEP && no <= APPLY_STEP
  return [...judged]
    .filter(([no, { verdict }]) => verdict === 'skipped' && !isNeedless(no))
    .map(([no]) => no)
}

function passedText(notJudged: readonly number[], records: readonly EvidenceRecord[]): string {
  const steps =
    notJudged.length === 0
      ? 'All steps passed.'
      : `All steps passed that were judged; not judged: ${notJudged.join(', ')}.`
  if (faultsOf(records) === null) return steps
  const faults = records.filter(({ kind }) => kind === 'inject')
  const skipped = faults.filter(({ verdict }) => verdict === 'skipped').map(({ inject }) => inject)
  const notRun =
    skipped.length === 0 ? '' : `, and ${skipped.length} skipped: ${skipped.join(', ')}`
  return `${steps} ${formatCounted(faults.length - skipped.length, 'fault')} passed${notRun}.`
}

function endOf(
  { context, options, judged }: Run,
  end: {
    readonly verdict: string
    readonly failedAt: number | null
    readonly failedFaults: readonly string[]
    readonly notJudged: readonly number[]
    readonly why: string
    /** By a call at the end. */
    readonly isBack: boolean
    /** Where the connection stands; null where it is back. */
    readonly stands: string | null
    readonly startedAt: number
  },
) {
  const { memory } = context
  // What was not judged is no number of the drill's: a resumed one may have seen a part of what was told.
  const isToldJudged = !end.notJudged.includes(NOTICE_STEP)
  const isSeenJudged = !end.notJudged.includes(DETECTION_STEP)
  return {
    kind: 'end',
    step: VERDICT_STEP.no,
    name: VERDICT_STEP.name,
    did: VERDICT_STEP.act,
    passOnlyIf: VERDICT_STEP.passOnlyIf,
    ...end,
    startedAt: new Date(end.startedAt).toISOString(),
    tookMs: context.clock.now() - end.startedAt,
    numbers: {
      detectMs: isSeenJudged ? detectMsOf(context) : null,
      refusedMs: isSeenJudged ? sinceRevoked(memory, memory.failedAt) : null,
      notifyMs: isToldJudged ? sinceRevoked(memory, memory.notifiedAt) : null,
      recoverMs: sinceRevoked(memory, memory.recoveredAt),
      falseHealthyMs:
        !isSeenJudged || memory.deadAt === null || memory.unhealthyAt === null
          ? null
          : Math.max(0, memory.unhealthyAt - memory.deadAt),
      refreshAttempts: isSeenJudged ? memory.refreshAttempts : null,
      duplicateNotices: isToldJudged ? memory.duplicateNotices : null,
    },
    appliedBy: memory.appliedBy,
    identity: identityText(memory.before?.identity ?? null),
    passed: [...judged.values()].filter(({ verdict }) => verdict === 'pass').length,
    records: options.evidence.records.length + 1,
  }
}

/** What ended a drill early says also where the connection stands, and how to go on. */
function ended({ options, context }: Run, error: unknown): unknown {
  if (isRescindError(error, 'drill_refused') || isRescindError(error, 'drill_busy')) return error
  const stands = whereItStands(options.journal.about, context.memory)
  if (!mayBeDead(context.memory)) options.journal.close()
  if (context.signal?.aborted) {
    return new RescindError('stopped_by_signal', `Stopped. ${stands}`, { cause: error })
  }
  if (!isRescindError(error)) return error
  return new RescindError(error.code, `${error.message} ${stands}`, { cause: error })
}

export type { DrillAbout }
