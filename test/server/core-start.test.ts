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

const isOpened = (store: unknown): store is AuthorityStore =>
  typeof store === 'object' && store !== null && 'close' in store

async function start(options: Partial<CoreOptions> = {}): Promise<unknown> {
  const clock = handClock()
  const own = await openSqliteAuthorityStore(':memory:', { clock })
  try {
    return await createCore({ issuer: ISSUER, key: KEY, clock, store: own, ...options })
  } finally {
    await own.close()
    if (isOpened(options.store)) await options.store.close()
  }
}

const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => ({ code: 'none', message: '' }),
    (error: { code: string; message: string }) => error,
  )

interface WrongOptions {
  readonly title: string
  readonly options: Readonly<Record<string, unknown>>
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
  ...['https://ada:geheim@as.example', 'https://ada@as.example', 'https://@as.example'].map(
    (issuer) => ({
      title: `an issuer with userinfo: ${issuer}`,
      options: { issuer },
      code: 'url_invalid',
      says: /^(?!.*geheim).*no user and no password/,
    }),
  ),
  ...[
    ' https://as.example',
    'https://as.example/a b',
    'https:as.example',
    'HTTPS://as.example',
  ].map((issuer) => ({
    title: `an issuer that clients could not compare: "${issuer}"`,
    options: { issuer },
    code: 'url_invalid',
    says: /is not a URL/,
  })),
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
  ...['grnt', '', null, true].map((accessTokenCascade) => ({
    title: `the cascade ${JSON.stringify(accessTokenCascade)}`,
    options: { accessTokenCascade },
    code: 'usage',
    says: /accessTokenCascade must be one of token, grant/,
  })),
  ...['HS256', 'none', 'es256'].map((signingAlg) => ({
    title: `signing by ${signingAlg}`,
    options: { signingAlg },
    code: 'usage',
    says: /signingAlg must be one of RS256, ES256, EdDSA/,
  })),
  ...['', 'Acme', 'a_b', 'a'.repeat(17), 7].map((tokenBrand) => ({
    title: `the brand ${JSON.stringify(tokenBrand)}`,
    options: { tokenBrand },
    code: 'usage',
    says: /tokenBrand must be 1 to 16 lower case letters and digits/,
  })),
  ...[{}, null, 'authority.db'].map((store) => ({
    title: `${JSON.stringify(store)} for a store`,
    options: { store },
    code: 'usage',
    says: /store must be a store, as openSqliteAuthorityStore/,
  })),
  {
    title: 'a misspelt option',
    options: { accessTokenCascad: 'grant' },
    code: 'usage',
    says: /no key accessTokenCascad\. .*accessTokenCascade/,
  },
  {
    title: 'a misspelt lifetime',
    options: { lifetimes: { accesToken: 60 } },
    code: 'usage',
    says: /no key accesToken\. .*accessToken/,
  },
  {
    title: 'lifetimes as text',
    options: { lifetimes: '10m' },
    code: 'usage',
    says: /lifetimes must/,
  },
  {
    title: 'a login that is no function',
    options: { authorize: {} },
    code: 'usage',
    says: /authorize must be a function/,
  },
  {
    title: 'an admin key that is not in a list',
    options: { adminKeys: 'key' },
    code: 'usage',
    says: /adminKeys must be a list/,
  },
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
    ['https with a slash at its end', 'https://as.example/'],
    ['http on localhost', 'http://localhost:8080'],
    ['http on IPv6 loopback', 'http://[::1]:8080'],
  ])('an issuer that is right: %s', async (_, issuer) => {
    expect((await refusalOf(start({ issuer }))).code).toBe('none')
  })
  test('nothing at all', async () => {
    for (const given of [undefined, null, 'https://as.example']) {
      const refusal = await refusalOf(createCore(given as never))
      expect(refusal).toMatchObject({ code: 'usage', message: expect.stringMatching(/issuer/) })
      expect(refusal.message).toMatch(SENTENCE)
    }
  })
  test('no store', async () => {
    const refusal = await refusalOf(createCore({ issuer: ISSUER, key: KEY } as never))
    expect(refusal).toMatchObject({ code: 'usage', message: expect.stringMatching(/store must/) })
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
  test('one that says of a second end of a token that it was the first', async () => {
    const sound = await openSqliteAuthorityStore(':memory:', { clock: handClock() })
    const store: AuthorityStore = {
      ...sound,
      async changeToken(asked, decide) {
        await sound.changeToken(asked, decide)
        return 'done'
      },
    }
    expect(await refusalOf(start({ store }))).toMatchObject({ code: 'store_unfit' })
  })
  test('one that was made for an older contract', async () => {
    const { readEpoch: _, oldestEventAt: __, ...store } = await openSqliteAuthorityStore(':memory:')
    const refusal = await refusalOf(start({ store: store as AuthorityStore }))
    expect(refusal).toMatchObject({ code: 'store_unfit' })
    expect(refusal.message).toContain(':memory: has no readEpoch, oldestEventAt.')
  })
  test('one that lets a grant be born when it is written, and not when its request began', async () => {
    const sound = await openSqliteAuthorityStore(':memory:', { clock: handClock() })
    const store: AuthorityStore = {
      ...sound,
      commit: (change) =>
        sound.commit(
          change.type === 'start_grant' ? { ...change, began: Number.MAX_SAFE_INTEGER } : change,
        ),
    }
    const refusal = await refusalOf(start({ store }))
    expect(refusal).toMatchObject({ code: 'store_unfit' })
    expect(refusal.message).toMatch(SENTENCE)
    expect(refusal.message).toMatch(/:memory: takes the birth of a grant when it is written/)
  })
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
  test('of the same issuer is opened again; with a slash at its end it is another (RFC 8414 section 3.3)', async () => {
    using home = tempHome()
    const codes: string[] = []
    for (const issuer of [ISSUER, `${ISSUER}/`, ISSUER]) {
      codes.push((await refusalOf(start({ issuer, store: await open(home.path) }))).code)
    }
    expect(codes).toEqual(['none', 'issuer_mismatch', 'none'])
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
