import { spawn } from 'node:child_process'
import { RescindError } from '../core/errors.ts'

/** A program that asks a server for a token takes seconds. */
const COMMAND_MS_MAX = 30_000
/** One JSON object with tokens has some kilobytes. */
const OUTPUT_BYTES_MAX = 256 * 1024

/** What the program is told, beside the environment of this process. */
export interface CommandWish {
  readonly run: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs a program that makes tokens, and returns the JSON object that it prints.
 *
 * @throws RescindError `config_invalid` when it fails or prints something else
 */
export async function runTokenCommand(wish: CommandWish): Promise<Record<string, unknown>> {
  const [program = '', ...args] = wish.run
  const { code, text } = await runProgram(program, args, wish)
  try {
    if (code === 0) return JSON.parse(text) as Record<string, unknown>
  } catch {
    // Its text may hold a token: the sentence below says enough.
  }
  const what = code === 0 ? 'did not print one JSON object' : `ended with ${code}`
  throw new RescindError('config_invalid', `The program "${program}" that makes tokens ${what}.`)
}

function runProgram(
  program: string,
  args: readonly string[],
  { env, signal }: CommandWish,
): Promise<{ code: number | string; text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: COMMAND_MS_MAX,
      ...(signal && { signal }),
    })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      if (text.length > OUTPUT_BYTES_MAX) child.kill()
    })
    child.on('error', (cause) => {
      if (signal?.aborted) return reject(signal.reason)
      const message = `The program "${program}" that makes tokens cannot be run. Check its path.`
      reject(new RescindError('config_invalid', message, { cause }))
    })
    child.on('close', (code, killed) => resolve({ code: code ?? killed ?? 'no code', text }))
  })
}
