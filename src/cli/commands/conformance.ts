import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { type ConformanceConfig, readConformanceConfig } from '../../conformance/config.ts'
import {
  type CaseResult,
  type ConformanceReport,
  hasFailed,
  RACES_DEFAULT,
  RACES_MAX,
  type RunStart,
  runConformance,
  SAMPLES_DEFAULT,
  SAMPLES_MAX,
  showsNothing,
  undecidedMusts,
} from '../../conformance/conformance.ts'
import { renderConformanceHtml } from '../../conformance/report/html.ts'
import { renderConformanceJunit } from '../../conformance/report/junit.ts'
import { renderConformanceTerminal } from '../../conformance/report/terminal.ts'
import { EXIT, type ExitCode, RescindError } from '../../core/errors.ts'
import type { Io } from '../io.ts'
import { positiveNumber } from '../option-values.ts'
import { type CommonOptions, type Output, openOutput, withCommonOptions } from '../output.ts'

interface ConformanceCliOptions extends CommonOptions {
  readonly issuer?: string
  readonly config?: string
  readonly races?: number
  readonly samples?: number
  readonly only?: readonly number[]
  readonly bruteForce?: boolean
  readonly strict?: boolean
  readonly junit?: string
  readonly html?: string
}

/** Makes `rescind conformance`: what anybody's revocation endpoint really does. */
export function conformanceCommand(io: Io): Command {
  return withCommonOptions(new Command('conformance'))
    .description("test anybody's revocation and introspection endpoints, with clients of your own")
    .option('--issuer <url>', 'the issuer, whose metadata says where its endpoints are')
    .option(
      '--config <file>',
      'the clients and how tokens are made (YAML; see docs/conformance.md)',
    )
    .option(
      '--races <count>',
      `rounds of each race, up to ${RACES_MAX} (default: ${RACES_DEFAULT})`,
      positiveNumber,
    )
    .option(
      '--samples <count>',
      `samples of each timing, up to ${SAMPLES_MAX} (default: ${SAMPLES_DEFAULT})`,
      positiveNumber,
    )
    .option('--only <numbers>', 'these cases alone: 24,25,99', caseNumbers)
    .option('--brute-force', 'run the cases that send many wrong secrets and tokens too')
    .option('--strict', 'a failed should, and a must that could not be decided, are exit 5 too')
    .option('--junit <file>', 'write JUnit XML')
    .option('--html <file>', 'write one HTML file that stands alone')
    .action((options: ConformanceCliOptions) => conformance(io, options))
}

async function conformance(io: Io, options: ConformanceCliOptions): Promise<void> {
  const output = openOutput(io, options)
  const config = readConfig(io, options)
  for (const file of [options.junit, options.html]) checkWritable(io, file)
  const report = await runConformance({
    config: options.issuer === undefined ? config : { ...config, issuer: options.issuer },
    races: options.races,
    samples: options.samples,
    only: options.only,
    bruteForce: options.bruteForce,
    acceptRisk: options.acceptRisk,
    clock: io.clock,
    random: io.random,
    signal: io.signal,
    onStart: (start) => announce(start, output),
    onResult: (result) => progress(result, io),
  })
  output.result(report)
  output.say(renderConformanceTerminal(report, output).trimEnd())
  io.exitCode = exitCodeOf(report, options.strict ?? false)
  write(io, options.junit, () => [renderConformanceJunit(report, options.strict ?? false)])
  write(io, options.html, () => renderConformanceHtml(report))
}

/**
 * `notProven`: a must failed (strict: a should too, or a must could not be decided), or nothing could
 * be decided at all. `stopped`: by a signal. `unexpected`: the server went away.
 */
function exitCodeOf(report: ConformanceReport, strict: boolean): ExitCode {
  if (hasFailed(report, strict)) return EXIT.notProven
  switch (report.stopped) {
    case 'signal':
      return EXIT.stopped
    case 'unreachable':
      return EXIT.unexpected
    case null:
      return showsNothing(report) || (strict && undecidedMusts(report).length > 0)
        ? EXIT.notProven
        : EXIT.ok
  }
}

function announce({ cases, chosen, requestsMax, endpoint }: RunStart, output: Output): void {
  const of = cases === chosen ? `${cases}` : `${cases} of ${chosen}`
  output.note(
    `${of} ${chosen === 1 ? 'case' : 'cases'} against ${endpoint}, with ${requestsMax} requests at most. Only tokens that this run obtains are revoked.`,
  )
}

/** A person at a terminal sees that something goes on. */
function progress(result: CaseResult, io: Io): void {
  if (io.stderr.isTTY !== true) return
  io.stderr.write(`\r\u001b[2K${result.id} ${result.verdict}\r`)
}

function readConfig(io: Io, options: ConformanceCliOptions): ConformanceConfig {
  const path = resolve(io.cwd, options.config ?? 'clients.yaml')
  const sources = { env: io.env, folder: dirname(path), path: options.config ?? 'clients.yaml' }
  if (options.config === undefined) return readConformanceConfig({ text: '', sources })
  return readConformanceConfig({ text: readText(path), sources })
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const message = `The configuration ${path} cannot be read. Check --config.`
    throw new RescindError('config_missing', message, { cause })
  }
}

/** A run takes minutes, and what it found would be lost: a file is opened before it, and left as it was. */
function checkWritable(io: Io, file: string | undefined): void {
  if (file === undefined) return
  const path = resolve(io.cwd, file)
  const isNew = !existsSync(path)
  writing(path, () => closeSync(openSync(path, 'a', 0o600)))
  if (isNew) rmSync(path)
}

function write(io: Io, file: string | undefined, render: () => Iterable<string>): void {
  if (file === undefined) return
  const path = resolve(io.cwd, file)
  writing(path, () => writeFileSync(path, [...render()].join(''), { mode: 0o600 }))
}

function writing(path: string, work: () => void): void {
  try {
    work()
  } catch (cause) {
    const message = `The report cannot be written to ${path}. Check the folder and its permissions.`
    throw new RescindError('usage', message, { cause })
  }
}

function caseNumbers(text: string): readonly number[] {
  if (!/^\d+(,\d+)*$/.test(text)) {
    throw new InvalidArgumentError('It takes the numbers of cases: 24,25,99.')
  }
  return text.split(',').map(Number)
}
