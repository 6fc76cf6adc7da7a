import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const { missing } = await findPostgres()

// Skipped only where no PostgreSQL can be started: the title says why.
describe.skipIf(missing !== undefined)(`rescind serve on PostgreSQL${missing ?? ''}`, () => {
  test('two processes are one authority: revoked on one is refused on the other', async () => {
    using home = tempHome()
    const urls = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`]
    const [a = '', b = ''] = urls
    const configs = urls.map((url, nth) => {
      const path = join(home.path, `${nth}.yaml`)
      const store = 'store: "${env:DATABASE_URL}"'
      const lines = ['issuer: http://127.0.0.1:9', `listen: ${new URL(url).host}`, store]
      writeFileSync(path, `authority:\n  ${[...lines, 'metrics: false'].join('\n  ')}\n`)
      return path
    })
    const options = { home: home.path, env: { DATABASE_URL: await newDatabase() } }
    const add = ['client', 'add', 'app', '--grant', 'client_credentials', '--json']
    const added = await rescind([...add, '--config', configs[0] ?? ''], options)
    expect(added.exitCode).toBe(0)
    const client = { client_id: 'app', client_secret: added.json.secret }
    const children: Child[] = []
    try {
      for (const [nth, path] of configs.entries()) {
        // One of them by workers: three processes in all.
        const child = spawnRescind(
          ['serve', '--workers', String(nth + 1), '--config', path],
          options,
        )
        children.push(child)
        await once(child.process.stdout as NodeJS.ReadableStream, 'data')
      }
      const post = (at: string, form: Record<string, string>) =>
        fetch(at, { method: 'POST', body: new URLSearchParams({ ...client, ...form }) })
      const issued = await post(`${a}/token`, { grant_type: 'client_credentials' })
      const { access_token: token } = (await issued.json()) as { access_token: string }
      const isActive = async (at: string) =>
        ((await (await post(`${at}/introspect`, { token })).json()) as { active: boolean }).active
      expect(await isActive(b)).toBe(true)
      expect((await post(`${a}/revoke`, { token })).status).toBe(200)
      expect(await isActive(b)).toBe(false)
      for (const child of children) child.process.kill('SIGTERM')
      expect((await Promise.all(children.map(({ done }) => done))).map(({ code }) => code)).toEqual(
        [0, 0],
      )
    } finally {
      for (const child of children) child.process.kill('SIGKILL')
      await Promise.all(children.map(({ done }) => done))
    }
  })
})
