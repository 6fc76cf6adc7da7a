import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openDrillHome } from '../support/drill-home.ts'
import { type CliOptions, spawnRescind } from '../support/run-cli.ts'

const home = mkdtempSync(join(tmpdir(), 'rescind-folders-'))
writeFileSync(join(home, 'rescind.yaml'), 'authority: { issuer: "http://127.0.0.1:9400" }\n')
afterAll(() => rmSync(home, { recursive: true }))

/** As a process of its own: what never returns is ended. */
async function ended(args: readonly string[], options: CliOptions) {
  const child = spawnRescind(args, options)
  const late = setTimeout(() => child.process.kill('SIGKILL'), 20_000)
  const { code, stderr } = await child.done
  clearTimeout(late)
  return [code, stderr]
}

const BELOW_PROC = '/proc/rescind/below'

// Runs only on Linux: other systems have no /proc, in which Node's own way of making folders never ends.
describe.runIf(process.platform === 'linux').concurrent('where the system makes no folder', () => {
  test.each([
    ['the home of a store', ['connection', 'list']],
    ['the home of an authority', ['client', 'list']],
  ])('%s is refused at once', async (_name, args) => {
    expect(await ended(args, { home, env: { RESCIND_HOME: BELOW_PROC } })).toEqual([
      2,
      expect.stringMatching(/^rescind: The folder \/proc\/rescind\/below cannot be made\./),
    ])
  })

  test('a new configuration is refused at once', async () => {
    const config = `${BELOW_PROC}/rescind.yaml`
    const login = ['--login', 'access_token', '--set', 'accessToken=${env:TOKEN}']
    const url = ['--url', 'http://127.0.0.1:1', '--accept-risk', 'plain-http']
    const args = ['tenant', 'add', 'org', ...url, ...login, '--config', config]
    expect(await ended(args, { home, env: { TOKEN: 'secret' } })).toEqual([
      2,
      expect.stringMatching(/\/proc\/rescind\/below\/rescind\.yaml cannot be written\./),
    ])
  })

  test('the folder of a drill is refused at once, and nothing is revoked', async () => {
    const drills = await openDrillHome(33)
    try {
      const { alive } = drills.org.truth.counts()
      const args = ['drill', drills.connection, '--consent', 'form', '--out', BELOW_PROC]
      expect(await ended(args, { home: drills.home, env: drills.env })).toEqual([
        2,
        'rescind: The folder /proc/rescind/below cannot be made. Name another with --out.\n',
      ])
      expect(drills.org.truth.counts().alive).toBe(alive)
    } finally {
      await drills.close()
    }
  }, 40_000)
})
