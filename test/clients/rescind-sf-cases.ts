import assert from 'node:assert/strict'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SalesforceOrg } from '../../emulators/index.ts'
import { refuseSecrets } from '../cli/run-revoke.ts'
import type { ClientCase } from './client-case.ts'
import { type ProgramRun, runProgram } from './run-program.ts'
import type { SfCli } from './sf-cli.ts'

const MAIN = join(
  dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  'src',
  'cli',
  'main.ts',
)

/**
 * Rescind logs in by the session of Salesforce's CLI, where that is logged in as the alias `web`.
 * @see https://developer.salesforce.com/docs/platform/salesforce-cli-reference/guide/cli_reference_org_auth_show-access-token.md
 */
export function rescindSfCases(org: SalesforceOrg, sf: SfCli): readonly ClientCase[] {
  const rescind = async (...args: readonly string[]): Promise<ProgramRun> => {
    const env = { ...sf.env, RESCIND_HOME: join(sf.home, 'rescind') }
    const run = await runProgram('node', [MAIN, ...args, '--json'], { env, cwd: sf.home })
    refuseSecrets(`${run.stdout}\n${run.stderr}`, [...org.truth.secrets()])
    return run
  }
  const cases: readonly (readonly [string, () => Promise<string>])[] = [
    ['tenant add --login sf --set org=web', () => addTenant(rescind, org)],
    [
      'tenant check',
      async () => {
        const { account, capabilities } = expectExit(await rescind('tenant', 'check'), 0)
        assert.equal(account.caller.userName, org.credentials.admin.username)
        return `${account.caller.userName}, ${capabilities.length} capabilities`
      },
    ],
    ['inventory', () => takeInventory(rescind, org)],
    [
      'inventory, after the session ended: the CLI refreshes it',
      () => {
        org.expireSessions()
        return takeInventory(rescind, org)
      },
    ],
    [
      'inventory, after sf org logout: one sentence',
      async () => {
        await sf.result(['org', 'logout', '-o', 'web', '--no-prompt'])
        const run = await rescind('inventory')
        expectExit(run, 3)
        const sentence = run.stderr.trim().split('\n').at(-1) ?? ''
        assert.match(sentence, /sf org login web --alias web/)
        return sentence
      },
    ],
  ]
  return cases.map(([title, run]) => ({ client: 'rescind', title, run }))
}

type Rescind = (...args: readonly string[]) => Promise<ProgramRun>

async function addTenant(rescind: Rescind, org: SalesforceOrg): Promise<string> {
  const login = ['--login', 'sf', '--set', 'org=web']
  const run = await rescind('tenant', 'add', 'acme', '--url', org.url, ...login)
  return `tenant ${expectExit(run, 0).tenant}`
}

async function takeInventory(rescind: Rescind, org: SalesforceOrg): Promise<string> {
  // Earlier cases ended all sessions without a grant, so that grants alone are counted.
  const { tokens, complete, counted } = expectExit(await rescind('inventory'), 0)
  const { alive } = org.truth.counts()
  assert.deepEqual([complete, counted], [true, { before: alive, after: alive }])
  return `${tokens} tokens, complete`
}

// biome-ignore lint/suspicious/noExplicitAny: each command has an answer of its own
function expectExit(run: ProgramRun, exit: number): any {
  assert.equal(run.exit, exit, `exit ${run.exit}: ${run.stderr.trim().split('\n').at(-1)}`)
  return run.json
}
