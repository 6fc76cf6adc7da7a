import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type AccountProcess, spawnOpenConnectors } from '../../emulators/open-connectors/spawn.ts'
import { type OrgProcess, spawnSalesforce } from '../../emulators/salesforce/spawn.ts'
import type { Io } from '../../src/cli/io.ts'
import { processIo } from '../../src/cli/process-io.ts'
import { whyNoBrowser } from '../../src/connections/drill/consent/browser.ts'
import { EXIT } from '../../src/core/errors.ts'
import { formatDuration } from '../../src/core/moments.ts'
import { makeDemoFolder } from './folder.ts'
import { makeInstance } from './instance.ts'
import { CommandFailed, openStage, type Stage } from './stage.ts'

const DEPTHS = ['access', 'refresh', 'grant'] as const
const USAGE = `Usage: npm run demo:drill [-- --out FOLDER]

  --out FOLDER  where the store and the reports go (default: .rescind-demo)
`

interface DrillResult {
  readonly verdict: string
  readonly headline: string
  readonly numbers: {
    readonly detectMs: number | null
    readonly notifyMs: number | null
    readonly recoverMs: number | null
  }
  readonly files: { readonly html: string; readonly evidence: string }
}

async function main(io: Io): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
  })
  if (values.help) return void io.stdout.write(USAGE)
  const folder = makeDemoFolder(io.cwd, values.out)
  const env = { ...demoEnvironment(io), RESCIND_CONFIG: resolve(io.cwd, folder, 'rescind.yaml') }
  const stage = openStage(io, env)
  const org = await spawnSalesforce({ seed: 8, size: { users: 40, apps: 16, tokens: 300 } })
  // A real account waits ten seconds between two tries; here, a third of one.
  const account = await spawnOpenConnectors({ salesforceUrl: org.url, refreshRetryMs: 300 })
  try {
    writeConfig(resolve(io.cwd, folder), org, account)
    await play({ io, stage, folder, org, account })
  } finally {
    account.close()
    org.close()
  }
}

function demoEnvironment({ env }: Io): Io['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('RESCIND_')))
}

/** An account, its provider, the one user who may be drilled, and how that user logs in. */
function writeConfig(path: string, org: OrgProcess, account: AccountProcess): void {
  const { connected, limited } = org.credentials
  const { userSecret, organizationSecret } = account.credentials
  const secrets = {
    'client-secret': connected.clientSecret,
    'user-secret': userSecret,
    'organization-secret': organizationSecret,
    password: limited.password,
  }
  for (const [name, value] of Object.entries(secrets)) {
    writeFileSync(join(path, name), value, { mode: 0o600 })
  }
  const yaml = `home: .
tenants:
  org:
    provider: salesforce
    url: ${org.url}
    app:
      clientId: ${connected.clientId}
      clientSecret: \${file:client-secret}
      redirectUri: http://127.0.0.1:4711/callback
      scopes: [api, id, refresh_token]
      options: { appName: Data Sync, rotation: never }
openConnectors:
  url: ${account.apiUrl}
  userSecret: \${file:user-secret}
  organizationSecret: \${file:organization-secret}
  callbackUrl: http://127.0.0.1:4711/callback
  elements:
    sfdc:
      apiKey: ${connected.clientId}
      apiSecret: \${file:client-secret}
      scope: api id refresh_token
      probe: /hubs/crm/accounts?pageSize=1
drill:
  users: [${limited.userId}]
  consent:
    fields:
      username: ${limited.username}
      password: \${file:password}
`
  writeFileSync(join(path, 'rescind.yaml'), yaml, { mode: 0o600 })
}

interface Demo {
  readonly io: Io
  readonly stage: Stage
  readonly folder: string
  readonly org: OrgProcess
  readonly account: AccountProcess
}

async function play({ io, stage, folder, org, account }: Demo): Promise<void> {
  const { say, color } = stage
  const startedAt = io.clock.now()
  say(
    color.bold(
      'Rescind, on an emulated org and an emulated Open Connectors account on this machine.',
    ),
  )
  say()
  const why = await whyNoBrowser()
  say(
    '',
    why === undefined
      ? 'The test user consents in a headless Chromium.'
      : `${why} The test user consents by the forms of its pages, without a browser.`,
  )
  const instance = await makeInstance(org, account)
  say('', `Made instance ${instance} by API: tagged drill-target, of a user who is on the list.`)
  const ends: DrillResult[] = []
  for (const depth of DEPTHS) {
    say()
    say(color.bold(`Depth ${depth}`))
    const args = ['drill', String(instance), '--via', 'open-connectors', '--depth', depth]
    ends.push(await stage.run<DrillResult>([...args, '--out', join(folder, depth)]))
  }
  say()
  say(color.bold(`What happened, in ${formatDuration(io.clock.now() - startedAt)}`))
  for (const { verdict, headline, numbers, files } of ends) {
    const { detectMs, notifyMs, recoverMs } = numbers
    const times = [
      detectMs !== null && `noticed in ${formatDuration(detectMs)}`,
      notifyMs !== null && `told in ${formatDuration(notifyMs)}`,
      recoverMs !== null && `well again in ${formatDuration(recoverMs)}`,
    ].filter(Boolean)
    const mark = verdict === 'passed' ? color.green('✓') : color.red('✗')
    say(`  ${mark} `, `${headline}: ${times.join(', ')}. Report: ${files.html}`)
  }
  say()
  await stage.run(['drill', 'verify', join(folder, 'grant', 'evidence.jsonl')])
}

const io = processIo()
try {
  await main(io)
} catch (error) {
  io.exitCode = error instanceof CommandFailed ? error.exitCode : EXIT.unexpected
  if (io.signal.aborted) io.exitCode = EXIT.stopped
  const why = error instanceof Error ? error.message : String(error)
  io.stderr.write(`\n${io.signal.aborted ? 'Stopped.' : `The demo ended early: ${why}.`}\n`)
}
process.exitCode = io.exitCode
