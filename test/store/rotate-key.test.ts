import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { tempHome } from '../support/temp-home.ts'

/** More than one batch. */
const CONNECTIONS = 450

async function fill(store: Store, count = CONNECTIONS): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; n < count; n += 1) ids.push((await addOne(store, n)).id)
  await store.credentials.put('acme', 'web', new Secret('credential'))
  const replaced = { kind: 'refresh', token: new Secret('replaced'), identity: null } as const
  await store.connections.update(ids[0] as string, () => ({ superseded: [replaced] }))
  await store.formerGrants.keep('https://platform.example', 4014, new Secret('former'))
  await store.connections.addReconnect(
    ...([
      ids[0] as string,
      new Secret('state'),
      new Secret('verifier'),
      Date.now() + 60_000,
    ] as const),
  )
  return ids
}

function addOne(store: Store, n: number) {
  return store.connections.add(
    {
      ...{ tenant: 'acme', provider: 'salesforce', owner: `o${n}`, tags: '[]', scopes: '[]' },
      ...{ state: 'connected', identity: null, facts: '{}', due_at: null },
    },
    {
      ...{ access: new Secret(`at${n}`), refresh: new Secret(`rt${n}`) },
      ...{ expiresAt: null, renewAt: null },
    },
    { type: 'connection.created', to: 'connected', cause: null, notice: false },
  )
}

async function expectAllThere(store: Store, ids: readonly string[]) {
  for (const [n, id] of ids.entries()) {
    const row = await store.connections.read(id)
    const { access, refresh } = await store.connections.tokens(row!)
    expect([access?.reveal(), refresh?.reveal()]).toEqual([`at${n}`, `rt${n}`])
    expect(store.connections.access(id)?.access?.reveal()).toBe(`at${n}`)
  }
  const first = await store.connections.read(ids[0] as string)
  const superseded = await store.connections.superseded(first!)
  expect(superseded.map(({ token }) => token.reveal())).toEqual(['replaced'])
  const former = await store.formerGrants.list('https://platform.example', 4014)
  expect(former.map((token) => token.reveal())).toEqual(['former'])
}

/** Ids of the keys that anything in the file is sealed with. */
function keysIn(home: string): string[] {
  using raw = new DatabaseSync(join(home, 'rescind.db'))
  const rows = raw
    .prepare(
      `SELECT DISTINCT lower(hex(substr(sealed, 2, 4))) AS id FROM (
        SELECT access AS sealed FROM connection_token UNION ALL SELECT refresh FROM connection_token
        UNION ALL SELECT sealed FROM credential UNION ALL SELECT verifier FROM reconnect
        UNION ALL SELECT sealed FROM superseded_token
        UNION ALL SELECT sealed FROM former_grant)`,
    )
    .all()
  return rows.map(({ id }) => String(id))
}

const STORE = join(import.meta.dirname, '../../src/store/store.ts')

/** Reads and adds connections in a process of its own, until it is told to finish. */
function workElsewhere(home: string, ids: readonly string[], from: number) {
  const script = `
    const { openStore } = await import(${JSON.stringify(STORE)})
    const { Secret } = await import(${JSON.stringify(STORE.replace('store/store', 'core/secret'))})
    const store = await openStore({ home: ${JSON.stringify(home)} })
    let isLast = false
    process.stdin.on('data', () => { isLast = true })
    for (let n = ${from}; ; n += 1) {
      const last = isLast
      for (const id of ${JSON.stringify(ids)}) {
        await store.connections.tokens(await store.connections.read(id))
        store.connections.access(id).access.reveal()
      }
      const row = await store.connections.add(
        { tenant: 'acme', provider: 'salesforce', owner: 'o' + n, tags: '[]', scopes: '[]',
          state: 'connected', identity: null, facts: '{}', due_at: null },
        { access: new Secret('at' + n), refresh: new Secret('rt' + n), expiresAt: null, renewAt: null },
        { type: 'connection.created', to: 'connected', cause: null, notice: false })
      console.log(row.id)
      await new Promise((resolve) => setTimeout(resolve, 5))
      if (last) break
    }
    await store.close()
    process.exit(0)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  return {
    begun: once(child.stdout, 'data'),
    finish: () => child.stdin.write('finish'),
    done: once(child, 'close').then(([code]) => ({ code, output })),
  }
}

describe('vault rotate-key', () => {
  test('seals everything anew; the old key opens nothing, and fingerprints stay', async () => {
    using home = tempHome()
    const store = await openStore({ home: home.path })
    const ids = await fill(store)
    const before = await store.connections.read(ids[3] as string)
    const { keyId, resealed } = await store.rotateKey()
    expect(resealed).toBe(CONNECTIONS * 2 + 4)
    expect(keysIn(home.path)).toEqual([keyId])
    await expectAllThere(store, ids)
    expect(await store.connections.takeReconnect(new Secret('state'))).toMatchObject({
      connection: ids[0],
    })
    await store.close()
    const again = await openStore({ home: home.path })
    await expectAllThere(again, ids)
    expect(again.fingerprint(new Secret('rt3'))).toBe(before?.refresh_fingerprint)
    const next = await again.rotateKey()
    expect(next.keyId).not.toBe(keyId)
    expect(keysIn(home.path)).toEqual([next.keyId])
    expect(existsSync(join(home.path, 'vault.key.previous'))).toBe(false)
    await again.close()
    rmSync(join(home.path, 'vault.key'))
    await expect(openStore({ home: home.path })).rejects.toMatchObject({ code: 'store_unsealable' })
  })

  test.each([
    ['before a rotation', false],
    ['after a rotation', true],
  ])(
    'a key that is lost %s is not replaced: refused, and no file is written',
    async (_title, isRotated) => {
      using home = tempHome()
      const store = await openStore({ home: home.path })
      await addOne(store, 0)
      if (isRotated) await store.rotateKey()
      await store.close()
      const path = join(home.path, 'key')
      const key = readFileSync(path, 'utf8')
      rmSync(path)
      await expect(openStore({ home: home.path })).rejects.toMatchObject({
        code: 'store_unsealable',
        message: expect.stringMatching(/key is gone, .* Put it back from a backup/),
      })
      expect(existsSync(path)).toBe(false)
      writeFileSync(path, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
      await expect(openStore({ home: home.path })).rejects.toMatchObject({
        code: 'store_unsealable',
      })
      writeFileSync(path, key, { mode: 0o600 })
      await (await openStore({ home: home.path })).close()
    },
  )

  test('while others work: what they read and write is good before, in between and after', async () => {
    using home = tempHome()
    const store = await openStore({ home: home.path })
    const ids = await fill(store)
    const other = workElsewhere(home.path, ids.slice(0, 3), ids.length)
    await other.begun
    let batches = 0
    const { keyId } = await store.rotateKey(() => {
      batches += 1
    })
    expect(batches).toBeGreaterThan(3)
    other.finish()
    const { code, output } = await other.done
    expect([code, output]).toEqual([0, expect.stringMatching(/^(con_\w+\n){2,}$/)])
    ids.push(...output.trim().split('\n'))
    await expectAllThere(store, ids)
    expect(keysIn(home.path)).toEqual([keyId])
    await store.close()
  })

  test.each([
    ['after the key was made', null],
    ['after the first batch', 0],
    ['in the middle', 300],
  ])('cut off %s: both keys are readable, and it is gone on with', async (_title, cutAt) => {
    using home = tempHome()
    const store = await openStore({ home: home.path })
    const ids = await fill(store)
    await store.rotateKey()
    const [current, previous] = ['vault.key', 'vault.key.previous'].map((name) =>
      join(home.path, name),
    )
    if (cutAt === null) {
      renameSync(current as string, previous as string)
      const key = `${randomBytes(32).toString('base64')}\n`
      writeFileSync(current as string, key, { mode: 0o600 })
    } else {
      const cut = store.rotateKey((count) => {
        if (count > cutAt) throw new Error('killed')
      })
      await expect(cut).rejects.toThrow('killed')
    }
    await store.close()
    const again = await openStore({ home: home.path })
    await expectAllThere(again, ids)
    const { keyId } = await again.rotateKey()
    expect(keysIn(home.path)).toEqual([keyId])
    await expectAllThere(again, ids)
    await again.close()
  })

  test('by the environment: RESCIND_VAULT_KEY and its predecessor', async () => {
    using home = tempHome()
    const [first, second] = [0, 1].map(() => randomBytes(32).toString('base64'))
    const open = (current?: string, previous?: string) =>
      openStore({ home: home.path, vaultKeys: { current, previous } })
    const store = await open()
    const ids = await fill(store, 5)
    await store.close()
    const one = await open(first)
    await one.rotateKey()
    await expect(one.rotateKey()).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/RESCIND_VAULT_KEY_PREVIOUS/),
    })
    await one.close()
    const two = await open(second, first)
    await expectAllThere(two, ids)
    await two.rotateKey()
    await two.close()
    const three = await open(second)
    await expectAllThere(three, ids)
    await three.close()
    await expect(open(first)).rejects.toMatchObject({ code: 'store_unsealable' })
  })

  test('a process with a retired key writes nothing that nobody can open', async () => {
    using home = tempHome()
    const store = await openStore({ home: home.path })
    await fill(store, 2)
    using raw = new DatabaseSync(store.path)
    const { sealed } = raw.prepare('SELECT access AS sealed FROM connection_token').get() as {
      sealed: Uint8Array
    }
    await store.rotateKey()
    for (const sql of [
      'UPDATE connection_token SET access = ?',
      'UPDATE connection_token SET refresh = ?',
      'UPDATE credential SET sealed = ?',
      'UPDATE reconnect SET verifier = ?',
      'UPDATE superseded_token SET sealed = ?',
    ]) {
      expect(() => raw.prepare(sql).run(sealed)).toThrow(/sealed with a retired key/)
    }
    await store.close()
  })
})
