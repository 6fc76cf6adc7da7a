import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { orThrow } from '../../../src/connections/open-connectors/client.ts'
import { callbackIn } from '../../../src/connections/open-connectors/consent.ts'
import type { Instance } from '../../../src/connections/open-connectors/instance.ts'
import {
  type ReauthorizeMeans,
  type ReauthorizeWish,
  reauthorizeInstance,
} from '../../../src/connections/open-connectors/reauthorize.ts'
import type { OpenConnectorsSettings } from '../../../src/connections/open-connectors/settings.ts'
import { connectionTenant } from '../../../src/connections/vault-parts.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { RescindError } from '../../../src/core/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import { openStore, type Store } from '../../../src/store/store.ts'
import { tempHome } from '../../support/temp-home.ts'
import { salesforceTenant } from '../world.ts'
import { type Estate, startEstate } from './estate.ts'

let estate: Estate
let instance: Instance
let steps: [string, string][]
let warnings: string[]
let home: ReturnType<typeof tempHome>
let store: Store
beforeEach(async () => {
  estate = await startEstate()
  instance = await estate.makeInstance()
  steps = []
  warnings = []
  home = tempHome()
  store = await openStore({ home: home.path })
})
afterEach(async () => {
  await store.close()
  home[Symbol.dispose]()
  await estate[Symbol.asyncDispose]()
})

/** Waits for nothing: time goes on by what was to be waited for. */
const hastyClock = (): Clock => {
  let skippedMs = 0
  return {
    now: () => systemClock.now() + skippedMs,
    async sleep(ms) {
      skippedMs += ms
    },
  }
}

const reauthorize = (
  wish: Partial<ReauthorizeWish> = {},
  { settings, ...more }: Partial<ReauthorizeMeans> & { settings?: object } = {},
) => {
  const client = estate.client()
  Object.assign(client.settings as OpenConnectorsSettings, settings)
  const full: ReauthorizeWish = {
    ...{ instance: instance.id, revoke: null, accept: [] },
    consent: async ({ url }) => callbackIn((await estate.consentAt(url)).href),
    step: (name, text) => void steps.push([name, text]),
    // What is said of the budget is another matter.
    warn: (text) => void (/the oldest/.test(text) || warnings.push(text)),
    ...wish,
  }
  const { http, fingerprint } = estate
  const { grantOwners: owners, formerGrants: formers } = store
  const means = { http, client, fingerprint, clock: systemClock, owners, formers, ...more }
  return reauthorizeInstance(full, means)
}
const refused = (...args: Parameters<typeof reauthorize>): Promise<RescindError> =>
  reauthorize(...args).then(
    () => expect.unreachable(),
    (error) => error,
  )

const textsOf = (name: string) => steps.filter(([step]) => step === name).map(([, text]) => text)
const truth = () => estate.account.truth.instance(instance.id)
const tokenNow = () => truth()?.refreshToken ?? ''
const isAlive = (token: string) =>
  [...estate.org.truth.grants()].some((one) => one.refreshToken === token && one.alive)
const kept = async () => {
  const formers = await store.formerGrants.list(estate.client().settings.url, instance.id)
  return formers.map((one) => one.reveal())
}
const disable = async () => orThrow(await estate.client().disable(instance), 'disable it')
const never = () => expect.unreachable('nobody is to be asked')

describe('a revocation that the provider does not confirm', () => {
  const OUTAGE = { kind: 'unavailable_503', on: 'revoke' } as const
  type Faults = Parameters<Estate['org']['setFaults']>[0]
  test.each<[string, 'refresh' | 'access', Faults, boolean, RegExp]>([
    ['of a disabled instance', 'refresh', [OUTAGE], true, /the provider answered 503/],
    [
      'of one whose calls are limited',
      'refresh',
      [OUTAGE, { kind: 'request_limit_403', on: 'query' }],
      ...([false, /the provider answered 503/] as const),
    ],
    ['of an access token', 'access', [OUTAGE], false, /the provider answered 503/],
    [
      'whose answer is lost',
      'refresh',
      [{ kind: 'reset_before_effect', on: 'revoke' }],
      ...([false, /its answer was lost/] as const),
    ],
  ])('%s ends the run: nothing is called dead or healed', async (_t, revoke, faults, off, why) => {
    const token = tokenNow()
    if (off) await disable()
    estate.org.setFaults(faults)
    const { code, message } = await refused({ revoke, consent: never })
    expect([code, message]).toEqual(['reconnect_failed', expect.stringMatching(why)])
    expect(message).toMatch(
      new RegExp(`did not say that the ${revoke} token .* It may live, and nothing else was chan`),
    )
    expect(textsOf('dead')).toEqual([])
    expect(textsOf('revoke').filter((text) => !/^not confirmed/.test(text))).toEqual([])
    expect([isAlive(token), tokenNow()]).toEqual([true, token])
  })

  it('an access token that still works after its revocation is no healing', async () => {
    estate.org.setFaults([{ kind: 'ok_without_effect', on: 'revoke' }])
    const error = await refused({ revoke: 'access', consent: never }, { clock: hastyClock() })
    expect(error.message).toMatch(/still works by the same access token 30 s after/)
    expect(textsOf('dead')).toEqual([])
  })
})

describe('a grant of which no call tells that it is dead', () => {
  it('is not called dead because its instance is disabled, and is ended after the new one', async () => {
    const token = tokenNow()
    await disable()
    await reauthorize()
    expect(textsOf('dead')).toEqual([expect.stringMatching(/^not known: Somebody disabled/)])
    expect(isAlive(token)).toBe(false)
  })

  it('is dead by the word of the provider where its instance is disabled', async () => {
    await disable()
    await reauthorize({ revoke: 'refresh' })
    expect(textsOf('dead')).toEqual([expect.stringMatching(/^the provider says so, and no call/)])
  })

  it('may live where a bare 401 of the platform is all that there is', async () => {
    const token = tokenNow()
    estate.account.setFaults([{ kind: 'unauthorized_401', on: 'hub', nth: 1 }])
    await reauthorize()
    expect(textsOf('dead')).toEqual([
      expect.stringMatching(/^it may be: The provider seems to refuse, for our own credentials/),
    ])
    expect(isAlive(token)).toBe(false)
  })
})

describe('a former grant outlives no run that was cut off', () => {
  it('between the new grant and its end: the next run ends it', async () => {
    const token = tokenNow()
    const step = (name: string) => {
      if (name === 'apply') throw new Error('the power went out')
    }
    await expect(reauthorize({ step })).rejects.toThrow('the power went out')
    expect([isAlive(token), await kept()]).toEqual([true, [token]])
    expect(warnings).toEqual([
      expect.stringMatching(/holds other tokens now, and its former grant may live on.*ends it\.$/),
    ])
    const second = tokenNow()
    await reauthorize()
    expect(warnings.at(-1)).toMatch(/A former grant of instance \d+ may live on since a run/)
    expect([token, second, tokenNow()].map(isAlive)).toEqual([false, false, true])
    expect(await kept()).toEqual([])
  })

  /** A code that the provider refuses, then what is given. */
  const afterBadCode = (then: ReauthorizeWish['consent']): ReauthorizeWish['consent'] => {
    let asked = 0
    return async (link) => {
      asked += 1
      if (asked > 1) return then(link)
      return { code: new Secret('of nobody'), state: link.state.reveal(), error: null }
    }
  }
  const deny: ReauthorizeWish['consent'] = async ({ url }) =>
    callbackIn((await estate.consentAt(url, { deny: true })).href)

  it('after a code that blanked the tokens: that is said, and the next run ends it', async () => {
    const token = tokenNow()
    estate.account.setSwitches({ failedReauth: 'blanked' })
    const { code, message } = await refused({ consent: afterBadCode(deny) })
    expect(code).toBe('reconnect_refused')
    expect(message).not.toMatch(/Nothing was changed/)
    expect(message).toMatch(
      /refused: access_denied\. .*holds no tokens any more, and does not work, and its former grant may live on.*, which ends it\.$/,
    )
    expect([tokenNow(), isAlive(token), await kept()]).toEqual(['', true, [token]])
    await reauthorize()
    expect([isAlive(token), isAlive(tokenNow()), await kept()]).toEqual([false, true, []])
  })

  it('after a code that changed nothing, the instance lives on it: it is forgotten', async () => {
    const token = tokenNow()
    await refused({ consent: afterBadCode(deny) })
    expect([tokenNow(), isAlive(token), await kept()]).toEqual([token, true, []])
  })

  it('and is kept while the provider does not end it', async () => {
    const token = tokenNow()
    estate.org.setFaults([{ kind: 'unavailable_503', on: 'revoke' }])
    await reauthorize()
    expect([isAlive(token), await kept()]).toEqual([true, [token]])
    estate.org.setFaults([])
    await reauthorize()
    expect([isAlive(token), await kept()]).toEqual([false, []])
  })
})

/** Somebody else consents than the owner. */
const asLimited: ReauthorizeWish['consent'] = async ({ url }) =>
  callbackIn((await estate.consentAt(url, { as: 'limited' })).href)

describe('a new grant of somebody else', () => {
  it('is disabled before the former one is touched, which the next run ends', async () => {
    const right = tokenNow()
    const { message } = await refused({ consent: asLimited })
    expect(message).toMatch(
      /another person.* It was disabled\. .*the next re-authentication of this instance ends it\.$/,
    )
    expect(textsOf('revoke')).toEqual(['nothing: the grant is taken as it is'])
    const wrong = tokenNow()
    expect([isAlive(right), isAlive(wrong), await kept()]).toEqual([true, true, [right]])
    await reauthorize()
    expect([right, wrong, tokenNow()].map(isAlive)).toEqual([false, false, true])
    expect(await kept()).toEqual([])
  })

  it('is disabled also where the run is stopped as soon as it is there', async () => {
    const stop = new AbortController()
    const step = (name: string) => void (name === 'apply' && stop.abort())
    const tenantsOf = () => [connectionTenant(salesforceTenant(estate.org))]
    const { signal } = stop
    const { code } = await refused({ consent: asLimited, step }, { signal, tenantsOf })
    expect([code, truth()?.disabled]).toEqual(['reconnect_refused', true])
  })

  it('whose disabling is not answered is said to be looked at', async () => {
    estate.account.setFaults([{ kind: 'reset_before_effect', on: 'disable' }])
    const { code, message } = await refused({ consent: asLimited })
    expect([code, message]).toEqual([
      ...['reconnect_refused', expect.stringMatching(/Whether it was disabled is not known: look/)],
    ])
  })

  it('under another id is remembered, with the former one, by that id', async () => {
    const right = tokenNow()
    estate.account.setSwitches({ idOnReauth: 'new' })
    await refused({ consent: asLimited })
    estate.account.setSwitches({ idOnReauth: 'kept' })
    const next = instance.id + 1
    const { code } = await refused({ instance: next, consent: asLimited })
    expect(code).toBe('reconnect_refused')
    await reauthorize({ instance: next })
    expect([isAlive(right), await kept()]).toEqual([false, []])
  })
})

describe('a run that is stopped after the new grant', () => {
  const stoppedAt = async (name: string, more: Partial<ReauthorizeMeans> = {}) => {
    const stop = new AbortController()
    const step = (one: string, text: string) => {
      steps.push([one, text])
      if (one === name && !/^nothing/.test(text)) stop.abort()
    }
    const { signal } = stop
    await expect(reauthorize({ step }, { signal, ...more })).rejects.toThrow('aborted')
    return warnings.at(-1)
  }
  const AGAIN =
    /has a new grant, and whose it is was not looked at: run rescind open-connectors reauthorize \d+ again\. Its former/

  it('before it is known whose that is says so, and the next run ends the former one', async () => {
    const token = tokenNow()
    const said = await stoppedAt('apply')
    expect(said).toMatch(AGAIN)
    expect(said).toMatch(/the next re-authentication of this instance ends it\.$/)
    expect([isAlive(token), await kept()]).toEqual([true, [token]])
    await reauthorize()
    expect([isAlive(token), await kept()]).toEqual([false, []])
  })

  it('says to end the former one where nobody keeps it', async () => {
    const said = await stoppedAt('apply', { formers: undefined })
    expect([said, said]).toEqual([
      ...[
        expect.stringMatching(AGAIN),
        expect.stringMatching(/end it there, where it must not\.$/),
      ],
    ])
  })

  it('after the former one is ended says that it was not called', async () => {
    const said = await stoppedAt('revoke')
    expect(said).toMatch(/has a new grant, and whether it works was not looked at/)
  })
})

describe('whose the new grant is, the provider is asked', () => {
  const tenantsOf = () => [connectionTenant(salesforceTenant(estate.org))]
  /** The instance gets the tokens of a neighbour of another person, and shows its own owner. */
  const healIntoHidden = async () => {
    const client = estate.client()
    const url = orThrow(await client.consentUrl('sfdc', new Secret('s')), 'give a URL')
    const visited = await estate.consentAt(url, { as: 'limited' })
    const code = new Secret(visited.searchParams.get('code') ?? '')
    orThrow(await client.create({ element: 'sfdc', name: 'N', tags: [], code }), 'make it')
    estate.account.setSwitches({ healsInto: 'neighbour-hidden' })
  }

  it('and somebody else behind the right name is refused', async () => {
    await healIntoHidden()
    const { code, message } = await refused({}, { tenantsOf })
    expect([code, message]).toEqual([
      ...['reconnect_refused', expect.stringMatching(/another person.*It was disabled/)],
    ])
    expect(truth()?.disabled).toBe(true)
  })

  it('a tenant that cannot be asked stops the run before anything is changed', async () => {
    const before = truth()
    const tenantsOf = () => [connectionTenant({ ...salesforceTenant(estate.org), app: undefined })]
    const { code } = await refused({ consent: never }, { tenantsOf })
    expect([code, truth(), isAlive(tokenNow())]).toEqual(['config_invalid', before, true])
  })

  it('and where that fails, what the platform shows is compared', async () => {
    const { way, ...tenant } = connectionTenant(salesforceTenant(estate.org))
    const unasked = async () => {
      throw new RescindError('config_invalid', 'This provider cannot be asked.')
    }
    const tenantsOf = () => [{ ...tenant, way: { ...way, probe: unasked } }]
    const { code } = await refused({ consent: asLimited }, { tenantsOf })
    expect([code, truth()?.disabled]).toEqual(['reconnect_refused', true])
    expect(await reauthorize({}, { tenantsOf })).toMatchObject({ changes: [], sameIdentity: null })
  })

  it('where it cannot be, nobody is said to be the same', async () => {
    await healIntoHidden()
    expect(await reauthorize()).toMatchObject({ changes: [], sameIdentity: null })
  })

  it('and says that it is the same person', async () => {
    expect(await reauthorize({}, { tenantsOf })).toMatchObject({ changes: [], sameIdentity: true })
  })
})

describe('what would stop a re-authentication is found before a grant is revoked', () => {
  const portTaken = async () => {
    throw new RescindError('usage', 'Port 1717 of this machine cannot be listened on.')
  }
  const put = () => ({ switches: { ...estate.settings().switches, apply: 'put' } })
  const elements = (change: object) => ({
    elements: { sfdc: { ...estate.settings().elements.sfdc, ...change } },
  })
  test.each<[string, Partial<ReauthorizeWish>, () => object, RegExp]>([
    ['the port of the callback', { checkCallback: portTaken }, () => ({}), /cannot be listened on/],
    [
      'a callback of no address',
      {},
      () => ({ callbackUrl: 'nonsense' }),
      /callbackUrl.*no address/,
    ],
    [
      ...(['another host of consent', {}] as const),
      () => elements({ consentHosts: ['login.example'] }),
      /not among its consentHosts/,
    ],
    ['a mask that a PUT would store', {}, put, /sfdc\.extra.* is only asterisks/],
  ])('%s', async (_title, wish, settings, words) => {
    const client = estate.client()
    const bare = client.get
    const masked: typeof bare = async (id, signal) => {
      const answer = await bare(id, signal)
      if (!answer.ok) return answer
      const body = JSON.parse(answer.value.body.reveal())
      body.configuration['sfdc.extra'] = '****'
      return { ...answer, value: { ...answer.value, body: new Secret(JSON.stringify(body)) } }
    }
    const before = truth()
    Object.assign(client.settings, settings())
    const error = await refused(
      { revoke: 'refresh', consent: never, ...wish },
      { client: { ...client, get: masked } },
    )
    expect(error.message).toMatch(words)
    expect(error.message).not.toMatch(/is dead/)
    expect([truth(), isAlive(tokenNow())]).toEqual([before, true])
    expect(textsOf('revoke')).toEqual([])
  })

  it('a mask that the second route would store is found before its owner is asked again', async () => {
    estate.account.setSwitches({ secretsInAnswers: 'masked' })
    estate.account.setFaults([{ kind: 'error_500_before_effect', on: 'patch' }])
    const client = estate.client()
    const { elements: all } = client.settings
    const probe = { ...all.sfdc, apiSecret: new Secret('****') }
    Object.assign(client.settings, { elements: { sfdc: probe } })
    let asked = 0
    const consent: ReauthorizeWish['consent'] = async ({ url }) => {
      asked += 1
      return callbackIn((await estate.consentAt(url)).href)
    }
    expect([(await refused({ consent }, { client })).code, asked]).toEqual(['secret_masked', 1])
  })
})

describe('what a failed run left behind is said', () => {
  const wrongPassword: ReauthorizeWish['consent'] = async () => {
    throw new RescindError('consent_failed', 'The consent of the test user led nowhere.')
  }
  const deny: ReauthorizeWish['consent'] = async ({ url }) =>
    callbackIn((await estate.consentAt(url, { deny: true })).href)
  const DEAD =
    /Instance \d+ is dead since its grant was revoked: run rescind open-connectors reauth/
  test.each<[string, 'refresh' | null, ReauthorizeWish['consent'], RegExp, RegExp]>([
    ['after a revocation, a login that fails', 'refresh', wrongPassword, DEAD, /Nothing was chan/],
    ['after a revocation, a denial', 'refresh', deny, DEAD, /Nothing was changed/],
    ['without one, a denial', null, deny, /Nothing was changed in instance/, DEAD],
  ])('%s', async (_title, revoke, consent, words, not) => {
    const { message } = await refused({ revoke, consent })
    expect(message).toMatch(words)
    expect(message).not.toMatch(not)
  })

  it('to a person who stopped it, as a warning', async () => {
    const stop = new AbortController()
    const consent: ReauthorizeWish['consent'] = async () => {
      stop.abort()
      throw stop.signal.reason
    }
    const { signal } = stop
    await expect(reauthorize({ revoke: 'refresh', consent }, { signal })).rejects.toThrow()
    expect(warnings.at(-1)).toMatch(DEAD)
  })
})

it('an instance that could not be enabled before its new grant is enabled after it', async () => {
  await disable()
  estate.account.setFaults([{ kind: 'error_500_before_effect', on: 'enable', nth: 1 }])
  expect(await reauthorize()).toMatchObject({ wasDisabled: true })
  expect(textsOf('enable')).toHaveLength(2)
  expect(truth()?.disabled).toBe(false)
})

it('what the platform says of an instance is shown, as its own word', async () => {
  await reauthorize()
  expect(textsOf('instance')).toEqual([
    `${instance.id} of sfdc, enabled; valid: true, as the platform says`,
  ])
})
