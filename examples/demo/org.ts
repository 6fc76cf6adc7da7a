import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Fault, SalesforceOptions } from '../../emulators/index.ts'

/** Of every hundred calls, two go wrong, each in another way. */
const FAULTS: readonly Fault[] = [
  { kind: 'bad_id_404', on: 'revoke', probability: 0.004 },
  { kind: 'error_500_after_effect', on: 'revoke', probability: 0.004 },
  { kind: 'reset_before_effect', on: 'revoke', probability: 0.004 },
  { kind: 'reset_after_effect', on: 'revoke', probability: 0.004 },
  { kind: 'ok_without_effect', on: 'revoke', probability: 0.0036 },
  { kind: 'too_many_429', on: 'revoke', probability: 0.0004 },
  { kind: 'error_500_before_effect', on: 'query', probability: 0.01 },
  { kind: 'reset_before_effect', on: 'query', probability: 0.01 },
  // Two people click "Allow" again as soon as their token is gone.
  { kind: 'reauthorise', on: 'revoke', nth: [800, 1_600], ms: 1_500 },
]

const OPTIONS: SalesforceOptions = {
  seed: 8,
  size: { users: 900, apps: 40, tokens: 12_000 },
  latencyMs: 20,
  faults: FAULTS,
}

/** One grant as the org knows it, whatever it shows to clients. */
export interface Grant {
  readonly deleteToken: string
  readonly userId: string
  readonly userIsActive: boolean
  readonly app: string
  readonly alive: boolean
}

/** The emulated org of the demo, in a process of its own. */
export interface DemoOrg {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  /** Resolves when the org has ended, whatever ended it. */
  readonly ended: Promise<void>
  /** Reads the org's own books, which no real org shows. */
  grants(): Promise<readonly Grant[]>
  close(): void
}

/**
 * Starts the org on a free port.
 *
 * @throws Error when it does not start
 */
export async function startOrg(): Promise<DemoOrg> {
  const main = fileURLToPath(new URL('../../emulators/salesforce/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    // Its own group, so that Ctrl-C does not end the org before the run has said where it stands; it
    // ends with its standard input, and so with the demo, however that ends.
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, EMULATOR_OPTIONS: JSON.stringify(OPTIONS), EMULATOR_STDIN: '1' },
  })
  const { url, credentials } = JSON.parse(await firstLine(child)) as {
    url: string
    credentials: { integration: { clientId: string; clientSecret: string } }
  }
  child.stdout?.destroy()
  return {
    url,
    ...credentials.integration,
    ended: new Promise((resolve) => child.once('exit', () => resolve())),
    grants: () => readGrants(url),
    close: () => void child.stdin?.end(),
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the org has no output')
  for await (const line of createInterface({ input: child.stdout })) return line
  throw new Error('The emulated org did not start. Its own message is above.')
}

async function readGrants(url: string): Promise<readonly Grant[]> {
  const answer = await fetch(`${url}/__emulator/truth`)
  const lines = (await answer.text()).trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Grant)
}
