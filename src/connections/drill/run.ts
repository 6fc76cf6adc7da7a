import { createHash } from 'node:crypto'
import type { Secret } from '../../core/secret.ts'
import { VERSION } from '../../core/version.ts'
import { type DrillContext, type DrillMemory, emptyMemory, emptySecrets } from './context.ts'
import { EVIDENCE_FORMAT, type EvidenceRecord, type EvidenceValue } from './evidence.ts'
import type { EvidenceFile } from './evidence-file.ts'
import type { EvidenceSigner } from './evidence-key.ts'
import type { DrillPermission, GuardResult } from './guards.ts'
import type { Injection } from './inject.ts'
import type { DrillJournal } from './journal.ts'
import type { Judgement } from './step.ts'

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

/** A drill at work: what it was given, what its steps work with, and what came of them so far. */
export interface Run {
  readonly options: DrillOptions
  readonly context: DrillContext
  /** The last judgement of each step. */
  readonly judged: Map<number, Judgement>
  readonly failedFaults: Set<string>
}

export function openRun(options: DrillOptions): Run {
  const { evidence, journal, resumed } = options
  const memory: DrillMemory = resumed?.memory ?? emptyMemory(options.context.clock.now())
  const secrets = resumed?.secrets ?? emptySecrets()
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
    ...secrets.codes,
  )
  return { options, context, ...judgedSoFar(evidence.records) }
}

/** Appends a record to the evidence, and shows it. */
export function write(
  { options }: Run,
  body: { readonly kind: string; readonly [name: string]: EvidenceValue },
): void {
  // Two that go on with one drill would break the chain of its evidence.
  options.journal.hold()
  const record = options.evidence.append(body)
  options.listen?.(record)
}

/** The first of those that bring a new grant: what one of them has in hand does not outlive a process. */
export const LINK_STEP = 8
export const APPLY_STEP = 11
export const NEW_STEP = 12
export const DETECTION_STEP = 5
export const NOTICE_STEP = 7

/** Whether a step was begun, by this process or by one that died. */
export function isBegun({ options }: Run, no: number): boolean {
  return options.evidence.records.some(({ kind, step }) => kind === 'intent' && step === no)
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

/** The steps that bring a new grant are to be done once more. */
export function forgetReconnect(judged: Run['judged']): void {
  for (let no = LINK_STEP; no <= NEW_STEP; no += 1) judged.delete(no)
}

/** What was written before the drill died is gone: only what brings the connection back is still to be done. */
export function isEvidenceLost({ options }: Run): boolean {
  return options.evidence.records[0]?.evidenceLost === true
}

/** The names of the faults of a drill; null where it is of a revocation. */
export function faultsOf(records: readonly EvidenceRecord[]): readonly string[] | null {
  return (records[0]?.inject ?? null) as readonly string[] | null
}

/** What was asked before anything was touched, as evidence shows it. */
export function guardValue({ name, ok, said }: GuardResult): EvidenceValue {
  return { name, ok, said }
}

/** The first record of the evidence. */
export function header({ journal, context, permission, signer, actor, injections }: DrillOptions) {
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
