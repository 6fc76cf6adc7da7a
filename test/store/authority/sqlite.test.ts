import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import type { AuthorityStore } from '../../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../../src/store/authority/sqlite.ts'
import { tempHome } from '../../support/temp-home.ts'
import { describeAuthorityStore } from './contract.ts'
import { SQLITE } from './kinds.ts'
import { grantRow, tokenRow } from './world.ts'

describeAuthorityStore(SQLITE)

const PAGE_BYTES = 4096
const LATER = { expiresAt: Date.now() + 3_600_000 }

async function startedWith(store: AuthorityStore, count: number): Promise<number[]> {
  const grantId = await store.reserveIds(count + 1)
  const ids = Array.from({ length: count }, (_, index) => grantId + 1 + index)
  const tokens = ids.map((id) => tokenRow(id, grantId, LATER))
  const grant = grantRow(grantId, LATER)
  await store.commit({ type: 'start_grant', grant, tokens, events: [] })
  return ids
}

const endAll = (store: AuthorityStore, ids: readonly number[]) =>
  Promise.all(ids.map((tokenId) => store.commit({ type: 'end_token', tokenId, at: 1, events: [] })))

describe("the authority's store in an SQLite file", () => {
  test('the ends of many tokens are moved, and each token still ends once', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const store = await openSqliteAuthorityStore(path)
    const other = await openSqliteAuthorityStore(path)
    const ids = await startedWith(store, 5_000)
    const [first, last] = [ids.slice(0, 4_500), ids.slice(4_500)]
    expect(new Set(await endAll(store, first))).toEqual(new Set(['done']))
    expect(new Set(await endAll(other, first))).toEqual(new Set(['conflict']))
    for (const id of first) expect((await other.readToken(id))?.end?.state).toBe('revoked')
    for (const id of last) expect((await other.readToken(id))?.end).toBeNull()
    await Promise.all([store.close(), other.close()])
  })

  test('a change that no database can take fails alone', async () => {
    using home = tempHome()
    const store = await openSqliteAuthorityStore(join(home.path, 'authority.db'))
    const ids = await startedWith(store, 20)
    const spoiled = grantRow(await store.reserveIds(1), { ...LATER, userId: {} as string })
    const wrong = store.commit({ type: 'start_grant', grant: spoiled, tokens: [], events: [] })
    const [refused, ...ends] = await Promise.allSettled([
      wrong,
      ...ids.map((tokenId) => store.commit({ type: 'end_token', tokenId, at: 1, events: [] })),
    ])
    expect(refused.status).toBe('rejected')
    expect(ends).toEqual(ids.map(() => ({ status: 'fulfilled', value: 'done' })))
    for (const id of ids) expect((await store.readToken(id))?.end?.state).toBe('revoked')
    await store.close()
  })

  test('a damaged file is told as store_corrupt, and ends nothing but the look-up', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const before = await openSqliteAuthorityStore(path)
    const ids = await startedWith(before, 6_000)
    await before.close()
    const file = openSync(path, 'r+')
    for (let page = 31; page * PAGE_BYTES < statSync(path).size; page += 2) {
      writeSync(file, Buffer.alloc(PAGE_BYTES, 0x5a), 0, PAGE_BYTES, page * PAGE_BYTES)
    }
    closeSync(file)
    const store = await openSqliteAuthorityStore(path, { clock: systemClock })
    const looks = await Promise.allSettled(ids.map((id) => store.readToken(id)))
    const codes = looks.flatMap((look) =>
      look.status === 'rejected' ? [(look.reason as { code?: string }).code] : [],
    )
    expect(codes.length).toBeGreaterThan(100)
    expect(new Set(codes)).toEqual(new Set(['store_corrupt']))
    await store.close()
  })
})
