import { existsSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Consent } from '../../connections/drill/consent/consent.ts'
import type { DrillLimits, DrillMemory, DrillRules, Mode } from '../../connections/drill/context.ts'
import { runDrill } from '../../connections/drill/drill.ts'
import {
  type EvidenceRecord,
  type EvidenceValue,
  verifyEvidence,
} from '../../connections/drill/evidence.ts'
import {
  continueEvidence,
  createEvidence,
  type EvidenceFile,
  isEvidenceGone,
  readEnded,
  readEvidence,
} from '../../connections/drill/evidence-file.ts'
import { evidenceKeyId, openEvidenceKey } from '../../connections/drill/evidence-key.ts'
import { INJECTION_NAMES, injectionsOf } from '../../connections/drill/injections.ts'
import {
  type DrillAbout,
  type DrillJournal,
  forgetDrill,
  listUnfinished,
  openJournal,
  resumeJournal,
  sayRunning,
  type Unfinished,
} from '../../connections/drill/journal.ts'
import type { Depth } from '../../connections/drill/platform.ts'
import { renderDrillHtml } from '../../connections/drill/report/html.ts'
import { renderDrillJson } from '../../connections/drill/report/json.ts'
import { renderDrillJunit } from '../../connections/drill/report/junit.ts'
import { type DrillReport, headlineOf, readReport } from '../../connections/drill/report/model.ts'
import { renderDrillEnd, renderRecord } from '../../connections/drill/report/terminal.ts'
import type { DrillOptions } from '../../connections/drill/run.ts'
import {
  mayBeDead,
  whatIsLeft,
  whereItStands,
  whereItStood,
} from '../../connections/drill/standing.ts'
import { type TracedCall, traceLine } from '../../connections/open-connectors/trace.ts'
import { tracedHttp } from '../../connections/open-connectors/traced-http.ts'
import { EXIT, isRescindError, RescindError } from '../../core/errors.ts'
import { makeFolder } from '../../core/folder.ts'
import { traitsOf } from '../../providers/connection-way.ts'
import { newId } from '../../store/store.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import {
  type DrillTarget,
  evidenceKeyPath,
  journalMeans,
  type OpenTarget,
  openConsent,
  openTarget,
} from '../drill/open-drill.ts'
import type { Io } from '../io.ts'
import { many } from '../option-values.ts'
import { withCommonOptions } from '../output.ts'

const DEPTHS = ['access', 'refresh', 'grant'] as const
const MODES = ['simulated', 'sandbox', 'canary'] as const
const CONSENTS = ['browser', 'form', 'link'] as const

interface RunOptions extends TenantOptions {
  readonly trace?: boolean
  readonly consent?: (typeof CONSENTS)[number]
}

interface DrillCliOptions extends RunOptions {
  readonly depth: Depth
  readonly mode: Mode
  readonly via: 'rescind' | 'open-connectors'
  readonly inject?: readonly string[]
  readonly out?: string
  readonly maxDetect: number
  readonly maxNotify: number
  readonly maxRecover: number
  readonly maxFalseHealthy: number
  readonly load: number
  readonly ownerConsent?: string
}

/** Makes `rescind drill CONNECTION|verify|resume|status|forget`. */
export function drillCommand(io: Io): Command {
  const command = withLimits(withRunOptions(new Command('drill')))
    .argument('<connection>', 'con_…, or the number of an instance with --via open-connectors')
    .description(
      'revoke a connection on purpose, watch it be noticed, and prove that it comes back',
    )
    .addOption(new Option('--depth <depth>', 'what is revoked').choices(DEPTHS).default('refresh'))
    .addOption(new Option('--mode <mode>', 'where').choices(MODES).default('simulated'))
    .addOption(
      new Option('--via <platform>', 'who keeps the connection')
        .choices(['rescind', 'open-connectors'])
        .default('rescind'),
    )
    .option(
      '--inject <name>',
      `inject a fault in place of the revocation, or all; simulated alone: ${INJECTION_NAMES.join(', ')}`,
      many,
    )
    .action((connection: string, options: DrillCliOptions) =>
      withContext(io, options, (context) => drill(context, connection, options)),
    )
  command.addCommand(
    withCommonOptions(new Command('verify'))
      .argument('<file>', 'the evidence of a drill')
      .description('check evidence offline: the chain, the signatures, the end')
      .option('--key <id>', 'the key that must have signed it: drk_…')
      .option('--config <file>', 'the configuration, whose key is known to be yours')
      .action((file: string, options: VerifyOptions) =>
        withContext(io, options, async (context) => verify(context, file, options)),
      ),
  )
  command.addCommand(
    withRunOptions(new Command('resume'))
      .argument('[drill]', 'drl_…; the only one that did not end without it')
      .description('go on with a drill that died')
      .action((id: string | undefined, options: RunOptions) =>
        withContext(io, options, (context) => resume(context, id, options)),
      ),
  )
  command.addCommand(
    withCommonOptions(new Command('status'))
      .description('list the drills that did not end, and where their connections stand')
      .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
      .action((options: TenantOptions) =>
        withContext(io, options, async (context) => status(context)),
      ),
  )
  command.addCommand(
    withCommonOptions(new Command('forget'))
      .argument('<drill>', 'drl_…')
      .description('end a drill that died and cannot be gone on with, without a verdict')
      .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
      .action((id: string, options: TenantOptions) =>
        withContext(io, options, async (context) => forget(context, id)),
      ),
  )
  return command
}

function withRunOptions(command: Command): Command {
  return withTenantOptions(command)
    .addOption(new Option('--consent <how>', 'how the owner consents').choices(CONSENTS))
    .option('--trace', 'print each call: method, address without secrets, status, time')
}

/** What a drill that is resumed has from its beginning. */
function withLimits(command: Command): Command {
  return command
    .option('--out <folder>', 'where evidence and reports go (default: rescind-drill-ID)')
    .addOption(
      time(
        '--max-detect',
        'from the revocation until it says that it needs its owner, or is healed',
        '60s',
      ),
    )
    .addOption(time('--max-notify', 'until somebody is told', '60s'))
    .addOption(time('--max-recover', 'until it works again', '30m'))
    .addOption(time('--max-false-healthy', 'said to be well while dead', '60s'))
    .addOption(time('--load', 'how long calls go on while it is dead', '3s'))
    .addOption(
      new Option(
        '--owner-consent <who>',
        'who owns the connection and agreed; for canary',
      ).argParser(nameOrNone),
    )
}

/** A variable that is not set names nobody. */
function nameOrNone(text: string): string | undefined {
  return text.trim() || undefined
}

/** The help shows the default as it would be written. */
function time(flag: string, what: string, byDefault: string): Option {
  return new Option(`${flag} <time>`, what)
    .argParser(duration)
    .default(duration(byDefault), byDefault)
}

async function drill(
  context: Context,
  connection: string,
  options: DrillCliOptions,
): Promise<void> {
  const { depth, mode, via } = options
  const injections = options.inject && injectionsOf(options.inject)
  if (injections !== undefined && mode !== 'simulated') {
    throw new RescindError('usage', 'Faults are injected with --mode simulated alone.')
  }
  const id = newId('drl')
  const http = httpOf(context, options)
  await using target = await openTargetFor(context, http, {
    ...{ connection, via, mode, tenant: options.tenant },
  })
  const place = resolve(context.io.cwd, options.out ?? `rescind-drill-${id}`)
  const { folder, forsake } = makeOutput(place)
  try {
    const path = join(folder, 'evidence.jsonl')
    // Before the lock is taken: what is missing for the consent bars nobody.
    await using consent = await consentOf(context, http, target, { ...options, folder })
    const of = { subject: connection, via, tenant: target.tenant }
    const { ownerConsent = null } = options
    const begunWith = { limits: limitsOf(options), ownerConsent, consent: consent.how }
    const about: DrillAbout = { drill: id, ...of, depth, mode, evidence: path, begunWith }
    const journal = openJournal(about, await journalMeans(context))
    const evidence = createOrClose(context, path, journal)
    const begun = { target, consent, journal, evidence, injections }
    await run(context, begun)
  } finally {
    forsake()
  }
}

/** What is to be drilled, closed at the end. */
async function openTargetFor(
  context: Context,
  http: Context['http'],
  wish: DrillTarget,
): Promise<OpenTarget & AsyncDisposable> {
  const target = await openTarget(context, http, wish)
  return { ...target, [Symbol.asyncDispose]: target.close }
}

function createOrClose(context: Context, path: string, journal: DrillJournal): EvidenceFile {
  try {
    const signer = openEvidenceKey(evidenceKeyPath(context))
    return createEvidence(path, { signer, clock: context.io.clock })
  } catch (error) {
    journal.close()
    throw error
  }
}

/** The way to the consent, closed at the end. */
async function consentOf(
  context: Context,
  http: Context['http'],
  target: OpenTarget,
  options: RunOptions & { readonly folder: string },
): Promise<Consent & AsyncDisposable> {
  const { consent: how, folder } = options
  const keepPicture = (png: Uint8Array) => writeReport(join(folder, 'consent.png'), png)
  const consent = await openConsent(context, http, {
    ...{ how, target, keepPicture, trace: traceOf(context, options) },
  })
  return { ...consent, [Symbol.asyncDispose]: consent.close }
}

async function resume(
  context: Context,
  id: string | undefined,
  options: RunOptions,
): Promise<void> {
  const means = await journalMeans(context)
  const drillId = id ?? onlyUnfinished(means.folder)
  const { journal, memory, secrets } = resumeJournal(drillId, means)
  try {
    const signer = openEvidenceKey(evidenceKeyPath(context))
    if (options.tenant !== undefined && options.tenant !== journal.about.tenant) {
      throw otherTenant(journal.about, options.tenant)
    }
    const ended = readEnded(journal.about.evidence, signer)
    if (ended !== undefined) return endLate(context, journal, ended)
    const isLost = isEvidenceGone(journal.about.evidence)
    if (memory === null || (isLost && !mayBeDead(memory))) throw nothingToResume(journal, memory)
    using output = isLost ? outputAgain(context, journal) : undefined
    if (output !== undefined) journal.save(memory, secrets)
    const { subject: connection, via, mode, tenant, evidence: path, begunWith } = journal.about
    const evidenceMeans = { signer, clock: context.io.clock }
    const evidence = isLost
      ? createEvidence(path, evidenceMeans)
      : continueEvidence(path, evidenceMeans)
    // A fault is written down before it is injected, and in the memory only after.
    const isHurt =
      memory.hurt !== null || evidence.records.some(({ inject }) => typeof inject === 'string')
    // What it remembers of the connection may be another's by now.
    if (memory.revokedAt === null && !isHurt) {
      evidence.close()
      throw nothingToResume(journal, memory)
    }
    const http = httpOf(context, options)
    const of = { connection, via, mode, tenant, isHurt }
    await using target = await openTargetFor(context, http, of).catch((error: unknown) => {
      throw sayForget(error, drillId)
    })
    const wish = { consent: begunWith.consent, ...options, folder: dirname(path) }
    await using consent = await consentOf(context, http, target, wish)
    const injections = isLost && memory.hurt ? injectionsOf([memory.hurt.fault]) : undefined
    await run(context, {
      ...{ target, consent, journal, evidence, injections, resumed: { memory, secrets } },
    })
  } finally {
    journal.leave()
  }
}

/** What was deleted is never found again; what another account or vault has, is. */
function sayForget(error: unknown, drill: string): unknown {
  const isUnknown =
    isRescindError(error, 'instance_unknown') || isRescindError(error, 'connection_unknown')
  if (!isUnknown) return error
  const said = `${error.message} If it was deleted, end the drill with: rescind drill forget ${drill}`
  return new RescindError(error.code, said, { cause: error })
}

/** The drill ended, and died before its reports were written. */
function endLate(context: Context, journal: DrillJournal, evidence: WrittenEvidence): void {
  report(context, evidence, dirname(evidence.path))
  journal.close()
  context.io.exitCode = exitOf(evidence.records.at(-1)?.verdict)
}

function otherTenant({ drill, tenant }: DrillAbout, named: string): RescindError {
  return new RescindError(
    'usage',
    `The drill ${drill} is at the tenant ${tenant}, and not at ${named}. Leave --tenant out.`,
  )
}

function nothingToResume(journal: DrillJournal, memory: DrillMemory | null): RescindError {
  journal.close()
  const { subject, via } = journal.about
  const begin = `rescind drill ${subject}${via === 'rescind' ? '' : ` --via ${via}`}`
  return new RescindError(
    'usage',
    `${whereItStands(journal.about, memory)} Begin a new drill: ${begin}`,
  )
}

/** A folder for what is said after the evidence was lost: the one that it was in, or one here. */
function outputAgain({ io, output }: Context, journal: DrillJournal): Disposable {
  const { drill, evidence } = journal.about
  const there = dirname(evidence)
  if (existsSync(evidence)) rmSync(evidence)
  const made = outputIn(there) ?? makeOutput(resolve(io.cwd, `rescind-drill-${drill}`))
  const path = join(made.folder, 'evidence.jsonl')
  journal.moveEvidence(path)
  output.note(
    `The evidence ${evidence} is gone: the drill cannot be judged any more. The connection is brought back where it is not, and the drill has failed; what is still done is written to ${path}.`,
  )
  return { [Symbol.dispose]: made.forsake }
}

function outputIn(folder: string): Output | undefined {
  try {
    return makeOutput(folder)
  } catch (error) {
    if (isRescindError(error)) return undefined
    throw error
  }
}

function onlyUnfinished(folder: string): string {
  const unfinished = listUnfinished(folder).filter(({ running }) => running === null)
  const [only] = unfinished
  if (only !== undefined && unfinished.length === 1) return only.about.drill
  throw new RescindError(
    'usage',
    unfinished.length === 0
      ? 'No drill is to be resumed: all have ended, or run.'
      : `Say which drill. ${unfinished.map(sayUnfinished).join(' ')}`,
  )
}

/** Lists what did not end: what runs, and what died, with where its connection stands. */
async function status(context: Context): Promise<void> {
  const { output } = context
  const unfinished = listUnfinished((await journalMeans(context)).folder)
  output.result({
    drills: unfinished.map((one) => ({
      ...one.about,
      running: one.running,
      mayBeDead: one.memory !== null && mayBeDead(one.memory),
      stands: sayUnfinished(one),
    })),
  })
  if (unfinished.length === 0) output.say('All drills have ended.')
  for (const one of unfinished) output.say(sayUnfinished(one))
}

async function forget(context: Context, id: string): Promise<void> {
  const { output } = context
  const { about, memory } = forgetDrill(id, await journalMeans(context))
  const left = whatIsLeft(about, memory)
  output.result({ ...about, forgotten: true, left })
  output.say(`The drill ${about.drill} is forgotten, and has no verdict. ${left}`)
  output.say(`Evidence  ${about.evidence}`)
}

function sayUnfinished({ about, memory, running }: Unfinished): string {
  if (running) return sayRunning(about, running)
  return `The drill ${about.drill} died. ${whereItStood(about, memory)}`
}

interface Run {
  readonly target: OpenTarget
  readonly consent: Consent
  readonly journal: DrillJournal
  readonly evidence: EvidenceFile
  readonly injections?: DrillOptions['injections']
  readonly resumed?: DrillOptions['resumed']
}

async function run(context: Context, wish: Run): Promise<void> {
  const { io, config, output } = context
  const { target, journal, evidence, consent } = wish
  const folder = dirname(evidence.path)
  const { platform, direct, witness } = target
  const signer = openEvidenceKey(evidenceKeyPath(context))
  const { users, consent: configured } = config.drill()
  evidence.keepOut(
    ...target.secrets,
    ...Object.values(configured.fields),
    ...Object.values(configured.stranger),
  )
  output.note(
    `Drill ${journal.about.drill} of ${journal.about.subject} via ${platform.name}: ${journal.about.depth}, ${journal.about.mode}; consent by ${consent.how}.`,
  )
  const before = evidence.records.length
  let isOurs = true
  try {
    const { verdict } = await runDrill({
      context: {
        ...{ platform, direct, consent, witness },
        rules: rulesOf(wish),
        clock: io.clock,
        fingerprint: (await context.store()).fingerprint,
        signal: io.signal,
        lab: target.lab,
      },
      ...{ journal, evidence, signer, actor: context.actor },
      permission: {
        mode: journal.about.mode,
        allowedUsers: users,
        ownerConsent: journal.about.begunWith.ownerConsent,
      },
      injections: wish.injections,
      resumed: wish.resumed,
      listen: (record) => {
        tell(context, record)
        // Before the journal is closed: a drill that dies here is resumed, and they are written then.
        if (record.kind === 'end') writeReports(evidence, folder)
      },
    })
    io.exitCode = exitOf(verdict)
  } catch (error) {
    // Who has taken it over writes its reports; who resumes it, those that could not be written at its end.
    isOurs = !isRescindError(error, 'drill_busy') && evidence.records.at(-1)?.kind !== 'end'
    throw error
  } finally {
    if (evidence.records.length === 0) rmSync(evidence.path, { force: true })
    if (isOurs && evidence.records.length > before) report(context, evidence, folder)
  }
}

function exitOf(verdict: EvidenceValue | undefined) {
  return verdict === 'passed' ? EXIT.ok : EXIT.notProven
}

function limitsOf(options: DrillCliOptions): DrillLimits {
  return {
    detectMs: options.maxDetect,
    notifyMs: options.maxNotify,
    recoverMs: options.maxRecover,
    falseHealthyMs: options.maxFalseHealthy,
    loadMs: options.load,
  }
}

function rulesOf(wish: Run): DrillRules {
  const { app, way } = wish.target.direct
  const { depth, begunWith } = wish.journal.about
  const { limits } = begunWith
  return {
    ...{ depth, limits, traits: traitsOf(way, app), habits: wish.target.platform.habits },
    consentHosts: [new URL(app.url).host],
    clientId: app.clientId,
    redirectUri: app.redirectUri,
  }
}

/** As words; where a program listens (`--json`, no terminal), as one JSON object a line on standard error. */
function tell({ output, io }: Context, record: EvidenceRecord): void {
  if (!output.json || io.stderr.isTTY) {
    const line = renderRecord(record, output)
    if (line !== undefined) output.say(line)
    return
  }
  const { kind, step, name, inject, verdict, why, at } = record
  const isResult = kind === 'step' || kind === 'inject' || kind === 'end'
  const what = kind === 'inject' ? `fault ${inject}` : `${step} ${name}`
  const text = isResult ? `${what}: ${verdict}. ${why}` : undefined
  const event = { event: kind, at, step, name, inject, verdict, text }
  io.stderr.write(`${JSON.stringify(event)}\n`)
}

type WrittenEvidence = Pick<EvidenceFile, 'records' | 'path'>

function writeReports({ records }: WrittenEvidence, folder: string) {
  const made = readReport(records)
  const files = {
    html: join(folder, 'report.html'),
    json: join(folder, 'report.json'),
    junit: join(folder, 'junit.xml'),
  }
  writeReport(files.html, renderDrillHtml(made))
  writeReport(files.json, renderDrillJson(made))
  writeReport(files.junit, renderDrillJunit(made))
  return { made, files }
}

function report({ output }: Context, evidence: WrittenEvidence, folder: string): void {
  const { path } = evidence
  const { made, files } = writeReports(evidence, folder)
  output.result(resultOf(made, { evidence: path, ...files }))
  output.say(renderDrillEnd(made, output))
  output.say()
  output.say(`Report    ${files.html}  (beside it report.json, junit.xml)`)
  output.say(`Evidence  ${path}`)
  output.say(`Signed by ${made.keyId}`)
}

function resultOf(made: DrillReport, files: Readonly<Record<string, string>>) {
  const { drill, connection, platform, depth, mode, end, steps, faults, keyId } = made
  return {
    ...{ drill, connection, platform, depth, mode, key: keyId, files },
    headline: headlineOf(made),
    verdict: end?.verdict ?? 'died',
    failedAt: end?.failedAt ?? null,
    failedFaults: end?.failedFaults ?? [],
    notJudged: end?.notJudged ?? [],
    why: end?.why ?? null,
    isBack: end?.isBack ?? null,
    stands: end?.stands ?? null,
    numbers: end?.numbers ?? null,
    steps: steps.map(({ id, name, verdict, why }) => ({ id, name, verdict, why })),
    faults: faults.map(({ name, verdict, why }) => ({ name, verdict, why })),
  }
}

interface VerifyOptions extends TenantOptions {
  readonly key?: string
}

function verify(context: Context, file: string, { key }: VerifyOptions): void {
  const { io, output } = context
  const check = verifyEvidence(readEvidence(resolve(io.cwd, file)), key)
  if (!check.ok) {
    const { fault, record, bytes, text } = check
    output.result({ ok: false, fault, record, bytes, text, sound: check.sound.length })
    throw new RescindError('evidence_altered', `${file} is refused. ${text}`)
  }
  const own = evidenceKeyId(evidenceKeyPath(context))
  const made = readReport(check.records)
  const verdict = made.end?.verdict ?? null
  const isOwn = own === check.keyId
  output.result({ ok: true, key: check.keyId, isOwn, records: check.records.length, verdict })
  output.say(`${file} is as it was signed: ${check.records.length} records. ${headlineOf(made)}.`)
  const whose = isOwn ? 'this home’s own key' : 'a key that this home does not know: compare it'
  output.say(`Signed by ${check.keyId}${key === undefined ? `, ${whose}` : ''}.`)
}

function traceOf({ output }: Context, { trace }: RunOptions) {
  return trace ? (call: TracedCall) => output.note(`    ${traceLine(call)}`) : undefined
}

function httpOf(context: Context, options: RunOptions): Context['http'] {
  const trace = traceOf(context, options)
  return trace ? tracedHttp(context.http, context.io.clock, trace) : context.http
}

interface Output {
  readonly folder: string
  readonly forsake: () => void
}

/** Makes a folder, and gives the way to take it away again where nothing came into it. */
function makeOutput(folder: string): Output {
  let made: string | undefined
  try {
    made = makeFolder(folder)
  } catch (cause) {
    throw new RescindError(
      'usage',
      `The folder ${folder} cannot be made. Name another with --out.`,
      { cause },
    )
  }
  if (existsSync(join(folder, 'evidence.jsonl'))) {
    throw new RescindError(
      'usage',
      `${folder} holds the evidence of a drill. Name another with --out.`,
    )
  }
  return { folder, forsake: () => removeEmpty(folder, made) }
}

/** @param first the uppermost of the folders that were made; none above it is touched */
function removeEmpty(folder: string, first: string | undefined): void {
  if (first === undefined) return
  for (let one = folder; one.length >= first.length; one = dirname(one)) {
    try {
      rmdirSync(one)
    } catch {
      return
    }
  }
}

function writeReport(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content, { mode: 0o600 })
  } catch (cause) {
    throw new RescindError(
      'usage',
      `${path} cannot be written. Check the folder and its permissions.`,
      { cause },
    )
  }
}

const DURATION = /^(\d+)(ms|s|m|h)$/
const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

function duration(text: string): number {
  const [, count, unit] = DURATION.exec(text) ?? []
  if (count === undefined) throw new InvalidArgumentError('Write a time, like 60s or 15m.')
  return Number(count) * UNITS[unit as keyof typeof UNITS]
}
