import { describe, expect, test } from 'vitest'
import type { Authority, IssueRequest } from '../../src/server/authority.ts'
import { openEndpoints } from './endpoints-world.ts'

/** One sentence or two, that begin with a capital, end with a full stop, and show no inside. */
const SENTENCES = /^[A-Z][^\n]{10,300}\.$/
const GOOD = { clientId: 'app', userId: 'ada', scope: 'read' }

const refusalOf = (work: Promise<unknown>): Promise<{ code: string; message: string }> =>
  work.then(
    (done) => ({ code: 'none', message: JSON.stringify(done) }),
    (error) => error,
  )

async function open() {
  const world = await openEndpoints()
  await world.addClient({ id: 'app', scope: 'read write' })
  await world.addClient({ id: 'bare', scope: '' })
  return world
}

describe('authority.issue takes what is right, and nothing else', () => {
  const wrong: readonly [string, unknown, RegExp][] = [
    ['no user', { userId: undefined }, /userId needs a name/],
    ['an empty user', { userId: '' }, /userId needs/],
    ['a user that is an object', { userId: { id: 'ada' } }, /userId needs/],
    ['a user that is a number', { userId: 7 }, /userId needs/],
    ['a user of 513 characters', { userId: 'a'.repeat(513) }, /1 to 512/],
    ['a user with NUL', { userId: 'a\0b' }, /userId needs/],
    ['a session that is an object', { sessionId: { id: 1 } }, /sessionId needs/],
    ['an empty session', { sessionId: '' }, /sessionId needs/],
    ['a session that is null', { sessionId: null }, /sessionId needs/],
    ['a misspelt session', { sessionID: 's1' }, /no key sessionID\. .*sessionId/],
    ['no scope', { scope: undefined }, /scope needs/],
    ['a scope that is a list', { scope: ['read'] }, /scope needs/],
    ['a scope with two spaces', { scope: 'read  write' }, /single spaces/],
    ["a scope beyond the client's", { scope: 'read admin' }, /"read admin" is more .*"read write"/],
    ['no client', { clientId: undefined }, /clientId needs/],
    ['a client that is an object', { clientId: {} }, /clientId needs/],
    ['an audience that is a list', { audience: ['a'] }, /audience needs/],
    ['refreshable as text', { refreshable: 'no' }, /refreshable must be true or false/],
    ['a user who is named like the client', { userId: 'app' }, /user "app" is named like/],
  ]
  test.each(wrong)('%s', async (_, change, says) => {
    await using world = await open()
    const issuing = world.authority.issue({ ...GOOD, ...(change as Partial<IssueRequest>) })
    const refusal = await refusalOf(issuing)
    expect(refusal).toMatchObject({ code: 'usage', message: expect.stringMatching(says) })
    expect(refusal.message).toMatch(SENTENCES)
    expect(await world.events()).not.toContain('grant.started')
  })

  test('a change that is refused takes no other one of its batch down', async () => {
    await using world = await open()
    const userId = { id: 'ada' } as never
    const bad = world.authority.issue({ ...GOOD, userId }).catch(() => 'refused')
    const good = Array.from({ length: 20 }, () => world.authority.issue(GOOD))
    expect(await bad).toBe('refused')
    expect(await Promise.all(good)).toHaveLength(20)
  })

  test.each<[string, Partial<IssueRequest>, string]>([
    ['all of the scope', { scope: 'read write' }, 'read write'],
    ['a part of it', { scope: 'write' }, 'write'],
    ['nothing of it', { scope: '' }, ''],
    ['nothing, where there is nothing', { clientId: 'bare', scope: '' }, ''],
    ['an undefined session', { sessionId: undefined }, 'read'],
  ])('%s is right', async (_, change, scope) => {
    await using world = await open()
    const { access_token } = await world.authority.issue({ ...GOOD, ...change })
    const known = await world.authority.introspect(access_token)
    expect(known).toMatchObject({ active: true, sub: 'ada', scope })
  })
})

describe('RFC 9700 section 4.15: a token whose sub is its client_id is of the client itself', () => {
  test('so a resource server can tell, and no user gets such a token', async () => {
    await using world = await open()
    const secret = await world.addClient({ id: 'robot', accessTokenFormat: 'jwt' })
    const form = { grant_type: 'client_credentials' }
    const answer = await world.post('/token', form, { id: 'robot', secret })
    const { access_token } = (await answer.json()) as { access_token: string }
    const own = await world.authority.introspect(access_token)
    expect(own).toMatchObject({ sub: 'robot', client_id: 'robot' })
    const users = await world.authority.issue({ ...GOOD, userId: 'robot' })
    const theirs = await world.authority.introspect(users.access_token)
    expect(theirs).toMatchObject({ sub: 'robot', client_id: 'app' })
    const same = refusalOf(world.authority.issue({ ...GOOD, clientId: 'robot', userId: 'robot' }))
    expect(await same).toMatchObject({ code: 'usage' })
  })
})

describe('the other calls of the library refuse what is none, in one sentence', () => {
  const calls: readonly [string, (authority: Authority) => Promise<unknown>, RegExp][] = [
    ['rotate nothing', (a) => a.rotate(undefined as never), /clientId, refreshToken, scope/],
    [
      'rotate without a token',
      (a) => a.rotate({ clientId: 'app', refreshToken: undefined as never }),
      /refreshToken needs the text/,
    ],
    [
      'rotate to a list of scopes',
      (a) => a.rotate({ clientId: 'app', refreshToken: 'x', scope: ['read'] as never }),
      /scope needs/,
    ],
    ['introspect without a token', (a) => a.introspect(undefined as never), /token needs/],
    ['explain nothing', (a) => a.explain(undefined as never), /what needs the fingerprint/],
    ['events of no count', (a) => a.events(null, Number.NaN), /limit needs a whole number/],
    ['events of less than none', (a) => a.events(null, -1), /limit needs a whole number/],
    ['events of no position', (a) => a.events(7 as never), /after needs the position/],
    ['events after nonsense', (a) => a.events('nonsense'), /position among the events/],
    ['issue nothing', (a) => a.issue(undefined as never), /clientId, userId/],
  ]
  test.each(calls)('%s', async (_, call, says) => {
    await using world = await open()
    const refusal = await refusalOf(call(world.authority))
    expect(refusal).toMatchObject({ code: 'usage', message: expect.stringMatching(says) })
    expect(refusal.message).toMatch(SENTENCES)
  })
  test('an empty token is no wrong use: it is unknown', async () => {
    await using world = await open()
    expect(await world.authority.introspect('')).toEqual({ active: false })
  })
})
