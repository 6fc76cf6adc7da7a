import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'rescind-drill-demo-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** The promise of the demo, on a machine that does other things too. */
const DEMO_MS_MAX = 90_000

describe('npm run demo:drill', () => {
  test('drills all three depths green, with a report of each', {
    timeout: DEMO_MS_MAX,
  }, async () => {
    const args = [join(root, 'examples/demo/drill.ts'), '--out', join(scratch, 'out')]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
    }
    const [code] = await once(child, 'close')
    expect(code, text).toBe(0)
    for (const depth of ['access', 'refresh', 'grant']) {
      expect(text).toContain(`✓ Drill at depth ${depth}: passed`)
      expect(readdirSync(join(scratch, 'out', depth))).toEqual(
        expect.arrayContaining(['evidence.jsonl', 'junit.xml', 'report.html', 'report.json']),
      )
    }
    expect(text).toMatch(/The test user consents/)
    expect(text).toMatch(/is as it was signed/)
  })
})
