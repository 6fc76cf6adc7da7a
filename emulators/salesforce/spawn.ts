import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { SalesforceCredentials } from './credentials.ts'
import type { Fault } from './faults.ts'
import type { SalesforceOptions } from './options.ts'
import type { GrantTruth, TruthCounts } from './truth.ts'

/** An org in a process of its own, told and asked over its control plane. */
export interface OrgProcess {
  readonly url: string
  readonly credentials: SalesforceCredentials
  /** Resolves when the process has ended, whatever ended it. */
  readonly ended: Promise<void>
  /** Streams the ground truth. Holds secrets. */
  grants(): AsyncIterable<GrantTruth>
  counts(): Promise<TruthCounts>
  setFaults(faults: readonly Fault[]): Promise<void>
  close(): void
}

/**
 * Starts an org in a process of its own, so that client and org do not share a processor's time or a
 * Ctrl-C. It ends with this process, however that ends.
 *
 * @throws Error when it does not start; its own message is on standard error
 */
export async function spawnSalesforce(options: SalesforceOptions): Promise<OrgProcess> {
  const main = import.meta.url.endsWith('.ts') ? './main.ts' : './main.js'
  const child = spawn(process.execPath, [fileURLToPath(new URL(main, import.meta.url))], {
    // Its own group: a Ctrl-C must not end the org before the client has said where it stands.
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, EMULATOR_OPTIONS: JSON.stringify(options), EMULATOR_STDIN: '1' },
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const { url, credentials } = JSON.parse(await readFirstLine(child)) as OrgProcess
  child.stdout?.destroy()
  return {
    url,
    credentials,
    ended,
    grants: () => readGrants(url),
    counts: async () => (await control(url, 'counts')).json() as Promise<TruthCounts>,
    setFaults: async (faults) => {
      await control(url, 'faults', faults)
    },
    close: () => void child.stdin?.end(),
  }
}

async function readFirstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout !== null) for await (const line of createInterface({ input: stdout })) return line
  throw new Error('The emulated org did not start. Its own message is above.')
}

async function* readGrants(url: string): AsyncGenerator<GrantTruth> {
  const { body } = await control(url, 'truth')
  if (body === null) return
  for await (const line of createInterface({ input: Readable.fromWeb(body) })) {
    yield JSON.parse(line) as GrantTruth
  }
}

async function control(url: string, name: string, value?: unknown): Promise<Response> {
  const init = value === undefined ? {} : { method: 'POST', body: JSON.stringify(value) }
  const answer = await fetch(`${url}/__emulator/${name}`, init)
  if (!answer.ok) throw new Error(`the emulated org answered ${answer.status} to ${name}`)
  return answer
}
