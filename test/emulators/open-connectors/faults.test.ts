import { describe, expect, test } from 'vitest'
import { control } from '../../../emulators/child.ts'
import {
  OPEN_CONNECTORS_FAULT_KINDS,
  type OpenConnectorsFaultKind,
} from '../../../emulators/index.ts'
import { spawnOpenConnectors } from '../../../emulators/open-connectors/spawn.ts'
import {
  accounts,
  call,
  disabledInstance,
  makeInstance,
  type Pair,
  startPair,
} from './account-fixture.ts'

/** What a change of tags under each fault answers, and whether it took effect. `cut` is a connection that ended. */
const ON_PATCH: Readonly<
  Record<OpenConnectorsFaultKind, readonly [answer: number | 'cut', done: boolean]>
> = {
  unauthorized_401: [401, false],
  too_many_429: [429, false],
  bad_gateway_502: [502, false],
  unavailable_503: [503, false],
  error_500_before_effect: [500, false],
  error_500_after_effect: [500, true],
  reset_before_effect: ['cut', false],
  reset_after_effect: ['cut', true],
  hang: ['cut', true],
  slow: [200, true],
  redirect_302: [302, false],
  ok_without_effect: [200, false],
  user_secret_reset: [401, false],
  truncated_body: ['cut', true],
  html_200: [200, false],
}

async function answerOf(pair: Pair, id: number): Promise<number | 'cut'> {
  try {
    return (await call(pair, `PATCH /instances/${id}`, { body: { tags: ['new'] } })).status
  } catch {
    return 'cut'
  }
}

describe('faults', () => {
  test.each(OPEN_CONNECTORS_FAULT_KINDS)('%s on a change', async (kind) => {
    const pair = await startPair()
    const { id } = await makeInstance(pair)
    pair.account.setFaults([{ kind, on: 'patch', ms: 30 }])
    const [answer, done] = ON_PATCH[kind]
    expect(await answerOf(pair, id)).toBe(answer)
    expect(pair.account.truth.instance(id)?.tags).toEqual([done ? 'new' : 'drill'])
    expect(pair.account.log.at(-1)).toMatchObject({ route: 'patch', fault: kind })
  })

  test('on the nth call of a route alone', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    pair.account.setFaults([{ kind: 'unavailable_503', on: 'hub', nth: 2, retryAfterS: 3 }])
    const replies = []
    for (let n = 0; n < 3; n += 1) replies.push(await accounts(pair, made))
    expect(replies.map(({ status }) => status)).toEqual([200, 503, 200])
    expect(replies[1]!.headers.get('retry-after')).toBe('3')
  })

  test('an unknown kind or route is refused by name', async () => {
    const { account } = await startPair()
    expect(() => account.setFaults([{ kind: 'gremlin' as never, on: 'any' }])).toThrow('gremlin')
    expect(() => account.setFaults([{ kind: 'slow', on: 'nowhere' as never }])).toThrow('nowhere')
  })
})

describe('the request log and the ground truth', () => {
  test('the log holds no secret that the account knows', async () => {
    const pair = await startPair()
    await disabledInstance(pair)
    await call(pair, 'POST /authentication/user-secret-reset')
    const secrets = [...pair.account.truth.secrets()]
    expect(secrets.length).toBeGreaterThan(6)
    const printed = JSON.stringify([
      pair.account.log,
      pair.account.providerCalls,
      pair.account.emails(),
    ])
    for (const secret of secrets) expect(printed).not.toContain(secret)
    const asked = pair.account.log.find(({ route }) => route === 'oauth-url')
    expect(asked).toMatchObject({
      query: expect.stringContaining('apiSecret=***'),
      authorization: [],
    })
    expect(pair.account.log.at(-1)).toMatchObject({ authorization: ['user', 'organization'] })
  })
})

describe('an account in a process of its own', () => {
  test('prints where it is, and is told and asked over its control plane', async () => {
    const { org } = await startPair()
    const child = await spawnOpenConnectors({
      salesforceUrl: org.url,
      seed: 9,
      refreshRetryMs: 15,
    })
    const account = { ...child, truth: undefined } as unknown as Pair['account']
    const pair: Pair = { org, account }
    const made = await makeInstance(pair)
    const ask = async (name: string, value?: unknown) =>
      (await control(child.url, name, value)).json() as Promise<Record<string, unknown>>
    const rows = []
    for await (const row of child.instances()) rows.push(row)
    expect(rows).toMatchObject([{ id: made.id, elementToken: made.token, disabled: false }])
    await child.setFaults([{ kind: 'unavailable_503', on: 'hub', nth: 1 }])
    expect((await accounts(pair, made)).status).toBe(503)
    await ask('age', { id: made.id, ms: 4_000_000 })
    expect((await accounts(pair, made)).status).toBe(200)
    expect((await child.providerCalls()).map(({ kind }) => kind)).toEqual([
      'code',
      'refresh',
      'call',
    ])
    await child.setSwitches({ notices: 'twice' })
    expect(await ask('switches')).toMatchObject({ notices: 'twice' })
    await fetch(`${org.url}/services/oauth2/revoke?token=${rows[0]!.refreshToken}`)
    expect(await child.runNight()).toEqual({ refreshed: 0, failed: 1 })
    expect(await child.emails()).toHaveLength(2)
    expect((await ask('requests')).counters).toMatchObject({ hub: 2, create: 1 })
    await ask('latency', { ms: 1 })
    expect((await ask('reset', {})).userSecret).not.toBe(child.credentials.userSecret)
    await ask('forget', {})
    expect(await child.emails()).toEqual([])
    await expect(ask('faults', [{ kind: 'gremlin', on: 'any' }])).rejects.toThrow('400')
    await expect(ask('nothing')).rejects.toThrow('404')
    child.close()
    await child.ended
  })
})
