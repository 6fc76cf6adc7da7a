import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { openStore } from '../../src/store/store.ts'
import { tempHome } from '../support/temp-home.ts'

const STORE = join(import.meta.dirname, '../../src/store/store.ts')

/** Opens the store of a home in a process of its own, and prints a fingerprint made with its key. */
function openElsewhere(home: string): Promise<{ code: number | null; output: string }> {
  const script = `
    const { openStore } = await import(${JSON.stringify(STORE)})
    const store = await openStore({ home: ${JSON.stringify(home)} })
    console.log(store.fingerprint({ reveal: () => 'x' }))
    await store.close()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  return new Promise((resolve) =>
    child.on('close', (code) => resolve({ code, output: output.trim() })),
  )
}

describe('opening', () => {
  test('makes files that nobody else can read', async () => {
    using home = tempHome()
    const store = await openStore({ home: join(home.path, 'deep', 'er') })
    await store.credentials.put('acme', 'web', new Secret('hunter22'))
    const files = readdirSync(join(home.path, 'deep', 'er'))
    expect(files.sort()).toEqual(['key', 'rescind.db', 'rescind.db-shm', 'rescind.db-wal'])
    for (const file of files) {
      const path = join(home.path, 'deep', 'er', file)
      expect(statSync(path).mode & 0o777, file).toBe(0o600)
      expect(readFileSync(path, 'latin1')).not.toContain('hunter22')
    }
    expect(statSync(join(home.path, 'deep', 'er')).mode & 0o777).toBe(0o700)
    await store.close()
  })

  test('four first uses at once make one key and one schema', async () => {
    using home = tempHome()
    const all = await Promise.all(Array.from({ length: 4 }, () => openElsewhere(home.path)))
    expect(all.map(({ code, output }) => (code === 0 ? 0 : output))).toEqual([0, 0, 0, 0])
    expect(new Set(all.map(({ output }) => output)).size).toBe(1)
    expect(readdirSync(home.path).filter((name) => name.startsWith('key'))).toEqual(['key'])
  })

  test('https://sqlite.org/pragma.html#pragma_synchronous: what is committed is on disk', async () => {
    using home = tempHome()
    const store = await openStore({ home: home.path })
    using raw = new DatabaseSync(store.path)
    expect(raw.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    await store.close()
  })

  test('the schema is brought up to date once', async () => {
    using home = tempHome()
    for (let n = 0; n < 2; n += 1) await (await openStore({ home: home.path })).close()
    using raw = new DatabaseSync(join(home.path, 'rescind.db'))
    const names = raw.prepare('SELECT name FROM kysely_migration').all()
    expect(names).toEqual([
      { name: '0001_sweep' },
      { name: '0002_connections' },
      { name: '0003_made_fingerprint' },
      { name: '0004_superseded_tokens' },
      { name: '0005_superseded_identity' },
      { name: '0006_former_grants' },
      { name: '0007_reconnect_intent' },
    ])
  })

  test('a migration that fails leaves nothing half made, and the next start tries again', async () => {
    using home = tempHome()
    const path = join(home.path, 'rescind.db')
    {
      using raw = new DatabaseSync(path)
      raw.exec('CREATE TABLE run_event (x)')
    }
    await expect(openStore({ home: home.path })).rejects.toThrow(/run_event already exists/)
    using raw = new DatabaseSync(path)
    const tables = raw.prepare(`SELECT name FROM sqlite_schema WHERE name = 'meta'`).all()
    expect(tables).toEqual([])
    raw.exec('DROP TABLE run_event')
    await (await openStore({ home: home.path })).close()
  })

  test('a store of another key is refused before anything is read', async () => {
    using home = tempHome()
    await (await openStore({ home: home.path, key: 'a'.repeat(64) })).close()
    await expect(openStore({ home: home.path, key: 'b'.repeat(64) })).rejects.toMatchObject({
      code: 'store_unsealable',
    })
    await (await openStore({ home: home.path, key: 'a'.repeat(64) })).close()
  })
})
