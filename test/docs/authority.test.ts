import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { tempHome } from '../support/temp-home.ts'

const root = resolve(import.meta.dirname, '../..')
/** Stands between the outputs of two blocks. */
const MARK = '\u001e'

interface Step {
  readonly commands: string
  /** What the page says that they print. */
  readonly prints: string
}

/** The blocks of shell in a page, each with the block of text that follows it. */
function stepsOf(page: string): readonly Step[] {
  const blocks = [...readFileSync(join(root, page), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)]
  return blocks.flatMap(([, language, commands = ''], at) => {
    if (language !== 'sh') return []
    const next = blocks[at + 1]
    return [{ commands, prints: next?.[1] === 'text' ? (next[2] ?? '') : '' }]
  })
}

/** Puts a command `rescind` into a folder, and returns the folder. */
function installed(home: string): string {
  const bin = join(home, 'bin')
  mkdirSync(bin)
  const main = join(root, 'src/cli/main.ts')
  writeFileSync(join(bin, 'rescind'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`)
  writeFileSync(join(bin, 'node'), `#!/bin/sh\nexec "${process.execPath}" "$@"\n`)
  for (const name of ['rescind', 'node']) chmodSync(join(bin, name), 0o755)
  return bin
}

test('the commands of docs/authority.md print what the page says', async () => {
  using home = tempHome()
  const steps = stepsOf('docs/authority.md')
  const ports = { 9400: await freePort(), 9401: await freePort(), 9464: await freePort() }
  const metrics = `sed -i.old 's|^authority:|&\\n  listen: 127.0.0.1:9400\\n  metrics: 127.0.0.1:9464|' rescind.yaml`
  const [first, ...rest] = steps.map(({ commands }) => `${commands}printf '${MARK}'\n`)
  let script = `set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${first}${metrics}\n${rest.join('')}`
  for (const [port, free] of Object.entries(ports)) script = script.replaceAll(port, String(free))
  const { PATH = '' } = process.env
  const child = spawn('bash', ['-c', script], {
    cwd: home.path,
    env: { PATH: `${installed(home.path)}:${PATH}`, HOME: home.path },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const printed = stdout.split(MARK).slice(0, -1)
  expect(stderr).toBe('')
  // Blank ends of lines differ: /health ends without a line feed.
  expect(printed.map((part) => part.trim())).toEqual(steps.map(({ prints }) => prints.trim()))
})
