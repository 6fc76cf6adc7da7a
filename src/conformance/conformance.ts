import { type Clock, type Random, systemClock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import { createHttp, type Http } from '../core/http.ts'
import { printableUrl, type Risk } from '../core/url.ts'
import { VERSION } from '../core/version.ts'
import {
  type Evidence,
  openSecretBook,
  printExchange,
  type RawExchange,
} from '../protocol/exchange.ts'
import type { CaseLimits, Citation, ConformanceCase, Level } from './case.ts'
import type { ConformanceConfig } from './config.ts'
import { missingNeed } from './needs.ts'
import { openSender } from './sender.ts'
import { GROUPS } from './table.ts'
import { findTarget, type Target } from './target.ts'
import {
  CaseEnd,
  pass,
  sentenceOf,
  unclear,
  VERDICTS,
  type Verdict,
  type VerdictName,
} from './verdict.ts'
import { openWorld, type World } from './world.ts'

/** Rounds of each race case: a window of one in fifty is seen with a chance of two in three. */
export const RACES_DEFAULT = 50
export const RACES_MAX = 1_000
/** Samples of each arm of a timing case: enough to see half a millisecond under a busy machine. */
export const SAMPLES_DEFAULT = 300
export const SAMPLES_MAX = 10_000
/** A usual case: some grants of some ten requests each, and the looks at them. */
const REQUESTS_A_CASE_MAX = 150
/** A run that would send more is not started. */
const REQUESTS_MAX = 1_000_000
/** A case that takes longer hangs, or its server does. */
const CASE_MS_MAX = 600_000
/** RFC 7009 section 2.1 asks for immediate invalidation, and allows for some delay. */
const SETTLE_MS_DEFAULT = 2_000
/** Evidence of one case: the last exchanges before the verdict show it. */
const EVIDENCE_MAX = 8

export interface ConformanceOptions {
  readonly config: ConformanceConfig
  /** Rounds of each race case. Default 50. */
  readonly races?: number | undefined
  /** Samples of each arm of a timing case. Default 300. */
  readonly samples?: number | undefined
  /** Run the cases that send many wrong secrets too. */
  readonly bruteForce?: boolean | undefined
  /** Run these cases only. */
  readonly only?: readonly number[] | undefined
  /** How long a revocation may take to spread, in milliseconds. Default 2,000. */
  readonly settleMs?: number | undefined
  readonly http?: Http | undefined
  readonly acceptRisk?: readonly Risk[] | undefined
  readonly clock?: Clock | undefined
  /** A monotonic clock in microseconds. */
  readonly microseconds?: (() => number) | undefined
  readonly random?: Random | undefined
  /** Ends the run early; what is done by then is reported. */
  readonly signal?: AbortSignal | undefined
  /** Called before the first case. */
  readonly onStart?: ((start: RunStart) => void) | undefined
  /** Called after each case. */
  readonly onResult?: ((result: CaseResult) => void) | undefined
}

/** What is about to be done. */
export interface RunStart {
  /** Those that send something. */
  readonly cases: number
  /** All that were asked for, also what lacks something and what no black box can test. */
  readonly chosen: number
  /** The most requests that will be sent. */
  readonly requestsMax: number
  readonly endpoint: string
}

/** What one case found, and the requests and answers that show it. */
export interface CaseResult {
  readonly id: number
  readonly group: string
  readonly title: string
  readonly level: Level
  readonly cites: readonly Citation[]
  readonly verdict: VerdictName
  /** The verdict in a sentence; empty where there is nothing to add. */
  readonly what: string
  readonly notes: readonly string[]
  readonly evidence: readonly Evidence[]
  readonly requests: number
}

export interface ConformanceReport {
  readonly version: string
  readonly target: {
    readonly issuer: string | null
    readonly revocation: string | null
    readonly introspection: string | null
    readonly token: string | null
  }
  /** ISO 8601. */
  readonly startedAt: string
  readonly finishedAt: string
  readonly races: number
  readonly samples: number
  readonly requests: number
  readonly requestsMax: number
  /** Why the run ended before its last case, or null. */
  readonly stopped: 'signal' | 'unreachable' | null
  readonly totals: Readonly<Record<VerdictName, number>>
  readonly results: readonly CaseResult[]
}

/**
 * Runs the cases against an authorization server, as a black box over HTTP. It revokes tokens that it
 * obtained itself, and no others. A run that is stopped gives the report of what was done.
 *
 * @throws RescindError `usage`, `config_invalid`, `url_invalid`, `url_plain_http`, `answer_invalid`,
 * or one of the HTTP codes when the server cannot be found
 */
export async function runConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const clock = options.clock ?? systemClock
  const http = options.http ?? createHttp({ clock, acceptRisk: options.acceptRisk })
  try {
    return await run(options, clock, http)
  } finally {
    if (options.http === undefined) await http.close()
  }
}

interface Chosen {
  readonly group: string
  readonly entry: ConformanceCase
}

async function run(
  options: ConformanceOptions,
  clock: Clock,
  http: Http,
): Promise<ConformanceReport> {
  const { config, signal, acceptRisk } = options
  const limits = readLimits(options)
  const chosen = chooseCases(options.only)
  const way = { fetch: http.fetch, signal }
  const target = await findTarget({ config, way, acceptRisk, now: () => clock.now() })
  const missing = (entry: ConformanceCase) =>
    missingNeed(entry, { config, target, bruteForce: options.bruteForce ?? false })
  const runnable = chosen.filter(({ entry }) => missing(entry) === undefined)
  const requestsMax = sumOfRequests(runnable, limits)
  const startedAt = clock.now()
  options.onStart?.({
    cases: runnable.filter(({ entry }) => requestsOf(entry, limits) > 0).length,
    chosen: chosen.length,
    requestsMax,
    endpoint: shown(target.revocation) ?? '',
  })
  const sender = openSender({ http, clock, signal })
  const world = openWorld({
    ...{ target, config, limits, clock, sender, signal },
    book: openSecretBook(),
    microseconds: options.microseconds ?? (() => performance.now() * 1000),
    random: options.random ?? Math.random,
    settleMs: options.settleMs ?? SETTLE_MS_DEFAULT,
  })
  const results = await runCases(world, chosen, missing, options)
  return {
    version: VERSION,
    target: describeTarget(target),
    startedAt: new Date(startedAt).toISOString(),
    finishedAt: new Date(clock.now()).toISOString(),
    ...limits,
    requests: sender.sent,
    requestsMax,
    stopped: stopReason(signal, sender.lost),
    totals: count(results),
    results,
  }
}

async function runCases(
  world: World,
  chosen: readonly Chosen[],
  missing: (entry: ConformanceCase) => string | undefined,
  { signal, onResult }: ConformanceOptions,
): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = []
  for (const { group, entry } of chosen) {
    const stopped = stopReason(signal, world.sender.lost)
    const why = stopped === null ? missing(entry) : STOPPED[stopped]
    const result =
      why === undefined
        ? await runCase(world, group, entry, world.limits)
        : unrun(group, entry, { verdict: 'skipped', why })
    results.push(result)
    onResult?.(result)
  }
  return results
}

function describeTarget(target: Target): ConformanceReport['target'] {
  return {
    issuer: target.issuer ?? null,
    revocation: shown(target.revocation),
    introspection: shown(target.introspection),
    token: shown(target.token),
  }
}

const STOPPED = {
  signal: 'The run was stopped before it.',
  unreachable: 'The server could no longer be reached.',
} as const

function stopReason(
  signal: AbortSignal | undefined,
  lost: boolean,
): 'signal' | 'unreachable' | null {
  if (signal?.aborted) return 'signal'
  return lost ? 'unreachable' : null
}

function readLimits(options: ConformanceOptions): CaseLimits {
  const { races = RACES_DEFAULT, samples = SAMPLES_DEFAULT } = options
  if (races < 1 || races > RACES_MAX) {
    throw new RescindError('usage', `The number of races is 1 to ${RACES_MAX}.`)
  }
  if (samples < SAMPLES_MIN || samples > SAMPLES_MAX) {
    throw new RescindError('usage', `The number of samples is ${SAMPLES_MIN} to ${SAMPLES_MAX}.`)
  }
  return { races, samples }
}

/** With fewer, no difference could be told from chance. */
const SAMPLES_MIN = 20

function chooseCases(only: readonly number[] | undefined): readonly Chosen[] {
  const all = GROUPS.flatMap(({ title, cases }) => cases.map((entry) => ({ group: title, entry })))
  if (only === undefined) return all
  const unknown = only.find((id) => !all.some(({ entry }) => entry.id === id))
  if (unknown !== undefined) throw new RescindError('usage', `There is no case ${unknown}.`)
  return all.filter(({ entry }) => only.includes(entry.id))
}

function sumOfRequests(chosen: readonly Chosen[], limits: CaseLimits): number {
  const sum = chosen.reduce((total, { entry }) => total + requestsOf(entry, limits), 0)
  if (sum <= REQUESTS_MAX) return sum
  const message = `It would send up to ${sum} requests, and ${REQUESTS_MAX} are allowed. Ask for fewer races or samples.`
  throw new RescindError('usage', message)
}

const requestsOf = (entry: ConformanceCase, limits: CaseLimits): number =>
  entry.requestsMax?.(limits) ?? REQUESTS_A_CASE_MAX

async function runCase(
  world: World,
  group: string,
  entry: ConformanceCase,
  limits: CaseLimits,
): Promise<CaseResult> {
  const budget = world.sender.open(requestsOf(entry, limits), CASE_MS_MAX)
  world.startOver()
  const verdict = await judge(world, entry)
  return {
    ...unrun(group, entry, verdict),
    notes: world.notes,
    evidence: showEvidence(budget.exchanges, world),
    requests: budget.sent,
  }
}

async function judge(world: World, entry: ConformanceCase): Promise<Verdict> {
  try {
    const verdict = (await entry.run(world)) ?? pass()
    return world.doubts.length === 0 ? verdict : unclear(world.doubts.join(' '))
  } catch (error) {
    if (error instanceof CaseEnd) return error.verdict
    if (world.signal?.aborted) return { verdict: 'skipped', why: 'The run was stopped in it.' }
    // Anything else, a wrong configuration first of all, would be the same for every case.
    throw error
  }
}

function showEvidence(exchanges: readonly RawExchange[], world: World): readonly Evidence[] {
  return exchanges.slice(-EVIDENCE_MAX).map((exchange) => printExchange(exchange, world.book))
}

function unrun(group: string, entry: ConformanceCase, verdict: Verdict): CaseResult {
  const { id, title, level, cites } = entry
  return {
    ...{ id, group, title, level, cites },
    verdict: verdict.verdict,
    what: sentenceOf(verdict),
    notes: [],
    evidence: [],
    requests: 0,
  }
}

function count(results: readonly CaseResult[]): Record<VerdictName, number> {
  const totals = Object.fromEntries(VERDICTS.map((name) => [name, 0])) as Record<
    VerdictName,
    number
  >
  for (const { verdict } of results) totals[verdict] += 1
  return totals
}

function shown(url: URL | undefined): string | null {
  return url === undefined ? null : printableUrl(url)
}

/** The musts of a report that were tested and could not be decided. */
export function undecidedMusts(report: ConformanceReport): readonly CaseResult[] {
  return report.results.filter(isUndecidedMust)
}

/** Says whether a result is that of a must which was tested and could not be decided. */
export function isUndecidedMust({ verdict, level }: CaseResult): boolean {
  return verdict === 'inconclusive' && level === 'must'
}

/** Says whether a result says how the server is: the case was run, and could be decided. */
export function isDecided({ verdict }: CaseResult): boolean {
  return verdict !== 'skipped' && verdict !== 'inconclusive'
}

/** Says whether cases were run, and none of them could be decided: such a run shows nothing. */
export function showsNothing({ results }: ConformanceReport): boolean {
  return !results.some(isDecided) && results.some(({ verdict }) => verdict === 'inconclusive')
}

/** Says whether a report has a failure that counts: of a must, or of a should where asked. */
export function hasFailed(report: ConformanceReport, strict: boolean): boolean {
  return report.results.some(
    ({ verdict, level }) =>
      verdict === 'fail' && (level === 'must' || (strict && level === 'should')),
  )
}
