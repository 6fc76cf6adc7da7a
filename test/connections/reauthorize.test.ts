import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import type { Fault } from '../../emulators/index.ts'
import {
  type CallbackAnswer,
  createReauthorizing,
  LINK_MS,
  type Reauthorizing,
  type ReconnectOutcome,
} from '../../src/connections/reauthorize.ts'
import { reconnectPage } from '../../src/connections/reconnect-page.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { answer, startRawServer } from '../cli/raw-server.ts'
import { CALLBACK } from '../server/core-world.ts'
import { openEndpoints } from '../server/endpoints-world.ts'
import { tempHome } from '../support/temp-home.ts'
import { type ConnectionWorld, openConnectionWorld, openVault } from './world.ts'

let world: ConnectionWorld
let reauthorizing: Reauthorizing
let offsetMs: number
let id: string

beforeEach(async () => {
  offsetMs = 0
  const clock: Clock = { ...systemClock, now: () => Date.now() + offsetMs }
  world = await openConnectionWorld({ clock })
  reauthorizing = createReauthorizing(world.parts, world.vault)
  id = (await world.connect()).id
  // Learns who it is.
  await world.health.check(id)
})
afterEach(() => world[Symbol.asyncDispose]())

/** Logs somebody in where a link leads, as a browser does; returns what comes to the callback. */
async function visit(
  url: string,
  { as = 'admin', deny = false }: { as?: 'admin' | 'limited'; deny?: boolean } = {},
): Promise<CallbackAnswer> {
  const form = new URL(url).searchParams
  form.set('username', world.org.credentials[as].username)
  form.set('password', world.org.credentials[as].password)
  form.set('decision', deny ? 'deny' : 'allow')
  const page = new URL(url)
  page.search = ''
  const answer = await fetch(page, { method: 'POST', body: form, redirect: 'manual' })
  const query = new URL(answer.headers.get('location') ?? '').searchParams
  const code = query.get('code')
  return {
    ...{ state: query.get('state'), error: query.get('error'), iss: query.get('iss') },
    code: code === null ? null : new Secret(code),
  }
}

/** Kills the grant, and lets it be noticed. */
async function lose(): Promise<void> {
  const { refresh } = await world.vault.tokens(id)
  await fetch(`${world.org.url}/services/oauth2/revoke`, {
    method: 'POST',
    body: new URLSearchParams({ token: refresh?.reveal() ?? '' }),
  })
  await world.health.check(id)
  await world.vault.renew(id).catch(() => {})
  expect((await world.vault.get(id)).state).toBe('reconnect_needed')
}

interface Refusal {
  readonly as?: 'admin' | 'limited'
  readonly scope?: string
  /** At the revocation too. */
  readonly isDown?: boolean
}

/** Brings a grant that is not taken. */
async function refuse(
  service: Reauthorizing,
  { as = 'admin', scope, isDown = false }: Refusal,
): Promise<void> {
  const url = new URL((await service.link(id)).url)
  if (scope !== undefined) url.searchParams.set('scope', scope)
  const answer = await visit(url.href, { as })
  world.org.setFaults(isDown ? [{ kind: 'unavailable_503', on: 'revoke' }] : [])
  expect((await service.callback(answer)).kind).toBe('changed')
  world.org.setFaults([])
}

/** Makes a connection of the other user. */
async function connectLimited(service: Reauthorizing): Promise<string> {
  const { id: other } = await service.create({ tenant: 'org', owner: 'other' })
  await service.callback(await visit((await service.link(other)).url, { as: 'limited' }))
  return other
}

/** The org as a provider where a revocation may end all that a user granted. */
function together(): TenantConfig {
  const app = world.tenant.app!
  return { ...world.tenant, app: { ...app, options: { ...app.options, grantsApart: false } } }
}

/** The grants of our app that live. */
async function grants(): Promise<string[]> {
  const alive: string[] = []
  for await (const one of world.org.truth.grants()) {
    if (one.appId === world.org.credentials.tool.clientId && one.alive) alive.push(one.deleteToken)
  }
  return alive.sort()
}

const stateOf = async () => {
  const { state, cause } = await world.vault.get(id)
  return `${state} ${cause?.code ?? ''}`.trim()
}
/** The code of an owner is under way. */
const isSent = async () => {
  const { store } = world.parts
  const row = await store.read(id)
  await expect.poll(() => store.openExchange(row!)).toBe('sent')
}
const eventTypes = async () => (await world.vault.events(id)).map(({ type }) => type.slice(11))

describe('a reconnect', () => {
  it('brings a dead connection back: same id, same person, new tokens', async () => {
    const before = await world.vault.get(id)
    await lose()
    const link = await reauthorizing.link(id)
    expect(await stateOf()).toMatch(/^reconnecting/)
    const outcome = await reauthorizing.callback(await visit(link.url))
    expect(outcome.kind).toBe('reconnected')
    const after = await world.vault.get(id)
    expect(after).toMatchObject({ id, state: 'connected', cause: null, identity: before.identity })
    expect(after.version).toBeGreaterThan(before.version)
    expect(after.refreshFingerprint).not.toBe(before.refreshFingerprint)
    const { token } = await world.vault.accessToken(id)
    expect(token.isEmpty).toBe(false)
    expect(await eventTypes()).toEqual(
      expect.arrayContaining(['needs_reauth', 'reconnecting', 'reconnected']),
    )
  })

  it('asks with state and PKCE S256, and keeps neither in the clear', async () => {
    const { url, state } = await reauthorizing.link(id)
    const query = new URL(url).searchParams
    expect(query.get('state')).toBe(state.reveal())
    expect(query.get('state')).toHaveLength(43)
    expect(query.get('code_challenge_method')).toBe('S256')
    const { readFileSync } = await import('node:fs')
    const stored = ['rescind.db', 'rescind.db-wal']
      .map((name) => readFileSync(`${world.home}/${name}`, 'latin1'))
      .join('')
    expect(stored).not.toContain(state.reveal())
  })

  it('of a healthy connection leaves it as it is until the owner consents', async () => {
    const { url } = await reauthorizing.link(id)
    expect(await stateOf()).toBe('connected')
    await reauthorizing.callback(await visit(url, { deny: true }))
    expect(await stateOf()).toBe('connected')
    const stranger = await reauthorizing.link(id)
    await reauthorizing.callback(await visit(stranger.url, { as: 'limited' }))
    expect(await stateOf()).toBe('connected')
    const events = await world.vault.events(id)
    const failed = events.filter(({ type }) => type === 'connection.reconnect_failed')
    expect(failed).toMatchObject([
      { from: 'connected', to: 'connected', cause: { code: 'by_owner' } },
      { from: 'connected', to: 'connected', cause: { code: 'identity_changed' } },
    ])
    expect((await world.vault.accessToken(id)).token.isEmpty).toBe(false)
  })

  it('fills a connection that was made without a grant', async () => {
    const made = await reauthorizing.create({ tenant: 'org', owner: 'new', tags: ['a'] })
    expect(made).toMatchObject({ state: 'reconnect_needed', identity: null, tags: ['a'] })
    await expect(world.vault.accessToken(made.id)).rejects.toMatchObject({
      code: 'reconnect_needed',
    })
    const { url } = await reauthorizing.link(made.id)
    const outcome = await reauthorizing.callback(await visit(url))
    expect(outcome).toMatchObject({
      kind: 'reconnected',
      connection: { id: made.id, state: 'connected', identity: { user: expect.any(String) } },
    })
    expect(await reconnectPage(outcome).text()).not.toMatch(/again|was waiting/)
  })
})

describe('what is not taken', () => {
  const forged = { state: 'forged', code: new Secret('c'), error: null, iss: null }

  test.each<[string, Partial<CallbackAnswer>]>([
    ['a state that was never given', {}],
    ['no state', { state: null }],
    ['a state that is too long', { state: 'x'.repeat(10_000) }],
    ['a forged denial', { code: null, error: 'access_denied' }],
  ])('%s changes nothing', async (_title, more) => {
    await lose()
    await reauthorizing.link(id)
    const before = await world.vault.get(id)
    expect(await reauthorizing.callback({ ...forged, ...more })).toEqual({ kind: 'forged' })
    expect(await world.vault.get(id)).toEqual(before)
  })

  it('a callback that comes twice: once it is taken', async () => {
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    const both = await Promise.all([reauthorizing.callback(answer), reauthorizing.callback(answer)])
    expect(both.map(({ kind }) => kind).sort()).toEqual(['reconnected', 'used'])
  })

  it('one that is late, and the connection waits for its owner again', async () => {
    await lose()
    const { url, expiresAt } = await reauthorizing.link(id)
    expect(expiresAt).toBeGreaterThan(world.parts.clock.now())
    const answer = await visit(url)
    offsetMs += LINK_MS
    expect(await reauthorizing.callback(answer)).toEqual({ kind: 'late' })
    expect(await stateOf()).toMatch(/^reconnect_needed/)
  })

  it('one that is late, of a connection that works again: a line of the history, once a link', async () => {
    await lose()
    const links = [await reauthorizing.link(id), await reauthorizing.link(id)]
    const answers = [await visit(links[0]!.url), await visit(links[1]!.url)]
    const { url } = await reauthorizing.link(id)
    expect((await reauthorizing.callback(await visit(url))).kind).toBe('reconnected')
    const [before, history] = [await world.vault.get(id), await world.vault.events(id)]
    offsetMs += LINK_MS
    for (const answer of answers) {
      expect(await reauthorizing.callback(answer)).toEqual({ kind: 'late' })
      expect(await reauthorizing.callback(answer)).toEqual({ kind: 'used' })
    }
    const late = {
      ...{ type: 'connection.reconnect_failed', from: 'connected', to: 'connected' },
      cause: { code: 'by_owner', confidence: 'certain', text: expect.stringContaining('run out') },
    }
    const events = await world.vault.events(id)
    expect(events.slice(history.length)).toEqual(answers.map(() => expect.objectContaining(late)))
    expect(await world.vault.get(id)).toEqual(before)
  })

  it('one that is late, just after another was denied and the owner was asked again', async () => {
    await lose()
    const first = await reauthorizing.link(id)
    await reauthorizing.callback(await visit(first.url, { deny: true }))
    offsetMs += 1_000
    const [state, verifier] = [new Secret('late'), new Secret('verifier')]
    await world.parts.store.addReconnect(id, state, verifier, Date.now() + offsetMs + 1_000)
    await world.vault.beginReconnect(id)
    offsetMs += 2_000
    const late = { state: 'late', code: new Secret('code'), error: null, iss: null }
    expect(await reauthorizing.callback(late)).toEqual({ kind: 'late' })
    expect(await stateOf()).toMatch(/^reconnect_needed/)
  })

  it('an owner who never comes: the link ends, once', async () => {
    await lose()
    await reauthorizing.link(id)
    expect(await reauthorizing.expire()).toBe(0)
    offsetMs += LINK_MS
    expect(await reauthorizing.expire()).toBe(1)
    expect(await reauthorizing.expire()).toBe(0)
    expect(await stateOf()).toBe('reconnect_needed by_owner')
  })

  test.each<[string, () => Promise<unknown>]>([
    ['a check of it', () => world.health.check(id)],
    ['a pass of the watch', () => world.watch.pass({ signal: new AbortController().signal })],
  ])(
    'an owner who never comes, and nobody serves: %s ends the link, once',
    async (_title, look) => {
      await lose()
      await reauthorizing.link(id)
      await look()
      expect(await stateOf()).toMatch(/^reconnecting/)
      offsetMs += LINK_MS
      await look()
      await look()
      expect(await stateOf()).toBe('reconnect_needed by_owner')
      const types = (await eventTypes()).filter((type) => /needs_reauth|failed/.test(type))
      expect(types).toEqual(['needs_reauth', 'reconnect_failed'])
    },
  )

  it('a denial: back to waiting, with the cause', async () => {
    await lose()
    const { url } = await reauthorizing.link(id)
    const outcome = await reauthorizing.callback(await visit(url, { deny: true }))
    expect(outcome.kind).toBe('denied')
    expect(await stateOf()).toBe('reconnect_needed by_owner')
    const { cause } = await world.vault.get(id)
    expect(cause).toMatchObject({ confidence: 'certain' })
  })

  it('one break is told once, however many links are denied, refused or late', async () => {
    await lose()
    const visits: ((url: string) => Promise<unknown>)[] = [
      async (url) => reauthorizing.callback(await visit(url, { deny: true })),
      async (url) => reauthorizing.callback(await visit(url, { as: 'limited' })),
      async (url) => {
        const answer = await visit(url)
        offsetMs += LINK_MS
        await reauthorizing.callback(answer)
      },
    ]
    for (const come of visits) await come((await reauthorizing.link(id)).url)
    const types = (await eventTypes()).filter((type) => /needs_reauth|failed/.test(type))
    expect(types).toEqual(['needs_reauth', ...Array(3).fill('reconnect_failed')])
    using raw = new DatabaseSync(`${world.home}/rescind.db`)
    const told = raw.prepare(
      'SELECT e.type FROM notice n JOIN connection_event e ON e.seq = n.event ORDER BY e.seq',
    )
    expect(told.all().map(({ type }) => type)).toEqual(['connection.needs_reauth'])
  })

  it('another person: refused, and his grant is ended at the provider', async () => {
    await lose()
    const { url } = await reauthorizing.link(id)
    world.org.clearLog()
    const outcome = await reauthorizing.callback(await visit(url, { as: 'limited' }))
    expect(outcome).toMatchObject({ kind: 'changed', changes: ['another_person'] })
    expect(await stateOf()).toBe('reconnect_needed identity_changed')
    expect(world.org.counters().get('revoke')).toBe(1)
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
  })

  it('another person who has a connection: the refused grant is ended alone, and that one lives', async () => {
    const other = await connectLimited(reauthorizing)
    const before = await grants()
    await refuse(reauthorizing, { as: 'limited' })
    expect(await grants()).toEqual(before)
    expect((await world.vault.renew(other)).state).toBe('connected')
  })

  describe('a grant that is refused lives until it is revoked', () => {
    const refusals: [string, Refusal][] = [
      ['fewer scopes', { scope: 'refresh_token' }],
      ['another person', { as: 'limited' }],
    ]

    test.each(refusals)('%s: none is left, and none that lives is evicted', async (_title, how) => {
      const before = await grants()
      for (let nth = 0; nth < 5; nth += 1) await refuse(reauthorizing, how)
      expect(await grants()).toEqual(before)
      expect(await world.vault.replaced(id)).toBe(0)
      expect((await world.vault.renew(id)).state).toBe('connected')
    })

    test.each(refusals)(
      '%s: what is not revoked then dies with the connection',
      async (_title, how) => {
        const before = await grants()
        await refuse(reauthorizing, { ...how, isDown: true })
        expect(await grants()).toHaveLength(before.length + 1)
        expect(await world.vault.replaced(id)).toBe(1)
        expect(await world.vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'yes' })
        expect(await grants()).toHaveLength(before.length - 1)
      },
    )

    test.each<[string, Refusal, 'yes' | 'no']>([
      ['of its own person: disconnect ends it', { scope: 'refresh_token' }, 'yes'],
      ['of another, who has a connection: it is said to live', { as: 'limited' }, 'no'],
    ])('where a revocation may reach other grants, one %s', async (_title, how, answer) => {
      await using apart = await world.again({ tenants: [together()] })
      const service = createReauthorizing(apart.parts, apart.vault)
      const other = await connectLimited(service)
      const before = await grants()
      world.org.clearLog()
      await refuse(service, how)
      expect(world.org.counters().get('revoke') ?? 0).toBe(0)
      expect(await apart.vault.replaced(id)).toBe(1)
      expect(await apart.vault.disconnect(id)).toMatchObject({
        ...{ revokedAtProvider: answer, mayLive: answer === 'no' },
      })
      expect(await grants()).toHaveLength(before.length - (answer === 'yes' ? 1 : 0))
      expect((await apart.vault.renew(other)).state).toBe('connected')
      await apart.vault.disconnect(other)
      expect((await apart.vault.disconnect(id)).revokedAtProvider).toBe('yes')
      expect(await grants()).toHaveLength(before.length - 2)
    })

    it('of another who has none: it is revoked at once there too', async () => {
      await using apart = await world.again({ tenants: [together()] })
      const before = await grants()
      await refuse(createReauthorizing(apart.parts, apart.vault), { as: 'limited' })
      expect(await grants()).toEqual(before)
    })
  })

  it('another person is taken where that is accepted by name', async () => {
    const open = createReauthorizing(world.parts, world.vault, { accept: ['another_person'] })
    const { url } = await open.link(id)
    const outcome = await open.callback(await visit(url, { as: 'limited' }))
    expect(outcome).toMatchObject({ kind: 'reconnected', changes: ['another_person'] })
  })

  it('fewer scopes', async () => {
    await lose()
    const { url } = await reauthorizing.link(id)
    const less = new URL(url)
    less.searchParams.set('scope', 'refresh_token')
    const outcome = await reauthorizing.callback(await visit(less.href))
    expect(outcome).toMatchObject({ kind: 'changed', changes: ['fewer_scopes'] })
    expect(await stateOf()).toBe('reconnect_needed scopes_lost')
  })

  it('an answer that names another issuer: the code is sent nowhere', async () => {
    await lose()
    const asked = world.tokenRequests()
    const answer = await visit((await reauthorizing.link(id)).url)
    const outcome = await reauthorizing.callback({ ...answer, iss: 'https://evil.example' })
    expect(reconnectPage(outcome).status).toBe(400)
    expect(world.tokenRequests()).toBe(asked)
    expect(await stateOf()).toBe('reconnect_needed issuer_mismatch')
  })

  it('and one whose issuer nobody can look up: neither, and nothing is said to live', async () => {
    await lose()
    const asked = world.tokenRequests()
    const answer = await visit((await reauthorizing.link(id)).url)
    world.org.setFaults([{ kind: 'unavailable_503', on: 'discovery' }])
    const outcome = await reauthorizing.callback({ ...answer, iss: 'https://evil.example' })
    expect(outcome.kind).toBe('unreachable')
    expect(world.tokenRequests()).toBe(asked)
    const row = (await world.store.connections.read(id))!
    expect(await world.store.connections.openExchange(row)).toBeNull()
  })

  it('a code that was used elsewhere', async () => {
    await lose()
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    const other = await visit(url)
    const mixed = { ...answer, code: new Secret(`${other.code?.reveal()}x`) }
    expect((await reauthorizing.callback(mixed)).kind).toBe('code_refused')
    expect(await stateOf()).toMatch(/^reconnect_needed/)
  })

  it('a code of another flow: its verifier is another (RFC 7636 section 4.6)', async () => {
    await lose()
    const [one, two] = [await reauthorizing.link(id), await reauthorizing.link(id)]
    const [first, second] = [await visit(one.url), await visit(two.url)]
    const mixed = { ...first, code: second.code }
    expect((await reauthorizing.callback(mixed)).kind).toBe('code_refused')
  })

  test.each<[string, Fault['kind'], Fault['on'], ReconnectOutcome['kind']]>([
    ['the provider is down', 'unavailable_503', 'token', 'unreachable'],
    ['the answer is lost', 'reset_after_effect', 'token', 'unreachable'],
    ['a web page answers', 'html_200', 'token', 'unreachable'],
  ])('%s', async (_title, kind, on, expected) => {
    await lose()
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    world.org.setFaults([{ kind, on }])
    expect((await reauthorizing.callback(answer)).kind).toBe(expected)
    world.org.setFaults([])
    expect(await stateOf()).toMatch(/^reconnect_needed/)
    const again = await reauthorizing.link(id)
    expect((await reauthorizing.callback(await visit(again.url))).kind).toBe('reconnected')
  })

  it('a store that fails after the new grant is written: the owner is told that it came', async () => {
    const failing = () => Promise.reject(new RescindError('store_locked', 'The store is locked.'))
    const other = await world.again({
      wrap: (store) => ({ ...store, superseded: failing, grantsOf: failing }),
    })
    const service = createReauthorizing(other.parts, other.vault)
    const answer = await visit((await reauthorizing.link(id)).url)
    expect((await service.callback(answer)).kind).toBe('reconnected')
    expect(await eventTypes()).not.toContain('reconnect_failed')
    expect(await world.vault.replaced(id)).toBe(1)
  })

  it('a connection that was disconnected meanwhile', async () => {
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    await world.vault.disconnect(id)
    const asked = world.tokenRequests()
    expect(await reauthorizing.callback(answer)).toEqual({ kind: 'gone' })
    expect(world.tokenRequests()).toBe(asked)
    expect(await stateOf()).toMatch(/^revoked/)
    await expect(reauthorizing.link(id)).rejects.toMatchObject({ code: 'connection_disabled' })
  })

  it('one that is disconnected while its code is redeemed: the new grant is ended as well', async () => {
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    world.org.setFaults([{ kind: 'slow', on: 'token', ms: 400 }])
    const outcome = reauthorizing.callback(answer)
    await isSent()
    await world.vault.disconnect(id)
    world.org.clearLog()
    expect(await outcome).toEqual({ kind: 'gone' })
    expect(world.org.counters().get('revoke')).toBe(1)
    expect(await stateOf()).toMatch(/^revoked/)
  })

  it('the same, and the provider is down then: another disconnect ends it', async () => {
    const before = await grants()
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    world.org.setFaults([{ kind: 'slow', on: 'token', ms: 400 }])
    const outcome = reauthorizing.callback(answer)
    await isSent()
    // Of its own grant it is; what the consent brings is not known yet.
    expect(await world.vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'unknown', why: expect.stringMatching(/is under way/) },
    })
    world.org.setFaults([{ kind: 'unavailable_503', on: 'revoke' }])
    expect(await outcome).toEqual({ kind: 'gone' })
    expect(await grants()).toHaveLength(before.length)
    expect(await world.vault.disconnect(id)).toMatchObject({ mayLive: true })
    world.org.setFaults([])
    expect(await world.vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'yes', mayLive: false },
    })
    expect(await grants()).toHaveLength(before.length - 1)
    expect((await world.vault.disconnect(id)).why).toBe('it was revoked before')
  })

  it('a store that fails after the code was redeemed: not shown as well', async () => {
    const wrap = (store: ConnectionWorld['parts']['store']) => ({
      ...store,
      update: () => Promise.reject(new Error('the disk is gone')),
    })
    await lose()
    const { url } = await reauthorizing.link(id)
    const answer = await visit(url)
    const broken = await world.again({ wrap })
    await expect(createReauthorizing(broken.parts, broken.vault).callback(answer)).rejects.toThrow(
      'the disk is gone',
    )
    expect(await stateOf()).toMatch(/^reconnecting/)
  })
})

describe('our own authority as the provider (RFC 6749, 7636, 9207)', () => {
  it('a person consents, comes back, and another person does not', async () => {
    using home = tempHome()
    let userId = 'ada'
    await using server = await openEndpoints({ authorize: async () => ({ userId }) })
    const secret = await server.addClient({ id: 'app', introspect: 'own' })
    const tenant = {
      ...{ name: 'own', provider: 'oauth2', url: server.authority.issuer, login: {}, options: {} },
      app: {
        ...{ clientId: 'app', clientSecret: new Secret(secret), redirectUri: CALLBACK },
        ...{ scopes: ['read'], options: {} },
      },
    }
    await using own = await openVault({ home: home.path, tenants: [tenant] })
    const service = createReauthorizing(own.parts, own.vault)
    const { id } = await service.create({ tenant: 'own', owner: 'acme' })
    const consent = async (): Promise<CallbackAnswer> => {
      const { url } = await service.link(id)
      const answer = await fetch(url, { redirect: 'manual' })
      const query = new URL(answer.headers.get('location') ?? '').searchParams
      const code = new Secret(query.get('code') ?? '')
      return { code, state: query.get('state'), error: null, iss: query.get('iss') }
    }
    expect(await service.callback(await consent())).toMatchObject({
      kind: 'reconnected',
      connection: { identity: { user: 'ada' }, scopes: ['read'] },
    })
    for (const iss of ['https://evil.example', null]) {
      const outcome = await service.callback({ ...(await consent()), iss })
      expect(outcome).toMatchObject({ kind: 'wrong_issuer', cause: { code: 'issuer_mismatch' } })
      const page = await reconnectPage(outcome).text()
      expect(page).toContain('This answer is not of the right server')
      expect(page).not.toMatch(/refuses the application|not your fault/)
      const { cause } = (await own.vault.events(id)).at(-1)!
      expect(cause?.text).toMatch(/not come from the right server/)
      expect(cause?.text).not.toMatch(/refuses our client/)
    }
    userId = 'bob'
    expect(await service.callback(await consent())).toMatchObject({
      kind: 'changed',
      changes: ['another_person'],
    })
    expect((await own.vault.get(id)).state).toBe('connected')
    userId = 'ada'
    expect((await service.callback(await consent())).kind).toBe('reconnected')
  })
})

describe('RFC 6749 sections 3.3 and 5.1: what was granted is what an answer says', () => {
  it('of an added token it is not known, and openid and offline_access are not missed', async () => {
    using home = tempHome()
    let granted: string | undefined
    const server = await startRawServer(({ path }, response) => {
      const at = (name: string) => [`${name}_endpoint`, `${server.url}/${name}`]
      const endpoints = Object.fromEntries(['authorization', 'token', 'userinfo'].map(at))
      if (path.startsWith('/.well-known/')) {
        return answer(response, 200, { issuer: server.url, ...endpoints })
      }
      if (path === '/userinfo') return answer(response, 200, { sub: 'ada' })
      const tokens = { access_token: 'at', refresh_token: 'rt', token_type: 'bearer' }
      answer(response, 200, { ...tokens, ...(granted !== undefined && { scope: granted }) })
    })
    const tenant = {
      ...{ name: 'crm', provider: 'oauth2', url: server.url, login: {}, options: {} },
      app: {
        ...{ clientId: 'app', clientSecret: null, redirectUri: CALLBACK },
        ...{ scopes: ['openid', 'api', 'offline_access'], options: { rotation: 'never' } },
      },
    }
    await using own = await openVault({ home: home.path, tenants: [tenant] })
    const service = createReauthorizing(own.parts, own.vault)
    const { id } = await own.vault.create({
      ...{ tenant: 'crm', owner: 'acme', accessToken: null, refreshToken: new Secret('added') },
    })
    const { connection } = await own.health.check(id)
    expect(connection).toMatchObject({ state: 'connected', scopes: [] })
    const consent = async (scope: string | undefined) => {
      granted = scope
      const { state } = await service.link(id)
      return service.callback({
        ...{ state: state.reveal(), code: new Secret('c'), error: null, iss: null },
      })
    }
    const taken = { kind: 'reconnected', changes: [] }
    const all = ['openid', 'api', 'offline_access']
    expect(await consent('openid api')).toMatchObject({
      ...taken,
      connection: { scopes: ['openid', 'api'] },
    })
    expect(await consent(undefined)).toMatchObject({ ...taken, connection: { scopes: all } })
    expect(await consent('api')).toMatchObject({ ...taken, connection: { scopes: ['api'] } })
    expect(await consent('openid')).toMatchObject({ kind: 'changed', changes: ['fewer_scopes'] })
    await server.close()
  })
})

describe('a clock that is an hour off', () => {
  const HOUR = 3_600_000
  test.each([
    ['ours, ahead', HOUR, 0],
    ['ours, behind', -HOUR, 0],
    ['the provider’s, ahead', 0, HOUR],
    ['the provider’s, behind', 0, -HOUR],
  ])(
    '%s: consent, rotation, death and reconnect go as they should',
    async (_title, ours, theirs) => {
      using home = tempHome()
      await using server = await openEndpoints({ authorize: async () => ({ userId: 'ada' }) })
      server.clock.advance(theirs / 1000)
      const secret = await server.addClient({ id: 'app', introspect: 'own' })
      const tenant = {
        ...{
          name: 'own',
          provider: 'oauth2',
          url: server.authority.issuer,
          login: {},
          options: {},
        },
        app: {
          ...{ clientId: 'app', clientSecret: new Secret(secret), redirectUri: CALLBACK },
          ...{ scopes: ['read'], options: {} },
        },
      }
      const clock: Clock = { ...systemClock, now: () => systemClock.now() + ours }
      await using own = await openVault({ home: home.path, tenants: [tenant], clock })
      const service = createReauthorizing(own.parts, own.vault)
      const { id } = await service.create({ tenant: 'own', owner: 'acme' })
      const reconnect = async () => {
        const answer = await fetch((await service.link(id)).url, { redirect: 'manual' })
        const query = new URL(answer.headers.get('location') ?? '').searchParams
        const code = new Secret(query.get('code') ?? '')
        const back = { code, state: query.get('state'), error: null, iss: query.get('iss') }
        return (await service.callback(back)).kind
      }
      const stateNow = async () => (await own.health.check(id)).connection.state
      expect([await reconnect(), await stateNow()]).toEqual(['reconnected', 'connected'])
      const { version, token } = await own.vault.accessToken(id)
      // It is as good as it is there, and not renewed before its time.
      expect((await own.vault.accessToken(id)).version).toBe(version)
      expect(await server.isActive(token.reveal())).toEqual([true])
      const renewed = await own.vault.accessToken(id, { refused: version })
      expect(renewed.version).toBe(version + 1)
      await server.authority.revoke({ user: 'ada' })
      expect([await stateNow(), await reconnect(), await stateNow()]).toEqual([
        ...['reconnect_needed', 'reconnected', 'connected'],
      ])
    },
  )
})

describe('the page for the owner', () => {
  const cause = { code: 'network', confidence: 'likely', text: 'secret-cause-text' } as const
  const outcomes: readonly ReconnectOutcome[] = [
    { kind: 'forged' },
    { kind: 'used' },
    { kind: 'late' },
    { kind: 'gone' },
    { kind: 'denied', cause },
    { kind: 'provider_error', cause },
    { kind: 'code_refused', cause },
    { kind: 'unreachable', cause },
    { kind: 'our_fault', cause },
    { kind: 'wrong_issuer', cause },
    { kind: 'unconfirmed', cause },
    { kind: 'not_stored', cause },
    { kind: 'changed', changes: ['another_person', 'fewer_scopes'], cause },
  ]
  test.each(outcomes.map((outcome) => [outcome.kind, outcome] as const))(
    '%s: one clear page, that nothing can be loaded by, framed or told on',
    async (_kind, outcome) => {
      const page = reconnectPage(outcome)
      const text = await page.text()
      expect(text).toMatch(/<h1>[^<]{10,60}<\/h1><p>/)
      expect(text).not.toMatch(/<script|http:|https:|secret-cause-text/)
      expect(page.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-/,
      )
      expect(page.headers.get('referrer-policy')).toBe('no-referrer')
      expect(page.headers.get('cache-control')).toBe('no-store')
    },
  )
  test('every page has a title of its own', async () => {
    const titles = await Promise.all(
      outcomes.map(
        async (outcome) => /<title>([^<]+)/.exec(await reconnectPage(outcome).text())?.[1],
      ),
    )
    expect(new Set(titles).size).toBe(outcomes.length)
  })
})
