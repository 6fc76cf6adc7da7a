import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { startPostgres } from '../support/postgres.ts'
import { findPostgres } from '../support/postgres-database.ts'
import { tempHome } from '../support/temp-home.ts'
import { type EndpointWorld, type OpenStore, openEndpoints } from './endpoints-world.ts'

const { missing = '' } = await findPostgres()
const DEADLINE_MS = 1_000
/** More bytes than the store of a test has. */
const DAMAGE = Buffer.alloc(1 << 20, 0xa5)

/** A real store, and what makes it fail for good. */
interface Fallible extends AsyncDisposable {
  readonly openStore: OpenStore
  fail(): Promise<unknown>
}

const KINDS: readonly { name: string; skip: boolean; open(): Promise<Fallible> }[] = [
  {
    name: 'an SQLite file that is damaged',
    skip: false,
    async open() {
      const home = tempHome()
      const path = join(home.path, 'authority.db')
      return {
        openStore: (clock) => openSqliteAuthorityStore(path, { clock }),
        async fail() {
          // Another process moves the log into the file: what was read before is read anew.
          using other = new DatabaseSync(path)
          other.exec('CREATE TABLE other (id INTEGER); PRAGMA wal_checkpoint(TRUNCATE)')
          const file = openSync(path, 'r+')
          writeSync(file, DAMAGE)
          closeSync(file)
        },
        [Symbol.asyncDispose]: async () => home[Symbol.dispose](),
      }
    },
  },
  {
    name: `a PostgreSQL that is gone${missing}`,
    skip: missing !== '',
    async open() {
      const server = await startPostgres()
      const connectionString = await server.createDatabase()
      return {
        openStore: ({ now }) =>
          openPostgresAuthorityStore({
            ...{ connectionString, deadlineMs: DEADLINE_MS },
            clock: { now, sleep: async () => {} },
          }),
        fail: () => server.stop(),
        [Symbol.asyncDispose]: () => server.stop(),
      }
    },
  },
]

/** Registers clients of three kinds of proof, and has each seen by both endpoints. */
async function seenClients(world: EndpointWorld, token: string) {
  const secret = await world.addClient({ id: 'api', introspect: 'all' })
  const basic = { id: 'api', secret }
  const proofs = [
    { form: {}, basic },
    { form: { client_id: 'api', client_secret: secret }, basic: undefined },
  ]
  for (const { form, basic } of proofs) {
    const answer = await world.post('/introspect', { ...form, token }, basic)
    expect([answer.status, await answer.json()]).toMatchObject([200, { active: true }])
  }
  const unknown = { client_id: 'app', token: 'nothing' }
  expect((await world.post('/revoke', unknown)).status).toBe(200)
  return proofs
}

describe.each(KINDS)('a client that was seen before, and $name', ({ skip, open }) => {
  test.skipIf(skip)(
    'hears 503 with Retry-After from /introspect and /revoke, and never an answer',
    async () => {
      await using kind = await open()
      await using world = await openEndpoints({ openStore: kind.openStore })
      await world.addClient({ id: 'app', authMethod: 'none' })
      await world.addClient({ id: 'jwt', authMethod: 'none', accessTokenFormat: 'jwt' })
      const opaque = await world.issue('app')
      const jwt = await world.issue('jwt')
      const proofs = await seenClients(world, opaque.access_token)
      await kind.fail()
      const asks = [opaque.access_token, opaque.refresh_token, jwt.access_token, 'nothing'].flatMap(
        (token) => [
          ...proofs.flatMap(({ form, basic }) => [
            world.post('/introspect', { ...form, token }, basic),
            world.post('/revoke', { ...form, token }, basic),
          ]),
          world.post('/revoke', { client_id: 'app', token }),
        ],
      )
      for (const answer of await Promise.all(asks)) {
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
        const said = (await answer.json()) as Record<string, string>
        expect(said).toMatchObject({ error: 'temporarily_unavailable' })
        const isRead = answer.url.endsWith('/introspect')
        expect(said.error_description?.includes('whether this was done')).toBe(!isRead)
      }
      expect(world.trouble).not.toEqual([])
    },
  )
})
