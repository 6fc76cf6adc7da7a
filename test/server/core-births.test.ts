import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { isRescindError } from '../../src/core/errors.ts'
import { type Authority, createAuthority } from '../../src/server/authority.ts'
import { IN_FLIGHT_MAX_MS } from '../../src/server/beginning.ts'
import type { Authorize } from '../../src/server/endpoints/authorize.ts'
import { fingerprintOf } from '../../src/server/fingerprint.ts'
import type { TokenAnswer } from '../../src/server/grant.ts'
import type { RevokeReach } from '../../src/server/revoke.ts'
import type { AuthorityStore, TokenRow } from '../../src/store/authority/contract.ts'
import { CALLBACK, CHALLENGE, type HandClock, handClock, ISSUER, KEY } from './core-world.ts'
import { basicHeader, FORM } from './endpoints-world.ts'
import { STORES } from './stores.ts'

/** Races of one kind: what is decided by luck shows in some of them. */
const ROUNDS = 40
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const ISSUE = { clientId: 'app', userId: 'ada', sessionId: 's1', scope: 'read' }
const MINUTE_S = 60
/** Longer than a change takes. */
const SLOW_MS = 50

interface Births extends AsyncDisposable {
  readonly authority: Authority
  readonly clock: HandClock
  readonly secret: string
  /** Reads of the epoch so far. */
  readonly epochReads: () => number
  /** All tokens that were ever written with a new grant. */
  readonly written: TokenRow[]
  /** What happens before the next token is added to a grant, once. */
  readonly duringAdd: Hook
  /** What happens before the next grant is written, once. */
  readonly duringStart: Hook
  /** Whether the store tells its epoch. */
  readonly told: { isSilent: boolean }
}

interface Hook {
  act?: (() => Promise<void>) | undefined
}

async function once(hook: Hook): Promise<void> {
  const { act } = hook
  hook.act = undefined
  await act?.()
}

async function open(
  openStore: (typeof STORES)[number]['open'],
  authorize?: Authorize,
): Promise<Births> {
  const clock = handClock()
  const sound = await openStore(clock)
  const written: TokenRow[] = []
  const [duringAdd, duringStart]: [Hook, Hook] = [{}, {}]
  const told = { isSilent: false }
  let epochReads = 0
  const store: AuthorityStore = {
    ...sound,
    readEpoch: () => {
      epochReads += 1
      return told.isSilent ? new Promise(() => {}) : sound.readEpoch()
    },
    commit: async (change) => {
      if (change.type === 'start_grant') {
        written.push(...change.tokens)
        await once(duringStart)
      }
      if (change.type === 'add_tokens') await once(duringAdd)
      return sound.commit(change)
    },
  }
  const authority = await createAuthority({
    ...{ issuer: ISSUER, key: KEY, clock, store, authorize, onTrouble: () => {} },
  })
  const { secret } = await authority.clients.add({
    ...{ id: 'app', scope: 'read write', redirectUris: [CALLBACK] },
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
  })
  written.length = 0
  return {
    ...{ authority, clock, secret: secret?.reveal() ?? '' },
    ...{ epochReads: () => epochReads, written, duringAdd, duringStart, told },
    [Symbol.asyncDispose]: () => authority.close(),
  }
}

/** Asks for a code; returns what the client is told. */
async function authorizeAt({ authority }: Births): Promise<Record<string, string>> {
  const query = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'app', redirect_uri: CALLBACK },
    ...{ code_challenge: CHALLENGE, code_challenge_method: 'S256' },
  })
  const answer = await authority.fetch(new Request(`${ISSUER}/authorize?${query}`))
  return Object.fromEntries(new URL(answer.headers.get('location') ?? '').searchParams)
}

function post(
  { authority, secret }: Pick<Births, 'authority' | 'secret'>,
  path: string,
  form: Record<string, string>,
) {
  const headers = { 'content-type': FORM, ...basicHeader({ id: 'app', secret }) }
  const body = new URLSearchParams(form).toString()
  return authority.fetch(new Request(`${ISSUER}${path}`, { method: 'POST', headers, body }))
}

function redeemAt(births: Births, code: string) {
  const form = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK }
  return post(births, '/token', { ...form, code_verifier: VERIFIER })
}

const codeOf = (error: unknown) => (isRescindError(error) ? error.code : String(error))

/** Issued before the revocation took effect, or not at all; either way nothing lives. */
async function expectDead(authority: Authority, told: TokenAnswer | string): Promise<void> {
  if (typeof told === 'string') return expect(told).toBe('request_stale')
  expect((await authority.introspect(told.access_token)).active).toBe(false)
}

const REACHES: readonly RevokeReach[] = [
  { user: 'ada' },
  { user: 'ada', client: 'app' },
  { client: 'app' },
  { session: 's1' },
]

describe.each(STORES.filter(({ missing }) => !missing))(
  'what is under way when it is revoked is dead, on $name',
  ({ open: openStore }) => {
    test.each(REACHES)(`issue, by %j, ${ROUNDS} times`, async (reach) => {
      await using births = await open(openStore)
      const { authority } = births
      for (let round = 0; round < ROUNDS; round += 1) {
        const issued = authority.issue(ISSUE).catch(codeOf)
        await authority.revoke(reach)
        await expectDead(authority, await issued)
      }
      expect(births.written.length).toBe(2 * ROUNDS)
      expect(await authority.count({ client: 'app' })).toEqual({ grants: 0, tokens: 0 })
      // What begins afterwards lives.
      const { access_token } = await authority.issue(ISSUE)
      expect((await authority.introspect(access_token)).active).toBe(true)
    })

    test('issue, while others revoke and issue at the same time', async () => {
      await using births = await open(openStore)
      const { authority } = births
      for (let round = 0; round < ROUNDS; round += 1) {
        const others = ['bob', 'eve'].map((user) => authority.revoke({ user }))
        const issued = authority.issue(ISSUE).catch(codeOf)
        await authority.revoke({ user: 'ada' })
        await expectDead(authority, await issued)
        await Promise.all(others)
      }
      expect(await authority.count({ user: 'ada' })).toEqual({ grants: 0, tokens: 0 })
    })

    test('issue, by what was issued before a moment', async () => {
      await using births = await open(openStore)
      const { authority, clock } = births
      const issued = authority.issue(ISSUE).catch(codeOf)
      clock.advance(1)
      await authority.revoke({ issuedBefore: new Date(clock.now()) })
      await expectDead(authority, await issued)
      expect(await authority.count({ user: 'ada' })).toEqual({ grants: 0, tokens: 0 })
    })

    test('a code whose login or consent was under way', async () => {
      let onLogin = async () => {}
      await using births = await open(openStore, async () => {
        await onLogin()
        return { userId: 'ada', sessionId: 's1' }
      })
      const { authority } = births
      for (const reach of REACHES) {
        onLogin = () => authority.revoke(reach)
        expect(await authorizeAt(births)).toMatchObject({
          error: 'access_denied',
          error_description: 'The user was logged out meanwhile. Log in again.',
        })
      }
      expect(births.written.length).toBe(REACHES.length)
      expect(await authority.count({ client: 'app' })).toEqual({ grants: 0, tokens: 0 })
      onLogin = async () => {}
      const { code = '' } = await authorizeAt(births)
      expect((await redeemAt(births, code)).status).toBe(200)
    })

    test(`a code that was revoked before it was redeemed, ${ROUNDS} times`, async () => {
      await using births = await open(openStore, async () => ({ userId: 'ada', sessionId: 's1' }))
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = births.epochReads()
        const asked = authorizeAt(births)
        // The request comes to its first look-up.
        while (births.epochReads() === before) await new Promise(setImmediate)
        await births.authority.revoke({ session: 's1' })
        const told = await asked
        const { code } = told
        if (code === undefined) expect(told).toMatchObject({ error: 'access_denied' })
        else {
          const answer = await redeemAt(births, code)
          expect(answer.status).toBe(400)
          expect(await answer.json()).toMatchObject({ error: 'invalid_grant' })
        }
      }
      expect(await births.authority.count({ user: 'ada' })).toEqual({ grants: 0, tokens: 0 })
    })

    test("a client's own grant, and the client asks again", async () => {
      await using births = await open(openStore)
      const { authority } = births
      const ask = () => post(births, '/token', { grant_type: 'client_credentials' })
      const before = births.epochReads()
      const asked = ask()
      while (births.epochReads() === before) await new Promise(setImmediate)
      await authority.revoke({ client: 'app' })
      const answer = await asked
      if (answer.status !== 200) {
        expect(answer.status).toBe(503)
        expect(await answer.json()).toMatchObject({ error: 'temporarily_unavailable' })
        expect(answer.headers.get('retry-after')).not.toBeNull()
      }
      expect(await authority.count({ client: 'app' })).toEqual({ grants: 0, tokens: 0 })
      const again = (await (await ask()).json()) as TokenAnswer
      expect((await authority.introspect(again.access_token)).active).toBe(true)
    })

    test('a request by a secret that was changed before all of its client was revoked', async () => {
      await using births = await open(openStore)
      const { authority, duringAdd } = births
      const ask = () => post(births, '/token', { grant_type: 'client_credentials' })
      expect((await ask()).status).toBe(200)
      const form = { grant_type: 'client_credentials' }
      duringAdd.act = async () => {
        const secret = (await authority.clients.rotateSecret('app')).reveal()
        await authority.revoke({ client: 'app' })
        // Who has the new secret gets a grant, and who came by the old one gets nothing of it.
        expect((await post({ authority, secret }, '/token', form)).status).toBe(200)
      }
      expect((await ask()).status).toBe(503)
      expect(await authority.count({ client: 'app' })).toEqual({ grants: 1, tokens: 1 })
      expect((await ask()).status).toBe(401)
    })

    test('what a client asks for after the revocation does not fail with what it asked for before', async () => {
      await using births = await open(openStore)
      const { authority, duringStart } = births
      const ask = () => post(births, '/token', { grant_type: 'client_credentials' })
      let later: ReturnType<typeof ask> | undefined
      duringStart.act = async () => {
        await authority.revoke({ client: 'app' })
        later = ask()
        // It finds the grant that is being started, and waits for it.
        await sleep(SLOW_MS)
      }
      expect((await ask()).status).toBe(503)
      expect((await later)?.status).toBe(200)
      expect(await authority.count({ client: 'app' })).toEqual({ grants: 1, tokens: 1 })
    })

    test('a store that does not tell its epoch holds up no revocation for long', async () => {
      await using births = await open(openStore)
      const { authority, told } = births
      told.isSilent = true
      const issued = authority.issue(ISSUE).catch(codeOf)
      told.isSilent = false
      await authority.revoke({ user: 'bob' })
      expect(await issued).toBe('store_down')
      expect(births.written).toEqual([])
    })

    test('explain names the revocation that came first', async () => {
      await using births = await open(openStore)
      const { authority, clock, written } = births
      const issued = authority.issue(ISSUE).catch(codeOf)
      for (const request of ['first', 'second']) {
        await authority.revoke({ user: 'ada' }, { actor: 'admin', request })
        clock.advance(1)
      }
      await issued
      const fingerprint = fingerprintOf(written[0] as TokenRow)
      expect(await authority.explain(fingerprint)).toMatchObject({
        ...{ state: 'dead', death: 'marked', request: 'first' },
        cascade: expect.stringMatching(/died with all of the user ada/),
      })
    })

    test('what is asked most often does not ask for the epoch', async () => {
      await using births = await open(openStore)
      const { authority } = births
      const form = { grant_type: 'client_credentials' }
      await post(births, '/token', form)
      const { access_token, refresh_token = '' } = await authority.issue(ISSUE)
      const before = births.epochReads()
      expect((await post(births, '/token', form)).status).toBe(200)
      expect((await post(births, '/introspect', { token: access_token })).status).toBe(200)
      expect((await post(births, '/revoke', { token: access_token })).status).toBe(200)
      const refresh = { grant_type: 'refresh_token', refresh_token }
      expect((await post(births, '/token', refresh)).status).toBe(200)
      expect(births.epochReads()).toBe(before)
    })
  },
)

test.each<[string, (authority: Authority) => Promise<unknown>]>([
  ['a revocation', (authority) => authority.revoke({ user: 'ada' })],
  ['a client that is disabled', (authority) => authority.clients.disable('app')],
])('%s comes after what was begun before it, however slowly the epoch is read', async (_, end) => {
  const openStore = STORES[0]?.open ?? expect.fail('no store')
  await using births = await open(async (clock) => {
    const store = await openStore(clock)
    const readEpoch = () => sleep(SLOW_MS).then(store.readEpoch)
    return { ...store, readEpoch }
  })
  const issued = births.authority.issue(ISSUE).catch(codeOf)
  await end(births.authority)
  expect(typeof (await issued)).toBe('string')
  expect(await births.authority.count({ user: 'ada' })).toEqual({ grants: 0, tokens: 0 })
})

test.each([
  [0, 'code'],
  [1, 'error'],
])('a login that takes %d s more than a mark waits for it: %s', async (more, told) => {
  const openStore = STORES[0]?.open ?? expect.fail('no store')
  let clock: HandClock | undefined
  await using births = await open(openStore, async () => {
    clock?.advance(IN_FLIGHT_MAX_MS / 1000 + more)
    return { userId: 'ada' }
  })
  clock = births.clock
  const answer = await authorizeAt(births)
  expect(answer).toHaveProperty(told)
  expect(births.written.length).toBe(more === 0 ? 1 : 0)
  expect(answer.error ?? 'access_denied').toBe('access_denied')
})

test('a mark outlasts a request that is under way as long as one may be', async () => {
  const openStore = STORES[0]?.open ?? expect.fail('no store')
  let births: Births | undefined
  await using opened = await open(openStore, async () => {
    const { authority, clock } = births as Births
    await authority.revoke({ user: 'ada' })
    clock.advance(IN_FLIGHT_MAX_MS / 1000)
    // Writes, so that the store forgets what it may.
    for (let round = 0; round < 20; round += 1) await authority.revoke({ user: 'bob' })
    return { userId: 'ada' }
  })
  births = opened
  expect(await authorizeAt(opened)).toMatchObject({ error: 'access_denied' })
  opened.clock.advance(MINUTE_S)
  expect(await opened.authority.count({ user: 'ada' })).toEqual({ grants: 0, tokens: 0 })
})
