import { describe, expect, it } from 'vitest'
import { challengeOf } from '../../src/server/endpoints/token.ts'
import { CALLBACK } from './core-world.ts'
import { type EndpointWorld, openEndpoints } from './endpoints-world.ts'

const API = 'https://api.example/v1'
const VERIFIER = 'v'.repeat(43)

/** What is no absolute URI, or has a fragment (RFC 8707 section 2). */
const WRONG = ['not a uri#x', 'api', '/v1', 'https://api.example/#x', 'https://api.example/ a', '#']

interface Opened extends AsyncDisposable {
  readonly world: EndpointWorld
  /** Asks the token endpoint; returns what it answers, and what the access token then is. */
  ask(form: Record<string, string>): Promise<Record<string, string>>
  code(resource?: string): Promise<string>
}

async function open(): Promise<Opened> {
  const world = await openEndpoints({ authorize: async () => ({ userId: 'ada' }) })
  const secret = await world.addClient({ id: 'app', accessTokenFormat: 'jwt' })
  const ask = async (form: Record<string, string>) => {
    const answer = await world.post('/token', form, { id: 'app', secret })
    return (await answer.json()) as Record<string, string>
  }
  const code = async (resource?: string) => {
    const query = new URLSearchParams({
      ...{ response_type: 'code', client_id: 'app', redirect_uri: CALLBACK },
      ...{ code_challenge: challengeOf(VERIFIER), code_challenge_method: 'S256' },
      ...(resource === undefined ? {} : { resource }),
    })
    const { headers } = await world.call(`/authorize?${query}`)
    return new URL(headers.get('location') ?? '').searchParams.get('code') ?? ''
  }
  return { world, ask, code, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

const redeeming = (code: string, resource?: string) => ({
  ...{ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: VERIFIER },
  ...(resource === undefined ? {} : { resource }),
})
const refreshing = (refresh_token = '', resource?: string) => ({
  ...{ grant_type: 'refresh_token', refresh_token },
  ...(resource === undefined ? {} : { resource }),
})

describe('RFC 8707 section 2: a resource is an absolute URI without a fragment', () => {
  it.each(WRONG)('client_credentials for "%s" is invalid_target', async (resource) => {
    await using opened = await open()
    const answer = await opened.ask({ grant_type: 'client_credentials', resource })
    expect(answer).toEqual({ error: 'invalid_target', error_description: expect.any(String) })
  })
  it('client_credentials for one that is right gives a token for it', async () => {
    await using opened = await open()
    const { access_token = '' } = await opened.ask({
      ...{ grant_type: 'client_credentials', resource: API },
    })
    const claims = JSON.parse(Buffer.from(access_token.split('.')[1] ?? '', 'base64').toString())
    expect(claims.aud).toBe(API)
  })
})

describe('RFC 8707 section 2.2: at /token, a resource is within what was granted', () => {
  it.each<[string, string | undefined, string]>([
    ['another one', API, 'https://other.example'],
    ['a part of it', API, `${API}/users`],
    ['what is none', API, 'not a uri#x'],
    ['one, where none was granted', undefined, API],
  ])(
    '%s is invalid_target, and spends neither code nor refresh token',
    async (_, granted, asked) => {
      await using opened = await open()
      const code = await opened.code(granted)
      expect(await opened.ask(redeeming(code, asked))).toMatchObject({ error: 'invalid_target' })
      const first = await opened.ask(redeeming(code))
      expect(first).toHaveProperty('access_token')
      const refused = await opened.ask(refreshing(first.refresh_token, asked))
      expect(refused).toMatchObject({ error: 'invalid_target' })
      expect(await opened.ask(refreshing(first.refresh_token))).toHaveProperty('access_token')
    },
  )
  it('the one that was granted is taken, at every step', async () => {
    await using opened = await open()
    const first = await opened.ask(redeeming(await opened.code(API), API))
    const second = await opened.ask(refreshing(first.refresh_token, API))
    for (const { access_token = '' } of [first, second]) {
      const known = await opened.world.authority.introspect(access_token)
      expect(known).toMatchObject({ active: true, aud: API })
    }
  })
  it('a thief who asks for another resource is noticed as a thief: the family dies', async () => {
    await using opened = await open()
    const first = await opened.ask(redeeming(await opened.code(API)))
    const second = await opened.ask(refreshing(first.refresh_token))
    opened.world.clock.advance(11)
    const reused = await opened.ask(refreshing(first.refresh_token, 'https://other.example'))
    expect(reused).toMatchObject({ error: 'invalid_grant' })
    expect(await opened.world.isActive(second.access_token ?? '')).toEqual([false])
  })
  it('what is unknown is invalid_grant, whatever the resource', async () => {
    await using opened = await open()
    for (const form of [redeeming('x', API), refreshing('x', API)]) {
      expect(await opened.ask(form)).toMatchObject({ error: 'invalid_grant' })
    }
  })
})
