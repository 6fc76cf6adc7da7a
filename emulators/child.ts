import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** An emulator in a process of its own. */
export interface EmulatorChild<Hello> {
  /** What it printed once it listened. */
  readonly hello: Hello
  /** Resolves when the process has ended, whatever ended it. */
  readonly ended: Promise<void>
  close(): void
}

/**
 * Starts an emulator in a process of its own, so that client and emulator do not share a processor's time or
 * a Ctrl-C. It ends with this process, however that ends.
 *
 * @param folder the emulator's folder beside this file
 * @throws Error when it does not start; its own message is on standard error
 */
export async function startChild<Hello>(
  folder: string,
  options: object,
): Promise<EmulatorChild<Hello>> {
  const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const main = fileURLToPath(new URL(`./${folder}/main.${suffix}`, import.meta.url))
  const child = spawn(process.execPath, [main], {
    // Its own group: a Ctrl-C must not end the emulator before the client has said where it stands.
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, EMULATOR_OPTIONS: JSON.stringify(options), EMULATOR_STDIN: '1' },
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const hello = JSON.parse(await readFirstLine(child)) as Hello
  child.stdout?.destroy()
  return { hello, ended, close: () => void child.stdin?.end() }
}

async function readFirstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout !== null) for await (const line of createInterface({ input: stdout })) return line
  throw new Error('The emulator did not start. Its own message is above.')
}

/** Sends one request to the control plane of an emulator: GET without a value, POST with one. */
export async function control(url: string, name: string, value?: unknown): Promise<Response> {
  const init = value === undefined ? {} : { method: 'POST', body: JSON.stringify(value) }
  const answer = await fetch(`${url}/__emulator/${name}`, init)
  if (!answer.ok) throw new Error(`the emulator answered ${answer.status} to ${name}`)
  return answer
}

/** Streams an answer that has one JSON object a line. */
export async function* readLines<Row>(answer: Promise<Response>): AsyncGenerator<Row> {
  const { body } = await answer
  if (body === null) return
  for await (const line of createInterface({ input: Readable.fromWeb(body) })) {
    yield JSON.parse(line) as Row
  }
}
