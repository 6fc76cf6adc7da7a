import { describe, expect, test } from 'vitest'
import { type Core, type CoreOptions, createCore } from '../../src/server/core.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { postgresKind, SQLITE } from '../store/authority/kinds.ts'
import type { StoreKind } from '../store/authority/world.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { handClock, ISSUER, KEY } from './core-world.ts'

const OTHER_KEY = new Uint8Array(32).fill(8)
const SENTENCES = /^[A-Z][^\n]{20,300}\.$/

const { missing } = await findPostgres()
const kinds = [
  { kind: SQLITE, title: SQLITE.name, isMissing: false },
  {
    kind: postgresKind(newDatabase),
    title: `PostgreSQL${missing ?? ''}`,
    isMissing: missing !== undefined,
  },
]

/** Opens one database as often as `starts` says, each time as a process with those options does. */
async function startAll(
  kind: StoreKind,
  starts: readonly Partial<CoreOptions>[],
  { atOnce = false } = {},
): Promise<readonly string[]> {
  const place = await kind.create()
  const clock = handClock()
  const opened: AuthorityStore[] = []
  const start = async (options: Partial<CoreOptions>): Promise<Core> => {
    const store = await place.open({ clock, eventsKeptMs: 1_000 })
    opened.push(store)
    return createCore({ issuer: ISSUER, key: KEY, clock, ...options, store })
  }
  const said = (core: Promise<Core>) =>
    core.then(
      () => 'started',
      (error: { code: string; message: string }) => {
        expect(error.message).toMatch(SENTENCES)
        return `${error.code}: ${error.message}`
      },
    )
  try {
    if (atOnce) return await Promise.all(starts.map((options) => said(start(options))))
    const all: string[] = []
    for (const options of starts) all.push(await said(start(options)))
    return all
  } finally {
    await Promise.all(opened.map((store) => store.close()))
    await place.remove()
  }
}

describe.each(kinds)(
  'a store on $title remembers what its tokens are made with',
  ({ kind, isMissing }) => {
    const owned = test.skipIf(isMissing)
    owned('another key is refused, and told what to do; the first one goes on', async () => {
      const said = await startAll(kind, [{}, { key: OTHER_KEY }, {}])
      expect(said).toEqual([
        'started',
        expect.stringMatching(/^key_mismatch: .* made with another key\. .*RESCIND_KEY/),
        'started',
      ])
    })
    owned('of two keys that start first at once, one is refused', async () => {
      const said = await startAll(kind, [{}, { key: OTHER_KEY }], { atOnce: true })
      expect(said.map((text) => text.split(':')[0]).sort()).toEqual(['key_mismatch', 'started'])
    })
    owned('another brand is refused, with the name of the one that tokens have', async () => {
      const said = await startAll(kind, [{ tokenBrand: 'acme' }, {}, { tokenBrand: 'acme' }])
      expect(said).toEqual([
        'started',
        expect.stringMatching(/^brand_mismatch: .* begin with "acme".*tokenBrand "acme"/),
        'started',
      ])
      // Not to say the brand is to say the default.
      const both = await startAll(kind, [{}, { tokenBrand: 'rsc' }, { tokenBrand: 'acme' }])
      expect(both.map((text) => text.split(':')[0])).toEqual([
        'started',
        'started',
        'brand_mismatch',
      ])
    })
    owned('nothing of the key is in the store', async () => {
      const place = await kind.create()
      const clock = handClock()
      const store = await place.open({ clock, eventsKeptMs: 1_000 })
      await createCore({ issuer: ISSUER, key: KEY, clock, store })
      const { value } = (await store.readNote('key_check')) ?? expect.fail('no note')
      expect(Buffer.from(value, 'base64url')).toHaveLength(16)
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        expect(value).not.toContain(Buffer.from(KEY).toString(encoding).slice(0, 8))
      }
      await store.close()
      await place.remove()
    })
  },
)
