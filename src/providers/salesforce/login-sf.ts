import { execFile } from 'node:child_process'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { LoginOf } from './config.ts'
import type { Login, LoginMeans, Minted } from './login.ts'

/** The CLI starts slowly and refreshes its session over the network. */
const CLI_TIMEOUT_MS = 120_000
const CLI_OUTPUT_BYTES_MAX = 1024 * 1024
/** A real session id; the CLI writes a placeholder in its place where it hides secrets. */
const SESSION_ID = /^00D\w{12,15}!/

/**
 * Uses an org that Salesforce's own CLI is logged in to. `org display` refreshes the CLI's session
 * and names the instance; `org auth show-access-token` gives the session. The secret comes by the
 * CLI's standard output and never stands in an argument.
 *
 * @see https://developer.salesforce.com/docs/platform/salesforce-cli-reference/guide/cli_reference_org_auth_show-access-token.md
 */
export function sfLogin({ org }: LoginOf<'sf'>, { means }: LoginMeans): Login {
  if (org.startsWith('-')) {
    throw new RescindError('config_invalid', `"${org}" is not the alias or user name of an org.`)
  }
  const mint = async (signal?: AbortSignal): Promise<Minted> => {
    const display = await runCli(['org', 'display'], org, means.env, signal)
    const instanceUrl = display.instanceUrl
    if (typeof instanceUrl !== 'string' || !URL.canParse(instanceUrl)) throw unreadable(org)
    const shown = await runCli(['org', 'auth', 'show-access-token'], org, means.env, signal)
    const candidates = [shown.accessToken, display.accessToken]
    const found = candidates.find((value) => typeof value === 'string' && SESSION_ID.test(value))
    if (found === undefined) throw unreadable(org)
    return { accessToken: new Secret(String(found)), instanceUrl }
  }
  return { method: 'sf', renewable: true, mint }
}

type CliResult = Readonly<Record<string, unknown>>

function runCli(
  command: readonly string[],
  org: string,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal | undefined,
): Promise<CliResult> {
  const args = [...command, '--target-org', org, '--json']
  const options = {
    // The CLI colors even its JSON when it thinks that a person reads.
    env: { ...env, NO_COLOR: '1', FORCE_COLOR: '0' },
    timeout: CLI_TIMEOUT_MS,
    maxBuffer: CLI_OUTPUT_BYTES_MAX,
    signal,
  }
  return new Promise((resolve, reject) => {
    execFile('sf', args, options, (error, stdout) => {
      if (signal?.aborted) return reject(signal.reason)
      if (error && (error as NodeJS.ErrnoException).code === 'ENOENT') return reject(noCli())
      const answer = readAnswer(stdout)
      if (answer?.status === 0 && answer.result) resolve(answer.result)
      else reject(refused(org, command.join(' '), answer))
    })
  })
}

interface CliAnswer {
  readonly status?: unknown
  readonly name?: unknown
  readonly result?: CliResult
}

function readAnswer(stdout: string): CliAnswer | undefined {
  try {
    return JSON.parse(stdout) as CliAnswer
  } catch {
    return undefined
  }
}

function noCli(): RescindError {
  return new RescindError(
    'not_authenticated',
    "Salesforce's CLI is not installed: there is no sf on the PATH. Install it, or use another login method.",
  )
}

function unreadable(org: string): RescindError {
  return new RescindError(
    'not_authenticated',
    `Salesforce's CLI gave no session for "${org}". Update it (org auth show-access-token is needed) and log in with: sf org login web --alias ${org}.`,
  )
}

/** The CLI's own text is left out: it may hold what it was asked for. */
function refused(org: string, command: string, answer: CliAnswer | undefined): RescindError {
  const name = typeof answer?.name === 'string' ? answer.name.replace(/[^\w ]/g, '') : 'no reason'
  return new RescindError(
    'not_authenticated',
    `"sf ${command}" failed for "${org}" (${name.slice(0, 60)}). Log in with: sf org login web --alias ${org}.`,
  )
}
