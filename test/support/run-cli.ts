import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import type { SalesforceOrg } from '../../emulators/index.ts'
import type { Io } from '../../src/cli/io.ts'
import { runCommand } from '../../src/cli/program.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { EXIT, type ExitCode } from '../../src/core/errors.ts'

export interface Ran {
  readonly exitCode: ExitCode
  readonly stdout: string
  readonly stderr: string
  /** Standard output as the one object of `--json`. */
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly json: any
}

export interface CliOptions {
  /** The folder of the store, and the working folder. */
  readonly home: string
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly clock?: Clock | undefined
  readonly signal?: AbortSignal | undefined
  /** What is piped in. */
  readonly stdin?: string | undefined
  /** Is called when words come, and not only at the end. */
  readonly onStderr?: (() => void) | undefined
}

/** Runs one command line as a function. */
export async function rescind(args: readonly string[], options: CliOptions): Promise<Ran> {
  const [stdout, stderr] = [capture(), capture()]
  if (options.onStderr) stderr.stream.on('data', options.onStderr)
  const io: Io = {
    env: environment(options),
    cwd: options.home,
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]) as never,
    stdout: stdout.stream,
    stderr: stderr.stream,
    clock: options.clock ?? systemClock,
    random: Math.random,
    signal: options.signal ?? new AbortController().signal,
    exitCode: EXIT.ok,
  }
  await runCommand(io, args)
  const out = stdout.text()
  const isJson = args.includes('--json') && out !== ''
  return {
    exitCode: io.exitCode,
    stdout: out,
    stderr: stderr.text(),
    json: isJson ? JSON.parse(out) : undefined,
  }
}

function environment({ home, env }: CliOptions): Record<string, string> {
  return { RESCIND_HOME: home, HOME: home, NO_COLOR: '1', ...env }
}

function capture() {
  const stream = new PassThrough()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') }
}

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')

export interface Child {
  readonly process: ChildProcess
  /** What it has written to standard error so far. */
  stderr(): string
  readonly done: Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** Returns what runs one command line as a process of its own. */
export function commandLine(args: readonly string[], options: CliOptions) {
  const { PATH = '' } = process.env
  return {
    command: [process.execPath, MAIN, ...args],
    cwd: options.home,
    env: { PATH, ...environment(options) },
  }
}

/** Runs one command line as a process of its own. */
export function spawnRescind(args: readonly string[], options: CliOptions): Child {
  const { command, cwd, env } = commandLine(args, options)
  const [node = '', ...rest] = command
  const child = spawn(node, rest, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = [[] as Buffer[], [] as Buffer[]]
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  const textOf = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString('utf8')
  const done = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout: textOf(stdout), stderr: textOf(stderr) }))
  })
  return { process: child, stderr: () => textOf(stderr), done }
}

/** The environment variables by which {@link tenantArgs} names an org's secrets. */
export function secretsOf(org: SalesforceOrg): Record<string, string> {
  return {
    TEST_CLIENT_SECRET: org.credentials.integration.clientSecret,
    TEST_ACCESS_TOKEN: org.credentials.accessToken,
    TEST_LIMITED_TOKEN: org.credentials.limitedAccessToken,
    TEST_REFRESH_TOKEN: org.credentials.refreshToken,
    TEST_PASSWORD: org.credentials.admin.password,
    TEST_SECURITY_TOKEN: org.credentials.admin.securityToken,
  }
}

/** The command line that adds an org, logged in to by its integration app. */
export function tenantArgs(org: SalesforceOrg, name = 'acme'): string[] {
  const { clientId } = org.credentials.integration
  const set = [`clientId=${clientId}`, `clientSecret=\${env:TEST_CLIENT_SECRET}`]
  return [
    ...['tenant', 'add', name, '--url', org.url, '--login', 'client_credentials'],
    ...set.flatMap((setting) => ['--set', setting]),
  ]
}
