import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SalesforceOrg } from '../../emulators/index.ts'
import type { CaseResult } from './client-case.ts'
import { runPythonCases } from './python-cases.ts'

const PINNED = 'simple-salesforce==1.12.9'
const SCRIPT = fileURLToPath(new URL('./simple_salesforce_check.py', import.meta.url))
/** Without a network, pip tries for minutes. */
const INSTALL_MS_MAX = 120_000

/** A Python that knows simple-salesforce, or why there is none. */
export type Python =
  | { readonly version: string; readonly path: string }
  | { readonly trouble: string }

/** Finds simple-salesforce on this machine's Python, or installs it into a folder of its own below `cache`. */
export function openPython(cache: string): Python {
  const folder = join(cache, PINNED.replace('==', '-'))
  const found = knownVersion(folder)
  if (found !== undefined) return { version: found, path: folder }
  if (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0) {
    return { trouble: `${PINNED} is not installed, and there is no pip.` }
  }
  const flags = ['--quiet', '--retries', '0', '--disable-pip-version-check', '--target', folder]
  const pip = spawnSync('python3', ['-m', 'pip', 'install', ...flags, PINNED], {
    encoding: 'utf8',
    timeout: INSTALL_MS_MAX,
  })
  const version = knownVersion(folder)
  if (version !== undefined) return { version, path: folder }
  const reason = pip.stderr?.match(/^ERROR: .+/gm)?.at(-1) ?? 'pip gave no reason.'
  return { trouble: `${PINNED} could not be installed: ${reason.slice(0, 160)}` }
}

function knownVersion(folder: string): string | undefined {
  const program =
    'import simple_salesforce; from simple_salesforce.__version__ import __version__; print(__version__)'
  const { status, stdout } = spawnSync('python3', ['-c', program], {
    env: withPath(folder),
    encoding: 'utf8',
  })
  return status === 0 ? stdout.trim() : undefined
}

function withPath(folder: string): NodeJS.ProcessEnv {
  const given = process.env.PYTHONPATH ?? ''
  const path = [existsSync(folder) ? folder : '', given].filter((part) => part !== '').join(':')
  return { ...process.env, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: '1' }
}

/** Runs simple-salesforce's cases against an org: logins, pages, limits, revocations. */
export async function runSimpleSalesforce(
  org: SalesforceOrg,
  python: { readonly path: string },
): Promise<CaseResult[]> {
  const env = withPath(python.path)
  const script = { client: 'simple-salesforce', python: 'python3', script: SCRIPT, env }
  return await runPythonCases(script, describeWorld(org))
}

function describeWorld(org: SalesforceOrg): Readonly<Record<string, unknown>> {
  const { admin, accessToken, integration } = org.credentials
  const victim = [...org.truth.grants()].find(({ alive, app }) => alive && app === 'Drift')
  return {
    url: org.url,
    username: admin.username,
    password: admin.password,
    security_token: admin.securityToken,
    consumer_key: integration.clientId,
    consumer_secret: integration.clientSecret,
    access_token: accessToken,
    delete_token: victim?.deleteToken,
    rows: org.truth.counts().shown,
  }
}
