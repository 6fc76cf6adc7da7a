import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { HostInput, HostOutput } from './host.ts'
import { formPost, type Load, sendAll } from './raw-load.ts'

const HOST = fileURLToPath(new URL('./host.ts', import.meta.url))
/** The server gets the first processor for itself, and the load the second, where there is a way to say so. */
const SERVER_CPU = '0'
const LOAD_CPU = '1'

/** A server in a process of its own. */
export interface HostProcess extends HostOutput, AsyncDisposable {
  /** Tokens of its store, in random order; each is taken once. */
  readonly sample: string[]
  /** The largest resident size so far, in MB. */
  peakMb(): Promise<number>
}

/** Keeps this process, which makes the load, away from the server's processor. */
export function pinLoad(): boolean {
  if (cpus().length < 2) return false
  try {
    execFileSync('taskset', ['-apc', LOAD_CPU, String(process.pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export async function startHost(input: HostInput, isPinned: boolean): Promise<HostProcess> {
  const pin = isPinned ? ['taskset', '-c', SERVER_CPU] : []
  const [command = process.execPath, ...args] = [...pin, process.execPath, HOST]
  const child: ChildProcess = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, BENCH_HOST: JSON.stringify(input) },
  })
  const started = once(child, 'message').then(([output]) => output as HostOutput)
  const ended = once(child, 'exit').then(() => {
    throw new Error(`The ${input.kind} server ended before it listened.`)
  })
  const output = await Promise.race([started, ended])
  ended.catch(() => {})
  const text = output.sampleFile === '' ? '' : readFileSync(output.sampleFile, 'utf8')
  return {
    ...output,
    sample: text === '' ? [] : text.split('\n'),
    async peakMb() {
      child.send('peak')
      const [{ peakMb }] = (await once(child, 'message')) as [{ peakMb: number }]
      return peakMb
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

export type Endpoint = 'revoke' | 'introspect' | 'token'

/** Sends one request for each body, and insists that every answer is a 200. */
export async function load(
  host: HostProcess,
  endpoint: Endpoint,
  bodies: readonly string[],
  keepBodies = false,
): Promise<Load> {
  const client = { id: host.clientId, secret: host.clientSecret }
  const requests = bodies.map((body) => formPost(host.paths[endpoint], client, body))
  const done = await sendAll(host.port, requests, { keepBodies })
  if (done.statuses.get(200) !== bodies.length) {
    throw new Error(`Of ${bodies.length} answers not all were 200: ${[...done.statuses]}`)
  }
  return done
}
