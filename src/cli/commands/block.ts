import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Command } from 'commander'
import { EXIT, RescindError } from '../../core/errors.ts'
import { shownName } from '../../core/screen-text.ts'
import type { AppRow, BlockAnswer, ProviderSession } from '../../providers/provider.ts'
import { type Context, openContext, type TenantOptions, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { takeTenantInventory } from './inventory.ts'

/** Names of apps that are listed when the wanted one is not among them. */
const NAMES_SHOWN_MAX = 12

interface BlockOptions extends TenantOptions {
  readonly app?: string
  readonly appId?: string
  readonly save?: string
  readonly undo?: string
  readonly confirm?: boolean
}

/** Makes `rescind block`: puts an app out, or lets it in again. */
export function blockCommand(io: Io): Command {
  return withTenantOptions(new Command('block'))
    .description('put an app out, so that it cannot come back; a dry run without --confirm')
    .option('--app <name>', 'the app, by its name')
    .option('--app-id <id>', 'the app, by its id')
    .option('--save <file>', 'where the undo record goes (default: rescind-undo-NAME-TIME.json)')
    .option('--undo <file>', 'lift the block that this undo record is of')
    .option('--confirm', 'do it')
    .action(async (options: BlockOptions) => {
      const context = openContext(io, options)
      try {
        await (options.undo === undefined ? block(context, options) : unblock(context, options))
      } finally {
        await context.close()
      }
    })
}

async function block(context: Context, options: BlockOptions): Promise<void> {
  if ((options.app === undefined) === (options.appId === undefined)) {
    throw new RescindError('usage', 'Say which app: either --app NAME or --app-id ID.')
  }
  const session = await openBlocking(context)
  const app = chooseApp(await listApps(context), options)
  const shown = `${shownName(app.label)} (${app.id})`
  if (!options.confirm) {
    const why = session.whyNotBlock?.(app)
    const text = why
      ? `${why} Nothing was changed.`
      : `Would block ${shown}. It can come back ${comebackOf(app)}. Nothing was changed; do it with --confirm.`
    context.output.result({ app: app.id, label: app.label, dry: true, done: false, text })
    context.output.say(text)
    return
  }
  const path = resolve(context.io.cwd, options.save ?? undoName(app, context.io.clock.now()))
  let isKept = false
  const keep = (undo: unknown) => {
    writeUndo(path, `${JSON.stringify(undo, null, 2)}\n`)
    isKept = true
  }
  let answer: BlockAnswer
  try {
    answer = await session.block(app, keep)
  } catch (error) {
    throw isKept ? mayBeBlocked(error, shown, path, context.io) : error
  }
  // Only where the org is proven to be as before.
  if (isKept && answer.undo === undefined) rmSync(path, { force: true })
  report(context, answer, answer.undo === undefined ? undefined : path)
}

/** The change was under way when something failed: whether it took is not known, and how to undo it is. */
function mayBeBlocked(cause: unknown, app: string, path: string, { signal }: Io): RescindError {
  const said = cause instanceof RescindError ? `${cause.message} ` : ''
  const code = cause instanceof RescindError ? cause.code : 'unexpected'
  return new RescindError(
    signal.aborted ? 'stopped_by_signal' : code,
    `${said}${app} may be blocked all the same: look in Setup. Undo it with: rescind block --undo ${path} --confirm`,
    { cause },
  )
}

async function unblock(context: Context, options: BlockOptions): Promise<void> {
  const path = resolve(context.io.cwd, options.undo ?? '')
  const undo = readUndo(path)
  const session = await openBlocking(context)
  if (!options.confirm) {
    const text = `Would lift the block that ${path} is of. Nothing was changed; do it with --confirm.`
    context.output.result({ undo: path, dry: true, done: false, text })
    context.output.say(text)
    return
  }
  report(context, await session.unblock(undo), undefined)
}

function report({ io, output }: Context, answer: BlockAnswer, undo: string | undefined): void {
  output.result({ app: answer.app, dry: false, done: answer.done, text: answer.text, undo })
  output.say(answer.text)
  if (undo !== undefined) output.say(`Undo it with: rescind block --undo ${undo} --confirm`)
  if (!answer.done) io.exitCode = EXIT.notProven
}

type BlockingSession = ProviderSession & Required<Pick<ProviderSession, 'block' | 'unblock'>>

async function openBlocking(context: Context): Promise<BlockingSession> {
  const tenant = context.tenant()
  const provider = context.provider(tenant)
  if (!provider.supports.block) {
    throw new RescindError('provider_unsupported', `${provider.title} cannot block apps.`)
  }
  return (await context.session(tenant)) as BlockingSession
}

/** The apps of the newest inventory; without one, it is taken now. */
async function listApps(context: Context): Promise<readonly AppRow[]> {
  const { inventories } = await context.store()
  const latest = await inventories.latest(context.tenant().name)
  const inventory = latest ?? (await takeTenantInventory(context))
  return [...(await inventories.apps(inventory)).values()]
}

function chooseApp(apps: readonly AppRow[], { app: name, appId }: BlockOptions): AppRow {
  const found = apps.filter((app) =>
    appId === undefined ? app.label.toLowerCase() === name?.toLowerCase() : app.id === appId,
  )
  const [only, ...others] = found
  if (only && others.length === 0) return only
  if (only) {
    const ids = found.map(({ id }) => id).join(', ')
    throw new RescindError(
      'usage',
      `${found.length} apps are called "${name}": ${ids}. Choose one with --app-id.`,
    )
  }
  const names = apps.map(({ label }) => label).sort()
  const list = names.slice(0, NAMES_SHOWN_MAX).join(', ')
  const more = names.length > NAMES_SHOWN_MAX ? ', …' : ''
  throw new RescindError(
    'usage',
    `The newest inventory has no app "${name ?? appId}". It has: ${list}${more}. Take a new one with: rescind inventory`,
  )
}

function comebackOf({ comeback, comebackWhy }: AppRow): string {
  const words = {
    at_once: 'at once',
    one_consent: 'with one consent',
    admin: 'only by an admin',
    blocked: 'only when its block is lifted',
    unknown: 'nobody knows how',
  }
  return `${words[comeback]}: ${comebackWhy}`
}

function undoName(app: AppRow, now: number): string {
  const name = app.label.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 40)
  const time = new Date(now).toISOString().slice(0, 19).replace(/[:T]/g, '-')
  return `rescind-undo-${name}-${time}.json`
}

/** The record is on the disk when this returns: what comes next may be the last that this machine does. */
function writeUndo(path: string, text: string): void {
  let file: number | undefined
  try {
    file = openSync(path, 'wx', 0o600)
    writeFileSync(file, text)
    fsyncSync(file)
    syncFolder(dirname(path))
  } catch (cause) {
    if (file !== undefined) rmSync(path, { force: true })
    throw new RescindError(
      'usage',
      `The undo record cannot be written to ${path}: it is there already, or the folder does not take it. Nothing was changed. Name another with --save.`,
      { cause },
    )
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** A new file is found after a power cut only when its folder is on the disk too. */
function syncFolder(path: string): void {
  // Windows opens no folder.
  if (process.platform === 'win32') return
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function readUndo(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new RescindError('usage', `${path} is not an undo record that can be read.`, { cause })
  }
}
