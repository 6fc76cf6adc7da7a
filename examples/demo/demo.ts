import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type OrgProcess, spawnSalesforce } from '../../emulators/salesforce/spawn.ts'
import type { GrantTruth } from '../../emulators/salesforce/truth.ts'
import type { Io } from '../../src/cli/io.ts'
import { processIo } from '../../src/cli/process-io.ts'
import { formatCount, formatCounted } from '../../src/core/counts.ts'
import { EXIT } from '../../src/core/errors.ts'
import { formatDuration } from '../../src/core/moments.ts'
import { makeDemoFolder, writeConfig } from './folder.ts'
import { countNaively } from './naive.ts'
import { DEMO_ORG } from './org.ts'
import { CommandFailed, openStage, type Stage } from './stage.ts'

/** The app whose vendor was breached, in the story of the demo. */
const BREACHED = 'Drift'
/** Long enough for who comes back at once; a real run waits longer. */
const SECOND_LOOK = '2s'

const USAGE = `Usage: npm run demo [-- --keep] [-- --out FOLDER]

  --keep        leave the org running at the end, and say what to try next
  --out FOLDER  where the store and the reports go (default: .rescind-demo)
`

interface Demo {
  readonly io: Io
  readonly stage: Stage
  readonly org: OrgProcess
  /** Where its files are, as a person may type it. */
  readonly folder: string
}

interface InventoryResult {
  readonly tokens: number
  readonly complete: boolean
}
interface PlanResult {
  readonly plan: string
  readonly chosen: number
}
interface RunResult {
  readonly run: string
  readonly planned: number
  readonly dead: number
  readonly alive: number
  readonly unknown: number
  readonly cameBack: number
}

/** What the org's own books say of a run. */
interface Books {
  /** Grants of leavers and of the breached app, before the run. */
  readonly due: number
  /** Of those, how many ended. */
  readonly ended: number
  /** Others that ended: none, if all is well. */
  readonly others: number
}

async function main(io: Io): Promise<void> {
  const { values } = parseArgs({
    options: {
      keep: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return void io.stdout.write(USAGE)
  const folder = makeDemoFolder(io.cwd, values.out)
  const stage = openStage(io, demoEnvironment(io, folder))
  const org = await spawnSalesforce(DEMO_ORG)
  try {
    writeConfig(resolve(io.cwd, folder), org)
    await play({ io, stage, org, folder })
    if (values.keep) await keep({ io, stage, org, folder })
  } finally {
    org.close()
  }
}

/** The demo has a store of its own, whatever this machine is set up for. */
function demoEnvironment({ env, cwd }: Io, folder: string): Io['env'] {
  const others = Object.entries(env).filter(([name]) => !name.startsWith('RESCIND_'))
  return { ...Object.fromEntries(others), RESCIND_CONFIG: resolve(cwd, folder, 'rescind.yaml') }
}

async function play(demo: Demo): Promise<void> {
  const { io, stage, org, folder } = demo
  const { color, say } = stage
  const startedAt = io.clock.now()
  const before = await allGrants(org)
  const leavers = new Set(before.filter((g) => !g.userIsActive).map(({ userId }) => userId)).size
  say(color.bold('Rescind, on an emulated Salesforce org on this machine. Nothing leaves it.'))
  say(
    '',
    `900 users, of whom ${leavers} have left; 40 apps; 12,000 tokens; 2 % of its calls go wrong. The vendor of the app "${BREACHED}" was breached last night.`,
  )

  heading(stage, 1, 'Which tokens are alive?')
  const inventory = await stage.run<InventoryResult>(['inventory'])
  const naive = await countNaively(org, io.signal)
  say()
  say(
    '  ',
    `For comparison: a script that queries OauthToken and reads every page gets ${formatCount(naive)} rows, without an error. It would never see the other ${formatCount(inventory.tokens - naive)}.`,
  )

  heading(stage, 2, `Which should be dead? Those of people who left, and all of "${BREACHED}".`)
  const rules = ['--user-inactive', '--app', BREACHED]
  const plan = await stage.run<PlanResult>(['plan', '--inventory', 'latest', ...rules])

  heading(stage, 3, 'Kill them: a canary first, then the rest; then prove it.')
  const confirm = ['--confirm', String(plan.chosen)]
  const args = ['apply', plan.plan, ...confirm, '--second-look', SECOND_LOOK]
  const run = await stage.run<RunResult>(args)

  heading(stage, 4, 'Write it down for the auditor.')
  const html = join(folder, 'report.html')
  await stage.run(['report', '--html', html, '--csv', join(folder, 'tokens.csv')])
  const books = audit(before, await allGrants(org))
  const took = formatDuration(io.clock.now() - startedAt)
  summarize(stage, { inventory, naive, leavers, run, books, took, html })
  if (books.ended !== books.due || books.others > 0) io.exitCode = EXIT.unexpected
}

function heading({ say, color }: Stage, number: number, text: string): void {
  say()
  say(color.bold(`${number}  `), color.bold(text))
}

async function allGrants(org: OrgProcess): Promise<readonly GrantTruth[]> {
  const grants: GrantTruth[] = []
  for await (const grant of org.grants()) grants.push(grant)
  return grants
}

/** Holds the org's own books before and after against each other. */
function audit(before: readonly GrantTruth[], after: readonly GrantTruth[]): Books {
  const alive = new Set(after.filter((grant) => grant.alive).map((grant) => grant.deleteToken))
  const due = before.filter((grant) => !grant.userIsActive || grant.app === BREACHED)
  const ended = before.filter((grant) => grant.alive && !alive.has(grant.deleteToken))
  const endedDue = due.filter((grant) => !alive.has(grant.deleteToken)).length
  return { due: due.length, ended: endedDue, others: ended.length - endedDue }
}

interface Facts {
  readonly inventory: InventoryResult
  readonly naive: number
  readonly leavers: number
  readonly run: RunResult
  readonly books: Books
  readonly took: string
  readonly html: string
}

function summarize({ say, color }: Stage, facts: Facts): void {
  const { inventory, naive, leavers, run, books } = facts
  say()
  const line = (good: boolean, name: string, text: string) =>
    say(`  ${good ? color.green('✓') : color.yellow('!')} ${color.bold(name.padEnd(9))}  `, text)
  say(color.bold(`What happened, in ${facts.took}`))
  const sure = inventory.complete ? 'and that is provably all' : 'and there may be more'
  line(
    inventory.complete,
    'found',
    `${formatCount(inventory.tokens)} live tokens, ${sure}; the usual script sees ${formatCount(naive)}`,
  )
  line(
    true,
    'killed',
    `${formatCounted(run.planned, 'token')}: those of ${leavers} people who left, and of ${BREACHED}`,
  )
  line(
    run.dead === run.planned,
    'proven',
    `${formatCount(run.dead)} dead, ${run.alive} alive, ${run.unknown} unknown: looked up, not taken from the answers`,
  )
  if (run.cameBack > 0) {
    line(
      false,
      'came back',
      `${formatCounted(run.cameBack, 'new token')}: somebody approved an app again at once. Killing is not blocking: see "Left for a person" above`,
    )
  }
  const right = books.ended === books.due && books.others === 0
  line(
    right,
    'checked',
    `by the org's own books, ${formatCount(books.ended)} of ${formatCount(books.due)} grants that were due have ended, and ${formatCount(books.others)} others`,
  )
  say()
  say(`  ${color.bold('Report')}       `, `${facts.html}  (open it in a browser)`)
}

async function keep({ io, stage, org, folder }: Demo): Promise<void> {
  const { say, color } = stage
  const commands = [
    `export RESCIND_CONFIG=${join(folder, 'rescind.yaml')}`,
    'npm run -s rescind -- tenant check',
    'npm run -s rescind -- block --app Drift',
    'npm run -s rescind -- plan --unused-for 180d --spare-app "Data Sync"',
    'npm run -s rescind -- runs',
    'npm run -s rescind -- verify',
    'npm run -s rescind -- --help',
  ]
  say()
  say(
    color.bold(`The org is still running at ${org.url}. Try, in another terminal in this folder:`),
  )
  say()
  for (const command of commands) io.stdout.write(`  ${color.cyan(command)}\n`)
  say()
  say('', 'The first line goes first. Stop the org with Ctrl-C here.')
  if (io.signal.aborted) return
  const stopped = new Promise((resolve) => {
    io.signal.addEventListener('abort', resolve, { once: true })
  })
  await Promise.race([stopped, org.ended])
  say('', 'The org is gone. Its store and reports stay until the next demo.')
}

const io = processIo()
try {
  await main(io)
} catch (error) {
  io.exitCode = error instanceof CommandFailed ? error.exitCode : EXIT.unexpected
  const why = error instanceof Error ? error.message : String(error)
  const text = io.signal.aborted
    ? 'Stopped, and the org with it. Start over with: npm run demo'
    : `The demo ended early: ${why}.`
  if (io.signal.aborted) io.exitCode = EXIT.stopped
  io.stderr.write(`\n${text}\n`)
}
process.exitCode = io.exitCode
