import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'rescind-demo-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const started: ChildProcess[] = []
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})

/** The whole demo, on a machine that does other things too. */
const DEMO_MS_MAX = 120_000

interface Running {
  readonly child: ChildProcess
  readonly text: () => string
  /** Resolves when the output holds a text; rejects when the process ends before. */
  readonly until: (wanted: string) => Promise<void>
  readonly exit: Promise<number | null>
}

function start(script: string, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [join(root, script), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  const exit = once(child, 'close').then(([code]) => code as number | null)
  const until = async (wanted: string) => {
    while (!text.includes(wanted)) {
      if (child.exitCode !== null) throw new Error(`ended without "${wanted}":\n${text}`)
      await Promise.race([once(child.stdout, 'data'), exit])
    }
  }
  return { child, text: () => text, until, exit }
}

function demo(...args: string[]): Running {
  return start('examples/demo/demo.ts', args)
}

function numbers(text: string, pattern: RegExp): readonly number[] {
  const found = pattern.exec(text.replaceAll(/\s+/g, ' '))
  if (found === null) throw new Error(`nothing like ${pattern} in:\n${text}`)
  return found.slice(1).map((group) => Number(group.replaceAll(',', '')))
}

describe('npm run demo', () => {
  const folder = join(scratch, 'kept')

  test(
    'ends well, with numbers that add up; --keep leaves the org running, and its advice works',
    async () => {
      const running = demo('--keep', '--out', folder)
      await running.until('Stop the org with Ctrl-C here.')
      const text = running.text()

      const [found, naive] = numbers(text, /found ([\d,]+) live .* script sees ([\d,]+)/)
      const [killed, leavers] = numbers(text, /killed ([\d,]+) tokens: those of (\d+) people/)
      const [dead, alive, unknown] = numbers(text, /proven ([\d,]+) dead, (\d+) alive, (\d+) unkn/)
      const [ended, due, others] = numbers(text, /books, ([\d,]+) of ([\d,]+) grants .* (\d+) oth/)
      const csv = readFileSync(join(folder, 'tokens.csv'), 'utf8').trimEnd().split('\r\n')
      expect(found).toBeGreaterThan(12_000)
      expect(naive).toBe(2_500)
      expect(leavers).toBeGreaterThan(20)
      expect([dead, alive, unknown]).toEqual([killed, 0, 0])
      expect([ended, others]).toEqual([due, 0])
      expect(ended).toBe(killed)
      // Whether an app is back within the seconds of the second look is up to the machine.
      const headline = /([\d,]+) new (?:one has|ones have) appeared/.exec(text)?.[1] ?? '0'
      const [came] = text.includes('! came back')
        ? numbers(text, /came back ([\d,]+) new tokens?/)
        : [0]
      expect(came).toBe(Number(headline))
      expect(csv).toHaveLength((killed ?? 0) + 1)
      expect(readFileSync(join(folder, 'report.html'), 'utf8')).toMatch(/^<!doctype html>/i)
      expect(text).toContain(join(folder, 'report.html'))

      const advice = /npm run -s rescind -- (tenant check)/.exec(text)?.[1]?.split(' ') ?? []
      const config = /export RESCIND_CONFIG=(\S+)/.exec(text)?.[1] ?? ''
      const check = start('src/cli/main.ts', advice, { RESCIND_CONFIG: config })
      expect(await check.exit).toBe(0)
      expect(check.text()).toContain('see all tokens')

      running.child.kill('SIGINT')
      expect(await running.exit).toBe(0)
      const url = /still running at (\S+)\./.exec(text)?.[1] ?? ''
      await expect(fetch(url)).rejects.toThrow()
    },
    DEMO_MS_MAX,
  )

  test(
    'Ctrl-C in the middle stops it, says so, and ends the org; a second run clears the folder',
    async () => {
      const running = demo('--out', folder)
      await running.until('10 of 10 gone')
      running.child.kill('SIGINT')
      expect(await running.exit).toBe(6)
      expect(running.text()).toContain('go on with: rescind resume')
      expect(running.text()).toContain('Stopped, and the org with it.')
      expect(running.text()).not.toContain('    at ')
    },
    DEMO_MS_MAX,
  )

  test('a folder that holds anything else is left alone', async () => {
    const other = join(scratch, 'other')
    mkdirSync(other)
    writeFileSync(join(other, 'thesis.txt'), 'years of work')
    const running = demo('--out', other)
    expect(await running.exit).toBe(1)
    expect(running.text()).toContain('is in use. Name a folder that is new')
    expect(readFileSync(join(other, 'thesis.txt'), 'utf8')).toBe('years of work')
  })
})
