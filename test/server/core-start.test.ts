import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { type CoreOptions, createCore } from '../../src/server/core.ts'
import type { AuthorityStore, Change } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { tempHome } from '../support/temp-home.ts'
import { handClock, ISSUER, KEY } from './core-world.ts'

/** One sentence or two, that begins with a capital, ends with a full stop, and shows no inside. */
const SENTENCE = /^[A-Z][^\n]{20,300}\.$/

async function start(options: Partial<CoreOptions> = {}): Promise<unknown> {
  const clock = handClock()
  const store = options.store ?? (await openSqliteAuthorityStore(':memory:', { clock }))
  try {
    return await createCore({ issuer: ISSUER, key: KEY, clock, ...options, store })
  } finally {
    await store.close()
  }
}

const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => ({ code: 'none', message: '' }),
    (error: { code: string; message: string }) => error,
  )

interface WrongOptions {
  readonly title: string
  readonly options: Partial<Record<keyof CoreOptions, unknown>>
  readonly code: string
  readonly says: RegExp
}

const WRONG: readonly WrongOptions[] = [
  { title: 'no issuer', options: { issuer: undefined }, code: 'usage', says: /"issuer"/ },
  { title: 'an empty issuer', options: { issuer: '' }, code: 'usage', says: /"issuer"/ },
  {
    title: 'an issuer that is no URL',
    options: { issuer: 'acme' },
    code: 'url_invalid',
    says: /"acme"/,
  },
  {
    title: 'an http issuer that is not loopback',
    options: { issuer: 'http://as.example' },
    code: 'url_plain_http',
    says: /http:\/\/as\.example must be https/,
  },
  {
    title: 'an issuer with a query (RFC 8414 section 2)',
    options: { issuer: 'https://as.example/?a=b' },
    code: 'url_invalid',
    says: /no query/,
  },
  {
    title: 'an issuer with a fragment (RFC 8414 section 2)',
    options: { issuer: 'https://as.example/#' },
    code: 'url_invalid',
    says: /no fragment/,
  },
  { title: 'no key', options: { key: undefined }, code: 'key_invalid', says: /32 bytes/ },
  {
    title: 'a short key',
    options: { key: new Uint8Array(16) },
    code: 'key_invalid',
    says: /32 bytes/,
  },
  {
    title: 'a key as text',
    options: { key: 'k'.repeat(32) },
    code: 'key_invalid',
    says: /32 bytes/,
  },
  ...[-1, Number.NaN, Number.POSITIVE_INFINITY, '600', 0].map((accessToken) => ({
    title: `an access token's lifetime of ${JSON.stringify(accessToken)} (${accessToken})`,
    options: { lifetimes: { accessToken } },
    code: 'usage',
    says: /"accessToken"/,
  })),
]

describe('wrong options fail at start, in one clear sentence', () => {
  test.each(WRONG)('$title', async ({ options, code, says }) => {
    const refusal = await refusalOf(start(options as Partial<CoreOptions>))
    expect(refusal).toMatchObject({ code, message: expect.stringMatching(says) })
    expect(refusal.message).toMatch(SENTENCE)
  })
  test.each([
    ['https', 'https://as.example'],
    ['https with a path', 'https://as.example/tenant1'],
    ['http on loopback', 'http://127.0.0.1:8080'],
    ['http on localhost', 'http://localhost:8080'],
    ['http on IPv6 loopback', 'http://[::1]:8080'],
  ])('an issuer that is right: %s', async (_, issuer) => {
    expect((await refusalOf(start({ issuer }))).code).toBe('none')
  })
  test('a grace of 0 is right', async () => {
    expect((await refusalOf(start({ lifetimes: { refreshGrace: 0 } }))).code).toBe('none')
  })
})

describe('a store without compare-and-set is refused', () => {
  const lax: Readonly<Record<string, Change['type']>> = {
    'uses a name twice': 'use_once',
    'ends a grant twice': 'end_grant',
    'adds tokens to a dead grant': 'add_tokens',
    'spends a token twice': 'spend_token',
  }
  test.each(Object.entries(lax))('one that %s', async (_, type) => {
    const sound = await openSqliteAuthorityStore(':memory:', { clock: handClock() })
    const store: AuthorityStore = {
      ...sound,
      async commit(change) {
        const committed = await sound.commit(change)
        return change.type === type ? 'done' : committed
      },
    }
    const refusal = await refusalOf(start({ store }))
    expect(refusal).toMatchObject({ code: 'store_unfit' })
    expect(refusal.message).toMatch(SENTENCE)
    expect(refusal.message).toContain(':memory:')
  })
})

describe('a store on disk', () => {
  const open = (home: string) =>
    openSqliteAuthorityStore(join(home, 'authority.db'), { clock: handClock() })
  test('of another issuer is refused, and names both', async () => {
    using home = tempHome()
    await start({ store: await open(home.path) })
    const other = { issuer: 'https://other.example', store: await open(home.path) }
    const refusal = await refusalOf(start(other))
    expect(refusal).toMatchObject({ code: 'issuer_mismatch' })
    expect(refusal.message).toMatch(SENTENCE)
    expect(refusal.message).toContain(ISSUER)
    expect(refusal.message).toContain('https://other.example')
  })
  test('of the same issuer is opened again, also with a slash at its end', async () => {
    using home = tempHome()
    for (const issuer of [ISSUER, `${ISSUER}/`, ISSUER]) {
      expect((await refusalOf(start({ issuer, store: await open(home.path) }))).code).toBe('none')
    }
  })
  test('two issuers at the same time: one is refused', async () => {
    using home = tempHome()
    const issuers = [ISSUER, 'https://other.example']
    const stores = [await open(home.path), await open(home.path)]
    const refusals = await Promise.all(
      issuers.map((issuer, index) => refusalOf(start({ issuer, store: stores[index]! }))),
    )
    expect(refusals.map(({ code }) => code).sort()).toEqual(['issuer_mismatch', 'none'])
  })
  test('of a newer Rescind is refused, and stays as it is', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 1000')
    database.close()
    const before = readFileSync(path)
    const refusal = await refusalOf(open(home.path))
    expect(refusal).toMatchObject({ code: 'store_newer' })
    expect(refusal.message).toMatch(SENTENCE)
    expect(readFileSync(path).subarray(100)).toEqual(before.subarray(100))
  })
  test('of something else is refused, and stays as it is', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const database = new DatabaseSync(path)
    database.exec('CREATE TABLE invoice (id INTEGER); INSERT INTO invoice VALUES (1)')
    database.close()
    const before = readFileSync(path)
    const refusal = await refusalOf(open(home.path))
    expect(refusal).toMatchObject({ code: 'store_corrupt' })
    expect(refusal.message).toMatch(SENTENCE)
    expect(refusal.message).toContain('"invoice"')
    expect(readFileSync(path)).toEqual(before)
  })
})
