import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import type { RevokeReach } from '../../src/server/revoke.ts'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { bearer, type EndpointWorld, type OpenStore, openEndpoints } from './endpoints-world.ts'

const { missing } = await findPostgres()
const ADMIN = 'admin-key-0123456789abcdef'
const STORES: readonly { title: string; isMissing: boolean; openStore: OpenStore }[] = [
  {
    title: 'SQLite',
    isMissing: false,
    openStore: (clock) => openSqliteAuthorityStore(':memory:', { clock }),
  },
  {
    title: `PostgreSQL${missing ?? ''}`,
    isMissing: missing !== undefined,
    openStore: async (clock) =>
      openPostgresAuthorityStore({ connectionString: await newDatabase(), clock }),
  },
]

/** What is no reach, whoever gives it, and the words that the sentence must have. */
const WRONG: readonly { title: string; reach: unknown; says: RegExp }[] = [
  { title: 'nothing named', reach: {}, says: /^Say what to revoke/ },
  { title: 'no object', reach: 'ada', says: /^Say what to revoke/ },
  { title: 'undefined', reach: undefined, says: /^Say what to revoke/ },
  { title: 'null', reach: null, says: /^Say what to revoke/ },
  { title: 'a list', reach: ['ada'], says: /^Say what to revoke/ },
  { title: 'a misspelt key', reach: { sesion: 's1' }, says: /no key sesion.*session/ },
  { title: 'a misspelt key beside', reach: { user: 'ada', cient: 'app' }, says: /no key cient/ },
  { title: 'a key of the prototype', reach: { toString: 'x' }, says: /no key toString/ },
  { title: 'a key with quotes', reach: { 'a"b': 1 }, says: /^A key is not known/ },
  { title: 'an undefined moment', reach: { issuedBefore: undefined }, says: /issuedBefore needs/ },
  { title: 'an undefined user', reach: { user: undefined }, says: /user needs a name/ },
  { title: 'an undefined session', reach: { session: undefined }, says: /session needs/ },
  { title: 'an undefined client', reach: { client: undefined }, says: /client needs/ },
  { title: 'an undefined grant', reach: { grant: undefined }, says: /grant needs/ },
  {
    title: 'a user and an undefined client',
    reach: { user: 'ada', client: undefined },
    says: /client needs/,
  },
  {
    title: 'a user and an undefined moment',
    reach: { user: 'ada', issuedBefore: undefined },
    says: /issuedBefore needs/,
  },
  {
    title: 'a session and an undefined user',
    reach: { session: 's1', user: undefined },
    says: /alone/,
  },
  { title: 'a session and a user', reach: { session: 's1', user: 'ada' }, says: /alone/ },
  { title: 'a grant and a moment', reach: { grant: 1, issuedBefore: new Date(0) }, says: /alone/ },
  { title: 'an empty user', reach: { user: '' }, says: /user needs/ },
  { title: 'a user of 513 characters', reach: { user: 'a'.repeat(513) }, says: /1 to 512/ },
  { title: 'a user with NUL', reach: { user: 'a\0b' }, says: /user needs/ },
  { title: 'a user that is an object', reach: { user: { id: 'ada' } }, says: /user needs/ },
  { title: 'a client with a space', reach: { client: 'app ada' }, says: /client needs/ },
  { title: 'a grant as text', reach: { grant: '1' }, says: /grant needs/ },
  { title: 'grant 0', reach: { grant: 0 }, says: /grant needs/ },
  { title: 'half a grant', reach: { grant: 1.5 }, says: /grant needs/ },
  { title: 'a moment as text', reach: { issuedBefore: '2026-01-01' }, says: /issuedBefore needs/ },
  {
    title: 'a moment that is none',
    reach: { issuedBefore: new Date(Number.NaN) },
    says: /issuedBefore needs a moment/,
  },
  {
    title: 'a moment to come',
    reach: { issuedBefore: new Date('2999-01-01') },
    says: /issuedBefore lies ahead/,
  },
  { title: 'a token without its client', reach: { token: 'rsc_at_x' }, says: /clientId needs/ },
  {
    title: 'an undefined token',
    reach: { token: undefined, clientId: 'app' },
    says: /token needs/,
  },
  {
    title: 'a token and a user',
    reach: { token: 'rsc_at_x', clientId: 'app', user: 'ada' },
    says: /no key user/,
  },
]

async function open(openStore: OpenStore): Promise<EndpointWorld> {
  const world = await openEndpoints({ openStore, adminKeys: [new Secret(ADMIN)] })
  await world.addClient({ id: 'app' })
  return world
}

describe.each(STORES)('a reach that is none revokes and counts nothing, on $title', (store) => {
  test.skipIf(store.isMissing)('whatever is wrong, in one sentence that names it', async () => {
    await using world = await open(store.openStore)
    const { access_token: token } = await world.issue('app', 'ada', 's1')
    for (const { title, reach, says } of WRONG) {
      const given = reach as RevokeReach
      const revoked = await refusalOf(world.authority.revoke(given))
      expect(revoked, title).toMatchObject({ code: 'usage', message: expect.stringMatching(says) })
      expect(revoked.message, title).toMatch(/^[A-Z][\x20-\x21\x23-\x5b\x5d-\x7e]{10,160}\.$/)
      const isToken = typeof reach === 'object' && reach !== null && 'token' in reach
      const counted = await refusalOf(world.authority.count(given))
      expect(counted, title).toMatchObject(isToken ? { code: 'usage' } : revoked)
    }
    expect(await world.isActive(token)).toEqual([true])
    expect((await world.events()).filter((type) => type.endsWith('.revoked'))).toEqual([])
  })

  test.skipIf(store.isMissing)('what is right is taken as before', async () => {
    await using world = await open(store.openStore)
    const right: readonly RevokeReach[] = [
      { user: 'ada' },
      { user: 'ada', client: 'app' },
      { client: 'app' },
      { session: 's1' },
      { issuedBefore: new Date(world.clock.now()) },
      { user: 'ada', issuedBefore: new Date(world.clock.now()) },
    ]
    for (const reach of right) {
      const { access_token: token } = await world.issue('app', 'ada', 's1')
      if ('issuedBefore' in reach) world.clock.advance(1)
      const given =
        'issuedBefore' in reach ? { ...reach, issuedBefore: new Date(world.clock.now()) } : reach
      expect(await world.authority.count(given)).toEqual({ grants: 1, tokens: 2 })
      await world.authority.revoke(given)
      expect(await world.isActive(token)).toEqual([false])
    }
  })
})

test.each([{ client: 'nope' }, { client: 'nope', user: 'ada' }])(
  'a client that is not there is an error, and nothing is told as revoked: %j',
  async (reach) => {
    await using world = await openEndpoints()
    await world.addClient({ id: 'app' })
    const { access_token } = await world.issue('app')
    const events = await world.events()
    expect(await refusalOf(world.authority.revoke(reach))).toMatchObject({
      code: 'client_unknown',
      message: expect.stringMatching(/^There is no client "nope"\./),
    })
    expect([await world.events(), await world.isActive(access_token)]).toEqual([events, [true]])
  },
)

test('the admin endpoint refuses the same, in the same words', async () => {
  await using world = await openEndpoints({ adminKeys: [new Secret(ADMIN)] })
  const answer = await world.call('/admin/revoke', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(ADMIN) },
    body: '{"sesion":"s1"}',
  })
  expect(answer.status).toBe(400)
  const said = await refusalOf(world.authority.revoke({ sesion: 's1' } as never))
  // Here one more key is known.
  const message = said.message.replace('issuedBefore.', 'issuedBefore, dryRun.')
  expect(((await answer.json()) as Record<string, string>).error_description).toBe(message)
})

test('Global Token Revocation does not answer 204 for a user that the host left open', async () => {
  const callers = [{ name: 'idp', key: new Secret(ADMIN), tenant: null }]
  const resolveSubject = async () => undefined as never
  await using world = await openEndpoints({ globalRevocation: { callers, resolveSubject } })
  const answer = await world.call('/global-token-revocation', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(ADMIN) },
    body: '{"sub_id":{"format":"opaque","id":"ada"}}',
  })
  expect(answer.status).toBe(500)
  expect(world.trouble).toMatchObject([
    { code: 'usage', message: expect.stringMatching(/user needs/) },
  ])
})

const refusalOf = (work: Promise<unknown>): Promise<{ code: string; message: string }> =>
  work.then(
    (done) => ({ code: 'none', message: JSON.stringify(done) }),
    ({ code, message }) => ({ code, message }),
  )
