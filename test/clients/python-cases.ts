import { spawn } from 'node:child_process'
import type { CaseResult } from './client-case.ts'

const RUN_MS_MAX = 60_000

/** A script of cases, and what runs it. */
export interface PythonScript {
  /** The library that is tried. */
  readonly client: string
  readonly python: string
  readonly script: string
  readonly env: NodeJS.ProcessEnv
}

/**
 * Runs a script that reads the world as JSON from standard input, where secrets are seen by nobody, and
 * writes a JSON line a case.
 */
export async function runPythonCases(
  { client, python, script, env }: PythonScript,
  world: Readonly<Record<string, unknown>>,
): Promise<CaseResult[]> {
  const child = spawn(python, ['-B', script], {
    ...{ env, stdio: ['pipe', 'pipe', 'inherit'], timeout: RUN_MS_MAX },
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  child.stdin.end(JSON.stringify(world))
  const exit = await promise
  const lines = Buffer.concat(chunks).toString('utf8').trim().split('\n')
  const rows = lines.filter((line) => line !== '').map((line) => ({ client, ...JSON.parse(line) }))
  const ended = exit === 0 && rows.length > 0
  return ended ? rows : [...rows, { client, title: 'the script', seen: `exit ${exit}`, ok: false }]
}
