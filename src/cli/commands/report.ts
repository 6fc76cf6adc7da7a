import { createWriteStream } from 'node:fs'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { VERSION } from '../../core/version.ts'
import { renderCsv } from '../../sweep/report/csv.ts'
import { gatherReport } from '../../sweep/report/gather.ts'
import { renderHtml } from '../../sweep/report/html.ts'
import { renderJson } from '../../sweep/report/json.ts'
import { renderTerminal } from '../../sweep/report/terminal.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'

interface ReportOptions extends TenantOptions {
  readonly html?: string
  readonly csv?: string
}

/** Makes `rescind report`: what was asked, what died, how it is known, and what is left. */
export function reportCommand(io: Io): Command {
  return withTenantOptions(new Command('report'))
    .argument('[run]', 'the run (default: the newest)')
    .description('report on a run: on the terminal, as JSON, CSV, or one HTML file')
    .option('--html <file>', 'write one HTML file that stands alone')
    .option('--csv <file>', 'write a CSV file with a line for each token')
    .action((run: string | undefined, options: ReportOptions) =>
      withContext(io, options, (context) => report(context, run, options)),
    )
}

async function report(
  context: Context,
  id: string | undefined,
  options: ReportOptions,
): Promise<void> {
  const { io } = context
  const store = await context.store()
  const run =
    id === undefined ? (await store.runs.list(options.tenant))[0] : await store.runs.get(id)
  if (!run) {
    throw new RescindError(
      'run_unknown',
      id === undefined
        ? 'There is no run yet.'
        : `There is no run "${id}" in this store. List them with: rescind runs`,
    )
  }
  const model = await gatherReport(store, run, { clock: io.clock, version: VERSION })
  const files: string[] = []
  if (options.html !== undefined) {
    await writeChunks(resolve(io.cwd, options.html), renderHtml(model))
    files.push(options.html)
  }
  if (options.csv !== undefined) {
    await writeChunks(resolve(io.cwd, options.csv), renderCsv(model))
    files.push(options.csv)
  }
  const { output } = context
  const { columns, color } = output
  output.result(renderJson(model))
  output.say(renderTerminal(model, { columns, color, files, brief: files.length > 0 }).trimEnd())
}

/** A report names users and apps: the file is the owner's alone. */
async function writeChunks(path: string, chunks: Iterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(chunks), createWriteStream(path, { mode: 0o600 }))
  } catch (error) {
    throw new RescindError(
      'usage',
      `The report cannot be written to ${path}. Check the folder and its permissions.`,
      { cause: error },
    )
  }
}
