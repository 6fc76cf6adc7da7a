import { spawn } from 'node:child_process'

/** How a program ended, and what it wrote. */
export interface ProgramRun {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
  /** Standard output as JSON, or undefined where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: programs answer in many shapes
  readonly json: any
}

/** What a program runs with. Nothing of the environment is passed on but what stands here. */
export interface ProgramOptions {
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** A login that waits for a browser would wait for minutes. */
const RUN_MS_MAX = 90_000

/** Runs a program to its end. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_MS_MAX,
    })
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', reject)
    child.on('close', (exit) => {
      const stdout = Buffer.concat(out).toString('utf8')
      const stderr = Buffer.concat(err).toString('utf8')
      resolve({ exit, stdout, stderr, json: parsed(stdout) })
    })
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
