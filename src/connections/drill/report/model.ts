import type { EvidenceRecord, EvidenceValue } from '../evidence.ts'
import type { Judgement } from '../step.ts'

/** A drill as its evidence tells it. Reports are made of this alone: they cannot hold more than it does. */
export interface DrillReport {
  readonly drill: string
  readonly connection: string
  readonly platform: string
  readonly provider: string
  readonly depth: string
  readonly mode: string
  readonly actor: string
  readonly ownerConsent: string | null
  readonly consent: string
  readonly inject: readonly string[] | null
  readonly version: string
  readonly config: string
  readonly keyId: string
  readonly limits: Readonly<Record<string, number>>
  readonly startedAt: string
  /** Null where the drill did not end. */
  readonly endedAt: string | null
  readonly guards: readonly { readonly name: string; readonly ok: boolean; readonly said: string }[]
  /** The last result of each step, in order. */
  readonly steps: readonly ReportStep[]
  /** Each fault that was injected, in order. */
  readonly faults: readonly ReportResult[]
  readonly resumed: number
  readonly end: ReportEnd | null
  readonly records: number
}

/** What came of a step, or of a fault. */
export interface ReportResult extends Judgement {
  readonly name: string
  readonly did: string
  readonly passOnlyIf: string
  readonly startedAt: string
  readonly tookMs: number
  readonly evidence: EvidenceValue
}

export interface ReportStep extends ReportResult {
  /** Its number. */
  readonly id: string
}

export interface ReportNumbers {
  /** Until it healed; at the other depths until the platform said that it needs its owner. */
  readonly detectMs: number | null
  /** Until the provider first refused a call through the platform; evidence of old has none. */
  readonly refusedMs?: number | null
  readonly notifyMs: number | null
  readonly recoverMs: number | null
  readonly falseHealthyMs: number | null
  readonly refreshAttempts: number | null
  readonly duplicateNotices: number | null
}

export interface ReportEnd
  extends Pick<ReportResult, 'name' | 'did' | 'passOnlyIf' | 'startedAt' | 'tookMs'> {
  readonly step: number
  readonly verdict: 'passed' | 'failed'
  readonly failedAt: number | null
  readonly failedFaults: readonly string[]
  /** Steps of which nothing is known; evidence of old has none. */
  readonly notJudged?: readonly number[]
  readonly why: string
  readonly numbers: ReportNumbers
  readonly appliedBy: string | null
  readonly identity: string | null
  /** By a call at the end. */
  readonly isBack: boolean
  /** Where the connection stands, when it is not back. */
  readonly stands: string | null
}

/** Reads a report out of a drill's records, which were verified before. */
export function readReport(records: readonly EvidenceRecord[]): DrillReport {
  const head = (records[0] ?? {}) as Record<string, EvidenceValue>
  const of = (kind: string) => records.filter((record) => record.kind === kind)
  const end = of('end')[0]
  const text = (name: string) => String(head[name] ?? '')
  const words = (name: string) => (typeof head[name] === 'string' ? String(head[name]) : null)
  return {
    drill: text('drill'),
    connection: text('connection'),
    platform: text('platform'),
    provider: text('provider'),
    depth: text('depth'),
    mode: text('mode'),
    actor: text('actor'),
    ownerConsent: words('ownerConsent'),
    consent: text('consent'),
    inject: (head.inject ?? null) as DrillReport['inject'],
    version: text('version'),
    config: text('config'),
    keyId: String((head.key as { id?: string } | undefined)?.id ?? ''),
    limits: (head.limits ?? {}) as DrillReport['limits'],
    startedAt: text('at'),
    endedAt: end?.at ?? null,
    guards: (of('guards')[0]?.guards ?? []) as unknown as DrillReport['guards'],
    steps: lastSteps(of('step')),
    faults: of('inject').map(asFault),
    resumed: of('resumed').length,
    end: end === undefined ? null : (end as unknown as ReportEnd),
    records: records.length,
  }
}

function lastSteps(records: readonly EvidenceRecord[]): readonly ReportStep[] {
  const last = new Map<string, ReportStep>()
  for (const record of records) {
    const one = asStep(record)
    last.set(one.id, one)
  }
  return [...last.values()].sort((a, b) => Number(a.id) - Number(b.id))
}

function asStep(record: EvidenceRecord): ReportStep {
  return { ...(record as unknown as ReportStep), id: String(record.step) }
}

function asFault(record: EvidenceRecord): ReportResult {
  return { ...(record as unknown as ReportResult), name: String(record.inject) }
}

const DETECTION_STEP = 5
const NOTICE_STEP = 7

/** The last step, as a result like the others; null where the drill did not come to it. */
export function verdictOf({ end }: DrillReport): ReportStep | null {
  if (end === null) return null
  const { did, passOnlyIf, why, startedAt, tookMs, isBack } = end
  const verdict = end.verdict === 'passed' ? 'pass' : 'fail'
  const result = { verdict, why, did, passOnlyIf, startedAt, tookMs, evidence: { isBack } } as const
  return { id: String(end.step), name: end.name, ...result }
}

/** Says in one line how a drill ended. */
export function headlineOf({ end, steps, faults, depth, inject }: DrillReport): string {
  const what = inject === null ? `Drill at depth ${depth}` : 'Drill of injected faults'
  if (end === null) return `${what}: died before its end`
  switch (end.verdict) {
    case 'passed':
      return `${what}: passed${notJudgedText(end)}`
    case 'failed': {
      const at = [...failedSteps(steps), ...failedFaults(faults)]
      return `${what}: failed at ${at.length === 0 ? 'its end' : at.join(', and at ')}`
    }
  }
}

function notJudgedText({ notJudged = [] }: ReportEnd): string {
  if (notJudged.length === 0) return ''
  return `; ${notJudged.length === 1 ? 'step' : 'steps'} ${notJudged.join(', ')} not judged`
}

function failedSteps(steps: DrillReport['steps']): readonly string[] {
  const failed = steps.filter(({ verdict }) => verdict === 'fail')
  const [first, ...more] = failed
  if (first === undefined) return []
  if (more.length === 0) return [`step ${first.id}, ${first.name}`]
  return [`steps ${failed.map(({ id }) => id).join(', ')}`]
}

function failedFaults(faults: DrillReport['faults']): readonly string[] {
  const failed = faults.filter(({ verdict }) => verdict === 'fail').map(({ name }) => name)
  if (failed.length === 0) return []
  return [`the ${failed.length === 1 ? 'fault' : 'faults'} ${failed.join(', ')}`]
}

/** The numbers of a drill, each with its name, its value in words, and what is allowed. */
export function numberRows(report: DrillReport): readonly NumberRow[] {
  const { end, limits, depth } = report
  if (end === null || report.inject !== null) return []
  const { numbers } = end
  // Nobody is told of what heals by itself, and nothing is shown as well that should not be.
  const isDeath = depth !== 'access'
  const isJudged = (step: number) => !end.notJudged?.includes(step)
  const rows: readonly (NumberRow | false)[] = [
    {
      name: depth === 'access' ? 'Time to heal' : 'Time to detect',
      ms: numbers.detectMs,
      limitMs: limits.detectMs,
      isJudged: isJudged(DETECTION_STEP),
    },
    isDeath && {
      name: 'First refused call',
      ms: numbers.refusedMs ?? null,
      isJudged: isJudged(DETECTION_STEP),
    },
    isDeath && {
      name: 'Time to notify',
      ms: numbers.notifyMs,
      limitMs: limits.notifyMs,
      isJudged: isJudged(NOTICE_STEP),
    },
    { name: 'Time to recover', ms: numbers.recoverMs, limitMs: limits.recoverMs },
    isDeath && {
      name: 'False-healthy window',
      ms: numbers.falseHealthyMs,
      limitMs: limits.falseHealthyMs,
      isJudged: isJudged(DETECTION_STEP),
    },
    {
      name: isDeath ? 'Refresh attempts' : 'Refreshes to heal',
      count: numbers.refreshAttempts,
    },
    isDeath && { name: 'Duplicate notices', count: numbers.duplicateNotices },
  ]
  return rows.filter((row) => row !== false)
}

/** A number that is more than is allowed. */
export function isOver({ ms, limitMs }: NumberRow): boolean {
  return typeof ms === 'number' && limitMs !== undefined && ms > limitMs
}

export interface NumberRow {
  readonly name: string
  readonly ms?: number | null
  readonly limitMs?: number | undefined
  readonly count?: number | null
  /** False where the step that judges it was skipped: a limit says nothing then. */
  readonly isJudged?: boolean
}
