import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PasswordCredentials } from '../../emulators/index.ts'
import { type ProgramRun, runProgram } from './run-program.ts'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const NODE = join(ROOT, 'node_modules', '.bin', 'node')

/**
 * What keeps the CLI to itself: no telemetry, no update, no keychain of the desktop, no remembered API version.
 * @see https://developer.salesforce.com/docs/atlas.en-us.sfdx_setup.meta/sfdx_setup/sfdx_dev_cli_env_variables.htm
 */
const QUIET = {
  SF_USE_GENERIC_UNIX_KEYCHAIN: 'true',
  SF_DISABLE_TELEMETRY: 'true',
  SF_DISABLE_AUTOUPDATE: 'true',
  SF_AUTOUPDATE_DISABLE: 'true',
  SF_SKIP_NEW_VERSION_CHECK: 'true',
  SF_DISABLE_LOG_FILE: 'true',
  SF_DISABLE_DNS_CHECK: 'true',
  SFDX_IGNORE_API_VERSION_CACHE: 'true',
  NO_COLOR: '1',
}

/** Salesforce's CLI in a home folder of its own, so that it finds no other login. */
export interface SfCli {
  readonly home: string
  /** The environment in which `sf` is found and keeps to this home. */
  readonly env: Readonly<Record<string, string>>
  /** Runs `sf`; a word with spaces stays one argument. */
  run(args: readonly string[], more?: Readonly<Record<string, string>>): Promise<ProgramRun>
  /** Runs `sf … --json` and gives the result. Throws with the CLI's own words where it failed. */
  // biome-ignore lint/suspicious/noExplicitAny: each command has a result of its own
  result(args: readonly string[], more?: Readonly<Record<string, string>>): Promise<any>
}

/** Opens the CLI that is installed in `folder`, with this home and a person at its browser. */
export function openSfCli(
  folder: string,
  home: string,
  person: Pick<PasswordCredentials, 'username' | 'password'>,
): SfCli {
  mkdirSync(home, { recursive: true })
  const browser = join(home, 'browser')
  const script = join(ROOT, 'test', 'clients', 'person.ts')
  // In the background: the CLI listens for the way back only once the browser's command has ended.
  const line = `"${NODE}" "${script}" "$@" >/dev/null 2>&1 </dev/null &`
  writeFileSync(browser, `#!/bin/sh\n${line}\n`, { mode: 0o755 })
  const bins = [dirname(NODE), join(folder, 'node_modules', '.bin'), '/usr/bin', '/bin']
  const env = {
    ...QUIET,
    HOME: home,
    PATH: bins.join(':'),
    BROWSER: browser,
    PERSON_USERNAME: person.username,
    PERSON_PASSWORD: person.password,
  }
  const run: SfCli['run'] = (args, more = {}) =>
    runProgram('sf', args, { env: { ...env, ...more }, cwd: home })
  const result: SfCli['result'] = async (args, more) => {
    const { json, stderr, exit } = await run([...args, '--json'], more)
    if (json?.status === 0) return json.result
    throw new Error(`sf ${args.slice(0, 3).join(' ')}: ${json?.message ?? stderr.trim()} (${exit})`)
  }
  return { home, env, run, result }
}
