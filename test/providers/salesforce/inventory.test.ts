import { describe, expect, it } from 'vitest'
import {
  type SalesforceOptions,
  type SalesforceOrg,
  startSalesforce,
} from '../../../emulators/index.ts'
import { createHttp, type Http } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { TokenRow } from '../../../src/providers/provider.ts'
import {
  createBench,
  passwordLogin,
  rawHandle,
  type Taken,
  take,
  tenantOf,
} from './session-fixture.ts'

async function inventoryOf(org: SalesforceOrg, who: 'admin' | 'limited' = 'admin') {
  await using bench = await createBench()
  return await take(await bench.open(tenantOf(org, passwordLogin(org, who))))
}

const grantsOf = ({ tokens }: Taken) => tokens.filter(({ kind }) => kind === 'grant')

/** Compares an inventory with what is really so: every live grant once, with its app. */
function expectTruth(org: SalesforceOrg, taken: Taken, appsByLabel = true): void {
  const listed = new Map(grantsOf(taken).map((token) => [rawHandle(token), token]))
  expect(listed.size).toBe(grantsOf(taken).length)
  const wrong: string[] = []
  let alive = 0
  for (const grant of org.truth.grants()) {
    const token = listed.get(grant.deleteToken)
    if (!grant.alive) {
      if (token) wrong.push('a dead grant is listed')
      continue
    }
    alive += 1
    if (!token) wrong.push(`a grant of ${grant.app} is missing`)
    else if (token.userId !== grant.userId) wrong.push('another user')
    else if (token.createdAt !== grant.createdAt) wrong.push('another moment')
    else if (appsByLabel && token.appId !== (grant.applicationId ?? `label:${grant.app}`)) {
      wrong.push(`${grant.app} is taken for ${token.appId}`)
    }
  }
  expect(wrong.slice(0, 5)).toEqual([])
  expect(listed.size).toBe(alive)
  expect(taken.before).toBe(alive)
  expect(taken.after).toBe(alive)
}

/** Changes what the org answers to queries of one object. */
const answering = (object: string, change: (body: string) => string): Http => {
  const http = createHttp()
  const send: Http['send'] = async (request) => {
    const answer = await http.send(request)
    const isMeant = String(request.url).includes(`FROM+${object}`)
    return isMeant ? { ...answer, body: change(answer.body) } : answer
  }
  return { ...http, send }
}

describe('an inventory is complete, and says why', () => {
  const base = { seed: 21, size: { users: 300, apps: 30, tokens: 12_000 } }
  it.each<[string, SalesforceOptions['switches']]>([
    ['the documented behaviour', {}],
    ['CreatedDate cannot be filtered', { createdDateFilter: 'refused' }],
    ['OFFSET past 2,000 is refused', { offsetPast2500: 'refused' }],
    ['totalSize lies at the cap', { totalSizeOnCap: 'capped' }],
    ['rows in no order', { rowOrder: 'shuffled', cursorRows: 'live' }],
    ['external client apps have menu items', { ecaAppMenuItemId: 'set' }],
    ['permissions cannot be asked for', { userPermissionAccess: 'unsupported' }],
    ['external client apps cannot be queried', { ecaObjects: 'refused' }],
    ['the Id is zeros', { idIsNull: 'zeros' }],
  ])('%s', async (_title, switches) => {
    await using org = await startSalesforce({ ...base, switches })
    const taken = await inventoryOf(org)
    expect(taken.end).toMatchObject({ whole: true, covers: 'all' })
    expect(taken.end.why).toMatch(/each of \d+ slices has as many tokens as its count/)
    expectTruth(org, taken)
  })

  it('at 100,000 tokens: 30,000 of one app, 6,000 of one user, 5,000 in one second', async () => {
    await using org = await startSalesforce({
      seed: 22,
      size: { users: 900, apps: 40, tokens: 100_000 },
      skew: { appTokens: 30_000, userTokens: 6_000, secondTokens: 5_000 },
    })
    const taken = await inventoryOf(org)
    expect(taken.end).toMatchObject({ whole: true, covers: 'all' })
    expectTruth(org, taken)
    const ideal = org.truth.counts().alive / 500
    expect(org.counters().get('query')).toBeLessThan(ideal * 2)
  })

  it.each([
    ['allowed', true],
    ['refused', false],
  ] as const)('rows that nothing tells apart: OFFSET %s', async (offsetPast2500, whole) => {
    await using org = await startSalesforce({
      seed: 23,
      size: { users: 20, apps: 14, tokens: 100 },
      switches: { offsetPast2500 },
    })
    const [user] = org.truth.users()
    const app = org.truth.apps().find(({ label }) => label === 'Drift')
    if (!user || !app) throw new Error('the org is empty')
    const grant = {
      userId: user.id,
      appId: app.appId,
      createdAt: 1_700_000_000_000,
      lastUsedAt: null,
    }
    for (let number = 0; number < 5_200; number += 1) org.addGrant(grant)
    const taken = await inventoryOf(org)
    expect(taken.end.whole).toBe(whole)
    if (whole) expectTruth(org, taken)
    else expect(taken.end.why).toMatch(/slice too large: 5,200 tokens .* shows 2,500/)
  })
})

describe('what the credential may see', () => {
  it.each([['supported'], ['unsupported']] as const)(
    'without Customize Application only its own, and it says so (permissions %s)',
    async (userPermissionAccess) => {
      await using org = await startSalesforce({
        seed: 24,
        size: { users: 50, apps: 14, tokens: 3_000 },
        switches: { userPermissionAccess },
      })
      const taken = await inventoryOf(org, 'limited')
      const { userId } = org.credentials.limited
      expect(taken.end).toMatchObject({ whole: true, covers: { users: [userId] } })
      expect(taken.end.why).toMatch(/own tokens only: .* lacks Customize Application/)
      expect(grantsOf(taken).every((token) => token.userId === userId)).toBe(true)
    },
  )
})

describe('a permission that is lost while the list is read', () => {
  it.each([['supported'], ['unsupported']] as const)(
    'makes it a list of own tokens, although every count agrees (permissions %s)',
    async (userPermissionAccess) => {
      await using org = await startSalesforce({
        seed: 24,
        size: { users: 50, apps: 14, tokens: 3_000 },
        switches: { userPermissionAccess },
      })
      await using bench = await createBench()
      const session = await bench.open(tenantOf(org))
      const { userId } = org.credentials.admin
      const taken = await take(session, (part) => {
        if (part.type === 'apps') org.setPermission(userId, 'CustomizeApplication', false)
      })
      expect(grantsOf(taken).length).toBeLessThan(org.truth.counts().alive)
      expect(taken.end).toMatchObject({ covers: { users: [userId] } })
      expect(taken.end.why).toMatch(/own tokens only/)
    },
  )
})

describe('kinds of tokens that could not be listed', () => {
  const base = { seed: 24, size: { users: 50, apps: 14, tokens: 300 } }
  /** Answers the usage API with an error. */
  const refusingUsage = (status: number, code: string, http: Http = createHttp()): Http => {
    const body = JSON.stringify([{ errorCode: code, message: 'no' }])
    const send: Http['send'] = async (request) => {
      const isUsage = String(request.url).includes('/apps/oauth/usage')
      const no = { status, headers: {}, body, retryAfterMs: undefined, elapsedMs: 1 }
      return isUsage ? no : http.send(request)
    }
    return { ...http, send }
  }
  const endWith = async (org: SalesforceOrg, http: Http) => {
    await using bench = await createBench({ http })
    return (await take(await bench.open(tenantOf(org)))).end
  }

  it.each([['supported'], ['unsupported']] as const)(
    'sessions of others, without Manage Users (permissions %s)',
    async (userPermissionAccess) => {
      await using org = await startSalesforce({ ...base, switches: { userPermissionAccess } })
      expect((await inventoryOf(org)).end.lacks).toBeUndefined()
      org.setPermission(org.credentials.admin.userId, 'ManageUsers', false)
      const { end } = await inventoryOf(org)
      expect(end).toMatchObject({ whole: true, covers: 'all' })
      expect(end.lacks).toBe('sessions of other users are not visible: Manage Users is missing')
    },
  )

  it.each([[true], [false]])(
    'tokens of external client apps, without the usage API (in OauthToken: %s)',
    async (ecaInOauthToken) => {
      await using org = await startSalesforce({ ...base, switches: { ecaInOauthToken } })
      const end = await endWith(org, refusingUsage(403, 'INSUFFICIENT_ACCESS'))
      expect(end).toMatchObject({ whole: true, covers: 'all' })
      expect(end.lacks).toMatch(/external client apps are not visible: .* INSUFFICIENT_ACCESS/)
    },
  )

  it('nothing, where the org has no external client apps', async () => {
    const switches = { ecaObjects: 'refused', ecaInOauthToken: false } as const
    await using org = await startSalesforce({ ...base, switches })
    const hide = (body: string) => {
      const page = JSON.parse(body) as { records: { ApplicationId?: string }[] }
      const records = page.records.filter((row) => !row.ApplicationId?.startsWith('0xI'))
      return JSON.stringify({ ...page, records })
    }
    const without = answering('AppMenuItem', hide)
    expect((await endWith(org, refusingUsage(404, 'NOT_FOUND', without))).lacks).toBeUndefined()
    // No permission is no proof that there are none.
    const denied = refusingUsage(403, 'INSUFFICIENT_ACCESS', without)
    expect((await endWith(org, denied)).lacks).toMatch(/INSUFFICIENT_ACCESS/)
  })
})

describe('apps', () => {
  it('keeps two installed apps of one label apart by id', async () => {
    await using org = await startSalesforce({
      seed: 25,
      size: { users: 100, apps: 20, tokens: 2_000 },
    })
    const taken = await inventoryOf(org)
    const reporting = [...taken.apps.values()].filter(({ label }) => label === 'Reporting')
    expect(reporting.map(({ kind, match }) => [kind, match])).toEqual([
      ['connected', 'id'],
      ['connected', 'id'],
    ])
    expectTruth(org, taken)
  })

  it('knows an uninstalled app by its label alone', async () => {
    await using org = await startSalesforce({
      seed: 25,
      size: { users: 100, apps: 20, tokens: 2_000 },
    })
    const { apps } = await inventoryOf(org)
    const uninstalled = org.truth.apps().find(({ kind }) => kind === 'uninstalled')
    expect(apps.get(`label:${uninstalled?.label}`)).toMatchObject({
      kind: 'uninstalled',
      match: 'label',
      installed: false,
      reaches: ['token'],
      comeback: 'admin',
    })
  })

  it('lists external client apps that OauthToken does not show through the usage API', async () => {
    await using org = await startSalesforce({
      seed: 26,
      size: { users: 40, apps: 14, tokens: 800 },
      switches: { ecaInOauthToken: false },
    })
    const taken = await inventoryOf(org)
    const external = org.truth.apps().filter(({ kind }) => kind === 'external')
    for (const { appId, applicationId } of external) {
      const alive = [...org.truth.grants()].filter((grant) => grant.alive && grant.appId === appId)
      const listed = grantsOf(taken).filter((token) => token.appId === applicationId)
      expect(listed).toHaveLength(alive.length)
      expect(listed.every(({ handle }) => handle.reveal().startsWith('usage:'))).toBe(true)
    }
    expect(taken.end.whole).toBe(true)
    expect(taken.before).toBe(org.truth.counts().alive)
    expect(taken.notes.join(' ')).toMatch(/The usage API lists them/)
  })

  it('says how each can come back', async () => {
    await using org = await startSalesforce({
      seed: 27,
      size: { users: 100, apps: 20, tokens: 2_000 },
    })
    const { apps } = await inventoryOf(org)
    const comebackOf = (label: string) =>
      [...apps.values()].find((app) => app.label === label)?.comeback
    expect(comebackOf('CI Deployer')).toBe('at_once')
    expect(comebackOf('Warehouse Export')).toBe('at_once')
    expect(comebackOf('Drift')).toBe('one_consent')
  })
})

describe('apps that are blocked', () => {
  it.each([['Drift'], ['Gainsight Connector']])('%s cannot come back', async (label) => {
    await using org = await startSalesforce({
      seed: 27,
      size: { users: 60, apps: 16, tokens: 600 },
    })
    const app = org.truth.apps().find((one) => one.label === label)
    org.block(app?.appId ?? '')
    const { apps } = await inventoryOf(org)
    const blocked = [...apps.values()].filter(({ comeback }) => comeback === 'blocked')
    expect(blocked.map((one) => one.label)).toEqual([label])
  })
})

describe('sessions without a refresh token', () => {
  it('are listed, and those of grants are not', async () => {
    await using org = await startSalesforce({
      seed: 28,
      size: { users: 200, apps: 20, tokens: 2_000 },
    })
    const taken = await inventoryOf(org)
    const listed = new Set(taken.tokens.filter(({ kind }) => kind === 'session').map(rawHandle))
    const alive = org.truth.sessions().filter((session) => session.alive && session.app !== null)
    const alone = alive.filter(({ origin }) => /ClientCred|Jwt|Password|Exchange/.test(origin))
    expect([...listed].sort()).toEqual(alone.map(({ id }) => id).sort())
    expect(alone.length).toBeGreaterThan(5)
  })

  it('are the last to be forgotten: who is frozen, inactive and of which profile comes with users', async () => {
    await using org = await startSalesforce({
      seed: 28,
      size: { users: 200, apps: 20, tokens: 500 },
    })
    const { users } = await inventoryOf(org)
    const truth = new Map(org.truth.users().map((user) => [user.id, user]))
    expect(users).toHaveLength(truth.size)
    for (const user of users) {
      expect([user.active, user.frozen]).toEqual([
        truth.get(user.id)?.isActive,
        truth.get(user.id)?.isFrozen,
      ])
    }
    expect(users.some(({ frozen }) => frozen)).toBe(true)
  })
})

describe('tokens that may be our own', () => {
  const own = (tokens: readonly TokenRow[]) => tokens.filter((token) => token.own)
  it("are the caller's, of the app that our session was opened with", async () => {
    await using org = await startSalesforce({
      seed: 29,
      size: { users: 60, apps: 16, tokens: 2_000 },
    })
    const { admin, tool, ownDeleteToken } = org.credentials
    const drift = org.truth.apps().find(({ label }) => label === 'Drift')
    const other = org.addGrant({ userId: admin.userId, appId: drift?.appId ?? '' })
    const second = org.addGrant({ userId: admin.userId, appId: tool.clientId })
    const taken = await inventoryOf(org)
    const ownGrants = own(grantsOf(taken)).map(rawHandle)
    expect(ownGrants).toContain(ownDeleteToken)
    expect(ownGrants).toContain(second.deleteToken)
    expect(ownGrants).not.toContain(other.deleteToken)
    expect(own(taken.tokens).some(({ kind }) => kind === 'session')).toBe(true)
  })
})

describe('tokens that may be our own, under another name', () => {
  const base = { seed: 29, size: { users: 60, apps: 16, tokens: 300 } }
  const refreshLogin = (org: SalesforceOrg) => ({
    method: 'refresh_token',
    clientId: org.credentials.tool.clientId,
    refreshToken: new Secret(org.credentials.refreshToken),
  })
  const callersGrants = ({ tokens }: Taken, userId: string) =>
    tokens.filter((token) => token.kind === 'grant' && token.userId === userId)

  it('are all grants of the caller, when none bears the name of our app', async () => {
    await using org = await startSalesforce(base)
    const { admin } = org.credentials
    const drift = org.truth.apps().find(({ label }) => label === 'Drift')
    org.addGrant({ userId: admin.userId, appId: drift?.appId ?? '' })
    const rename = (body: string) => body.replaceAll('"AppName":"Rescind"', '"AppName":"Tool"')
    await using bench = await createBench({ http: answering('OauthToken', rename) })
    const taken = await take(await bench.open(tenantOf(org, refreshLogin(org))))
    const grants = callersGrants(taken, admin.userId)
    expect(grants.length).toBeGreaterThan(1)
    // The id of the app is enough, where the org gives it.
    const drifts = grants.filter(({ appId }) => appId === drift?.applicationId)
    expect(drifts.map(({ own }) => own)).toEqual([false])

    const nameless = (body: string) =>
      rename(body).replaceAll(/"ApplicationId":"[^"]*"/g, '"ApplicationId":null')
    await using other = await createBench({ http: answering('OauthToken', nameless) })
    const all = await take(await other.open(tenantOf(org, refreshLogin(org))))
    expect(callersGrants(all, admin.userId).every(({ own }) => own)).toBe(true)
    expect(grantsOf(all).filter(({ own }) => own)).toHaveLength(grants.length)
  })

  it('are no grants, when our session was opened without one', async () => {
    await using org = await startSalesforce(base)
    const user = org.truth
      .users()
      .find((one) => one.username === org.credentials.integration.username)
    const drift = org.truth.apps().find(({ label }) => label === 'Drift')
    org.addGrant({ userId: user?.id ?? '', appId: drift?.appId ?? '' })
    await using bench = await createBench()
    const { clientId, clientSecret } = org.credentials.integration
    const login = {
      method: 'client_credentials',
      clientId,
      clientSecret: new Secret(clientSecret),
    }
    const taken = await take(await bench.open(tenantOf(org, login)))
    const grants = callersGrants(taken, user?.id ?? '')
    const others = grants.filter(({ appId }) => appId === drift?.applicationId)
    expect(others.map(({ own }) => own)).toContain(false)
  })

  it('are those of an external client app that lists know by its developer name alone, and it is not blocked', async () => {
    const switches = { ecaObjects: 'refused', ecaInOauthToken: false } as const
    await using org = await startSalesforce({ ...base, switches })
    const external = org.truth.apps().find(({ kind }) => kind === 'external')
    if (!external) throw new Error('no external client app')
    const { admin } = org.credentials
    org.addGrant({ userId: admin.userId, appId: external.appId })
    const hide = (body: string) => {
      const page = JSON.parse(body) as { records: { ApplicationId?: string }[] }
      const records = page.records.filter((row) => row.ApplicationId !== external.applicationId)
      return JSON.stringify({ ...page, records })
    }
    await using bench = await createBench({ http: answering('AppMenuItem', hide) })
    const login = {
      ...passwordLogin(org),
      clientId: external.appId,
      clientSecret: new Secret(external.clientSecret),
    }
    const session = await bench.open(tenantOf(org, login))
    const taken = await take(session)
    const app = taken.apps.get(external.applicationId ?? '')
    expect(app?.label).toBe(external.developerName)
    const grants = callersGrants(taken, admin.userId).filter(({ appId }) => appId === app?.id)
    expect(grants.map(({ own }) => own)).toEqual([true])
    expect(app && (await session.block?.(app, () => {}))).toMatchObject({
      done: false,
      text: expect.stringMatching(/is the app that Rescind itself is logged in with/),
    })
  })
})

describe('an org that moves while it is read', () => {
  const options = { seed: 30, size: { users: 100, apps: 20, tokens: 8_000 } }
  type Move = (org: SalesforceOrg, step: number, tokens: readonly TokenRow[]) => unknown
  const moving = async (move: Move) => {
    await using org = await startSalesforce(options)
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    let step = 0
    const taken = await take(session, async (part) => {
      step += 1
      if (part.type === 'tokens') await move(org, step, part.tokens)
    })
    return { taken, truth: [...org.truth.grants()], alive: org.truth.counts().alive }
  }
  const revoke = (org: SalesforceOrg, deleteToken: string) =>
    fetch(`${org.url}/services/oauth2/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token: deleteToken }),
    })
  it('tokens that died after they were read: their slices are read again', async () => {
    let victims: readonly string[] = []
    const { taken, alive, truth } = await moving(async (org, _step, tokens) => {
      if (victims.length > 0) return
      const strangers = tokens.filter(({ kind, own }) => kind === 'grant' && !own)
      victims = strangers.slice(0, 3).map(rawHandle)
      for (const victim of victims) await revoke(org, victim)
    })
    expect(
      truth
        .filter((grant) => !grant.alive)
        .map(({ deleteToken }) => deleteToken)
        .sort(),
    ).toEqual([...victims].sort())
    expect(taken.end.whole).toBe(true)
    expect(taken.end.why).toMatch(/the count moved from 8,001; what moved was read again/)
    expect(taken.again).toBe(1)
    expect(grantsOf(taken)).toHaveLength(alive)
    expect(taken.before).toBe(alive)
    expect(taken.after).toBe(alive)
  })

  it('tokens that were born: the newest slice is read again', async () => {
    let born = 0
    const { taken, alive } = await moving((org) => {
      const app = org.truth.apps().find(({ label }) => label === 'Drift')
      if (born++ < 2)
        org.addGrant({ userId: org.credentials.admin.userId, appId: app?.appId ?? '' })
    })
    expect(taken.end.whole).toBe(true)
    expect(grantsOf(taken)).toHaveLength(alive)
  })

  it('that never rests is partial, and the reading ends', async () => {
    const { taken } = await moving(async (org) => {
      const app = org.truth.apps().find(({ label }) => label === 'Drift')
      org.addGrant({ userId: org.credentials.admin.userId, appId: app?.appId ?? '' })
    })
    expect(taken.end).toMatchObject({ whole: false, covers: 'all' })
    expect(taken.end.why).toMatch(/count moved/)
  })
})
