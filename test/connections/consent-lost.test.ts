import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Fault } from '../../emulators/index.ts'
import {
  createReauthorizing,
  LINK_MS,
  type Reauthorizing,
} from '../../src/connections/reauthorize.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { openGrantWorld } from './grant-world.ts'
import { startChild } from './race.ts'
import type { ChildOptions } from './race-child.ts'
import { type ConnectionWorld, openConnectionWorld, tokenDisk } from './world.ts'

/** A callback that is at work has ended by then. */
const CALLBACK_MS = 120_000
const DAY_MS = 86_400_000
const YES = { revokedAtProvider: 'yes', mayLive: false }
const LOST = {
  ...{ revokedAtProvider: 'unknown', mayLive: true, leftAlone: false },
  why: expect.stringMatching(/^a consent of its owner was cut off, .* ended at the provider alone/),
}
const UNDER_WAY = {
  ...LOST,
  why: expect.stringMatching(/^a consent of its owner is under way, or/),
}
const CUT_OFF = {
  ...{ code: 'store_failed', confidence: 'possible' },
  text: expect.stringMatching(/^The owner came back, .* was cut off\. A new grant may live/),
}

let world: ConnectionWorld
let service: Reauthorizing
let disk: ReturnType<typeof tokenDisk>
let offsetMs: number
let seeded: number
let id: string

beforeEach(async () => {
  offsetMs = 0
  disk = tokenDisk()
  const clock: Clock = { ...systemClock, now: () => Date.now() + offsetMs }
  world = await openConnectionWorld({ clock, wrap: disk.wrap })
  service = createReauthorizing(world.parts, world.vault)
  seeded = 0
  seeded = await grants()
  id = (await world.connect()).id
  await world.health.check(id)
})
afterEach(() => world[Symbol.asyncDispose]())

/** How many grants of our app live that were made since. */
async function grants(): Promise<number> {
  let count = 0
  for await (const { appId, alive } of world.org.truth.grants()) {
    if (appId === world.org.credentials.tool.clientId && alive) count += 1
  }
  return count - seeded
}

/** Its grant is dead, and that was noticed. */
async function lose(): Promise<void> {
  const { refresh } = await world.vault.tokens(id)
  const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
  await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
  await world.health.check(id)
}

/** Its owner consents at a link; what comes to the callback. */
async function consent(as: 'admin' | 'limited' = 'admin') {
  const { url } = await service.link(id)
  const { username, password } = world.org.credentials[as]
  const person = { username, password, decision: 'Allow' } as const
  const query = await walkLogin(url, world.tenant.app!.redirectUri, person)
  return { state: query.get('state') ?? '', code: query.get('code') ?? '' }
}

async function comeBack(as: 'admin' | 'limited' = 'admin') {
  const { state, code } = await consent(as)
  return service.callback({ state, code: new Secret(code), error: null, iss: null })
}

/** Its owner comes back to a process that is killed. */
async function comeBackTo(dies: NonNullable<ChildOptions['dies']>): Promise<void> {
  const come = await consent()
  world.org.setFaults([{ kind: 'slow', ms: 400, on: 'token', nth: 1 }])
  const child = await startChild(world, { dies })
  const ended = once(child, 'exit')
  child.send(come)
  expect((await ended)[1]).toBe('SIGKILL')
  world.org.setFaults([])
}

const failures = async () =>
  (await world.vault.events(id)).filter(({ type }) => type === 'connection.reconnect_failed')
const disconnects = async (told: object) => {
  for (const _ of ['once', 'again']) expect(await world.vault.disconnect(id)).toMatchObject(told)
}

describe('kill -9 of who redeems a code: what may live at the provider is remembered', () => {
  const KILLS = ['after send', 'after answer'] as const

  test.each(KILLS)('%s, of one that waited for its owner: that is its cause', async (dies) => {
    await lose()
    expect(await grants()).toBe(0)
    await comeBackTo(dies)
    expect(await grants()).toBe(1)
    expect(await service.expire()).toBe(0)
    expect((await world.vault.get(id)).state).toBe('reconnecting')
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(1)
    expect(await service.expire()).toBe(0)
    expect(await world.vault.get(id)).toMatchObject({ state: 'reconnect_needed', cause: CUT_OFF })
    expect(await failures()).toMatchObject([{ from: 'reconnecting', cause: CUT_OFF }])
    await disconnects(LOST)
    expect(await grants()).toBe(1)
  })

  test.each(KILLS)('%s, of one that works: a line of its history, once', async (dies) => {
    const before = await world.vault.get(id)
    await comeBackTo(dies)
    offsetMs += CALLBACK_MS
    await Promise.all([world.health.check(id), service.expire(), service.expire()])
    await world.health.check(id)
    expect(await failures()).toMatchObject([{ from: 'connected', to: 'connected', cause: CUT_OFF }])
    expect(await world.vault.get(id)).toMatchObject({ state: 'connected', cause: before.cause })
    await disconnects(LOST)
    // Its own grant is dead, and it alone.
    expect(await grants()).toBe(1)
    expect(await world.store.connections.read(id)).toMatchObject({ revoked_at_provider: 'yes' })
    expect(await world.vault.tokens(id)).toEqual({ access: null, refresh: null })
  })

  test('before anybody looked: its disconnect does not say yes, and the watch says the last word', async () => {
    await comeBackTo('after send')
    expect(await world.vault.disconnect(id)).toMatchObject(UNDER_WAY)
    offsetMs += CALLBACK_MS
    await world.watch.pass({ signal: new AbortController().signal })
    const { cause } = await world.vault.get(id)
    expect(cause?.text).toMatch(/provider: unknown \(a consent of its owner was cut off/)
    expect(await world.store.connections.read(id)).toMatchObject({ due_at: null })
    await disconnects(LOST)
  })

  test.each([
    ['before send', 'reconnecting'],
    ['after commit', 'connected'],
  ] as const)('%s: no more is said than may be', async (dies, state) => {
    await lose()
    await comeBackTo(dies)
    expect((await world.vault.get(id)).state).toBe(state)
    offsetMs += CALLBACK_MS
    await service.expire()
    await disconnects(dies === 'after commit' ? YES : LOST)
    expect(await grants()).toBe(0)
  })

  test('of an invitation, which holds no token: unknown too', async () => {
    ;({ id } = await service.create({ tenant: 'org', owner: 'new' }))
    await comeBackTo('after answer')
    offsetMs += CALLBACK_MS
    await service.expire()
    await disconnects(LOST)
  })

  test('it is remembered for longer than links are', async () => {
    await comeBackTo('after answer')
    offsetMs += LINK_MS + 2 * DAY_MS
    await service.link(id)
    expect(await service.expire()).toBe(1)
    await service.link(id)
    await disconnects(LOST)
  })

  test('another link is still good: it brings the connection back, and the lost one is not forgotten', async () => {
    await lose()
    const good = await consent()
    await comeBackTo('after answer')
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(1)
    expect(await world.vault.get(id)).toMatchObject({ state: 'reconnect_needed', cause: CUT_OFF })
    const answer = { ...good, code: new Secret(good.code), error: null, iss: null }
    expect((await service.callback(answer)).kind).toBe('reconnected')
    expect(await world.vault.get(id)).toMatchObject({ state: 'connected', cause: null })
    await disconnects(LOST)
    expect(await grants()).toBe(1)
  })

  test('reconnected since: it stays as it is, with a line in its history', async () => {
    await lose()
    await comeBackTo('after answer')
    expect((await comeBack()).kind).toBe('reconnected')
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(1)
    expect(await world.vault.get(id)).toMatchObject({ state: 'connected', cause: null })
    expect(await failures()).toMatchObject([{ to: 'connected', cause: CUT_OFF }])
  })

  test('disconnected since: its history says nothing more', async () => {
    await comeBackTo('after answer')
    await world.vault.disconnect(id)
    offsetMs += CALLBACK_MS
    await service.expire()
    expect(await failures()).toEqual([])
    await disconnects(LOST)
  })
})

describe('an answer that is lost', () => {
  test.each<[string, Fault['kind'], number]>([
    ['the connection is reset', 'reset_after_effect', 1],
    ['a server error after the effect', 'error_500_after_effect', 1],
    ['a body that is cut', 'truncated_body', 1],
    ['nothing comes, until the connection is cut', 'hang', 1],
    ['a web page', 'html_200', 0],
  ])('%s: the owner may try again, and no disconnect says yes', async (_title, kind, lives) => {
    world.org.setFaults([{ kind, on: 'token', ms: 300 }])
    const outcome = await comeBack()
    world.org.setFaults([])
    const told = { text: expect.stringMatching(/ A new grant may live at the provider until/) }
    expect(outcome).toMatchObject({ kind: 'unreachable', cause: told })
    expect(await failures()).toMatchObject([{ cause: told }])
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(0)
    await disconnects(LOST)
    expect(await grants()).toBe(lives)
  })

  test('the new tokens could not be stored: by an error of nobody', async () => {
    disk.isFull = true
    await expect(comeBack()).rejects.toThrow('disk full')
    disk.isFull = false
    expect(await failures()).toMatchObject([{ cause: CUT_OFF }])
    await disconnects(LOST)
    expect(await grants()).toBe(1)
  })

  test('the new tokens could not be stored: the owner is told', async () => {
    const full = () => Promise.reject(new RescindError('store_full', 'The disk is full.'))
    const service = createReauthorizing(world.parts, { ...world.vault, adopt: full })
    const { state, code } = await consent()
    const answer = { state, code: new Secret(code), error: null, iss: null }
    expect((await service.callback(answer)).kind).toBe('not_stored')
    expect(await failures()).toMatchObject([{ cause: { code: 'store_failed' } }])
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(0)
    await disconnects(LOST)
    expect(await grants()).toBe(1)
  })

  test('where the store takes nothing at all, it is found later', async () => {
    const broken = await world.again({
      wrap: (store) => ({ ...store, update: () => Promise.reject(new Error('the disk is gone')) }),
    })
    const { state, code } = await consent()
    const answer = { state, code: new Secret(code), error: null, iss: null }
    const coming = createReauthorizing(broken.parts, broken.vault).callback(answer)
    await expect(coming).rejects.toThrow('the disk is gone')
    expect(await failures()).toEqual([])
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(1)
    expect(await failures()).toMatchObject([{ cause: CUT_OFF }])
    await disconnects(LOST)
  })

  test('a callback that takes too long is told as cut off, and settled when it ends', async () => {
    const { state, code } = await consent()
    world.org.setFaults([{ kind: 'slow', ms: 600, on: 'token' }])
    const answer = { state, code: new Secret(code), error: null, iss: null }
    const coming = service.callback(answer)
    const { connections } = world.store
    const row = await connections.read(id)
    await expect.poll(() => connections.openExchange(row!)).toBe('sent')
    offsetMs += CALLBACK_MS
    expect(await service.expire()).toBe(1)
    expect((await coming).kind).toBe('reconnected')
    await disconnects(YES)
    expect(await grants()).toBe(0)
  })
})

describe('what is known to have ended is not held against a disconnect', () => {
  const settled = async (kind: string, lives: number) => {
    offsetMs += CALLBACK_MS
    await service.expire()
    expect((await failures()).map(({ cause }) => cause?.text ?? '').join()).not.toMatch(/may live/)
    expect(await world.vault.disconnect(id), kind).toMatchObject(YES)
    expect(await grants()).toBe(lives)
  }

  test('a new grant that was taken', async () => {
    expect((await comeBack()).kind).toBe('reconnected')
    await settled('reconnected', 0)
  })

  test('a grant that was refused, and is kept until it is dead', async () => {
    world.org.setFaults([{ kind: 'unavailable_503', on: 'revoke' }])
    expect((await comeBack('limited')).kind).toBe('changed')
    world.org.setFaults([])
    expect(await world.vault.replaced(id)).toBe(1)
    await settled('changed', 0)
  })

  test('a code that the provider did not take', async () => {
    const { state, code } = await consent()
    const answer = { state, code: new Secret(`${code}x`), error: null, iss: null }
    expect((await service.callback(answer)).kind).toBe('code_refused')
    await settled('code_refused', 0)
  })

  test.each<[string, Fault['kind'], string]>([
    ['that limits our calls', 'too_many_429', 'unreachable'],
    ['that refuses our client', 'invalid_client_401', 'our_fault'],
  ])('a provider %s', async (_title, kind, expected) => {
    world.org.setFaults([{ kind, on: 'token' }])
    expect((await comeBack()).kind).toBe(expected)
    world.org.setFaults([])
    await settled(expected, 0)
  })

  test('a link that nobody used ran out: that is what is said', async () => {
    await lose()
    await service.link(id)
    offsetMs += LINK_MS
    expect(await service.expire()).toBe(1)
    expect(await world.vault.get(id)).toMatchObject({
      state: 'reconnect_needed',
      cause: { code: 'by_owner', text: 'The link ran out before the owner consented.' },
    })
    await disconnects(YES)
  })
})

test('a code is not sent once a disconnect has begun', async () => {
  const { state, code } = await consent()
  const asked = world.tokenRequests()
  const other = await world.again({
    wrap: (store) => ({
      ...store,
      async beginExchange(of) {
        expect(await world.vault.disconnect(id)).toMatchObject(YES)
        return store.beginExchange(of)
      },
    }),
  })
  const answer = { state, code: new Secret(code), error: null, iss: null }
  const outcome = await createReauthorizing(other.parts, other.vault).callback(answer)
  expect(outcome).toEqual({ kind: 'gone' })
  expect(world.tokenRequests()).toBe(asked)
  expect(await world.vault.disconnect(id)).toMatchObject(YES)
})

test('a grant that another connection lives on, or that is left alone: the lost one is told beside', async () => {
  const { vault, connect, callback, faults, id: own } = await openGrantWorld({ together: true })
  await connect('ada')
  faults.set('/token', [{ isReset: true }])
  expect((await callback()).kind).toBe('unreachable')
  expect(await vault.disconnect(own)).toMatchObject({
    ...{ revokedAtProvider: 'no', mayLive: true, leftAlone: false },
    why: expect.stringMatching(/left alone; a consent of its owner was cut off/),
  })
})
