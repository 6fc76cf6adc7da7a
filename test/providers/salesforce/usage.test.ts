import { describe, expect, it } from 'vitest'
import {
  type SalesforceOptions,
  type SalesforceOrg,
  startSalesforce,
} from '../../../emulators/index.ts'
import type { Fingerprint } from '../../../src/core/secret.ts'
import type { KillToken } from '../../../src/providers/provider.ts'
import type { AppCatalogue, KnownApp } from '../../../src/providers/salesforce/apps.ts'
import type { UsageToken } from '../../../src/providers/salesforce/external-apps.ts'
import { makeHandle } from '../../../src/providers/salesforce/handles.ts'
import type { OauthTokenRow } from '../../../src/providers/salesforce/oauth-tokens.ts'
import { nameReached } from '../../../src/providers/salesforce/reach-now.ts'
import { createUsageMatch } from '../../../src/providers/salesforce/usage-match.ts'
import { createBench, rawHandle, type Taken, take, tenantOf } from './session-fixture.ts'

const AT = Date.UTC(2025, 7, 8, 10, 11, 12)

const app = (id: string, label: string): KnownApp => ({
  id,
  label,
  kind: 'external',
  developerName: label.replace(/\W+/g, '_'),
  menuItemId: null,
  adminApproved: null,
  issuesJwt: null,
  hasUsage: true,
})
const catalogue = {
  apps: [app('0xIa', 'Cards'), app('0xIb', 'Twin'), app('0xIc', 'Twin')],
  opensAlone: new Map(),
  blocked: new Set<string>(),
  lacks: [],
  notes: [],
} satisfies AppCatalogue

const token = (id: string, appId: string, more: Partial<UsageToken> = {}): UsageToken => ({
  id,
  appId,
  userId: '005a',
  createdAt: AT,
  lastUsedAt: null,
  useCount: null,
  ...more,
})
const row = (deleteToken: string, more: Partial<OauthTokenRow> = {}): OauthTokenRow => ({
  deleteToken,
  userId: '005a',
  appName: 'Cards',
  applicationId: null,
  createdAt: AT,
  lastUsedAt: null,
  useCount: null,
  ...more,
})

describe('a row of OauthToken is a token of the usage API', () => {
  it.each<[string, UsageToken[], OauthTokenRow[], string[], string[]]>([
    ['of the same user, second and app', [token('t', '0xIa')], [row('r')], ['r 0xIa'], []],
    [
      'whose moment is finer than a second',
      [token('t', '0xIa', { createdAt: AT + 450 })],
      [row('r')],
      ['r 0xIa'],
      [],
    ],
    [
      "by the vendor's id of the app, under whatever label",
      [token('t', '0xIa')],
      [row('r', { appName: 'Old name', applicationId: '0xIa' })],
      ['r 0xIa'],
      [],
    ],
    ['not of another user', [token('t', '0xIa')], [row('r', { userId: '005b' })], [], ['t']],
    [
      'not of another second',
      [token('t', '0xIa')],
      [row('r', { createdAt: AT + 1000 })],
      [],
      ['t'],
    ],
    ['not of another label', [token('t', '0xIa')], [row('r', { appName: 'Other' })], [], ['t']],
    [
      "not of another app's id",
      [token('t', '0xIa')],
      [row('r', { applicationId: '0H4z' })],
      [],
      ['t'],
    ],
    [
      'not when its moment is missing',
      [token('t', '0xIa', { createdAt: null })],
      [row('r', { createdAt: null })],
      [],
      ['t'],
    ],
    [
      'when as many rows as tokens are alike',
      [token('t', '0xIa'), token('u', '0xIa')],
      [row('r'), row('s')],
      ['r 0xIa', 's 0xIa'],
      [],
    ],
    [
      'not when more rows than tokens are alike: one is of another app',
      [token('t', '0xIa')],
      [row('r'), row('s')],
      [],
      ['t'],
    ],
    [
      'not when fewer rows than tokens are alike: none may be hidden',
      [token('t', '0xIa'), token('u', '0xIa')],
      [row('r')],
      [],
      ['t', 'u'],
    ],
    [
      'of the one among two apps of a label that has a token then',
      [token('t', '0xIb')],
      [row('r', { appName: 'Twin' })],
      ['r 0xIb'],
      [],
    ],
    [
      'not when two apps of a label have one then',
      [token('t', '0xIb'), token('u', '0xIc')],
      [row('r', { appName: 'Twin' }), row('s', { appName: 'Twin' })],
      [],
      ['t', 'u'],
    ],
  ])('%s', (_title, tokens, rows, confirmed, unlisted) => {
    const match = createUsageMatch(catalogue, tokens)
    const verdict = match.judge(rows.filter(match.mayBeListed))
    expect([...verdict.appOf].map(([{ deleteToken }, id]) => `${deleteToken} ${id}`)).toEqual(
      confirmed,
    )
    expect(verdict.unlisted.map(({ id }) => id)).toEqual(unlisted)
  })
})

describe('what a coarse kill would reach, by the names of the plan', () => {
  const print = (handle: { reveal(): string }) => `fp ${handle.reveal()}` as Fingerprint
  const planned = (kind: 'delete' | 'usage', value: string, createdAt = AT): KillToken => {
    const handle = makeHandle(kind, value)
    return {
      fingerprint: print(handle),
      kind: 'grant',
      handle,
      userId: '005a',
      appId: '0xIa',
      createdAt,
    }
  }
  it.each<[string, UsageToken[], KillToken[], string[]]>([
    ['nothing', [], [planned('delete', 'd')], []],
    ['a planned row', [token('t', '0xIa')], [planned('delete', 'd')], ['fp delete:d']],
    ['a planned usage token', [token('t', '0xIa')], [planned('usage', 't')], ['fp usage:t']],
    ['one that is not planned', [token('t', '0xIa')], [], ['fp usage:t']],
    [
      'one of another second',
      [token('t', '0xIa', { createdAt: AT + 1000 })],
      [planned('delete', 'd')],
      ['fp usage:t'],
    ],
    [
      'two of one second, of which one is planned',
      [token('t', '0xIa'), token('u', '0xIa')],
      [planned('delete', 'd')],
      ['fp delete:d', 'fp usage:u'],
    ],
  ])('%s', (_title, listed, tokens, names) => {
    expect([...nameReached(listed, tokens, print)]).toEqual(names)
  })
})

const small = { seed: 4, size: { users: 20, apps: 14, tokens: 80 } }

async function inventoryOf(org: SalesforceOrg): Promise<Taken> {
  await using bench = await createBench()
  return await take(await bench.open(tenantOf(org)))
}

function externalOf(org: SalesforceOrg) {
  const external = org.truth.apps().find(({ kind }) => kind === 'external')
  const uninstalled = org.truth.apps().find(({ kind }) => kind === 'uninstalled')
  if (!external || !uninstalled) throw new Error('the org lacks an app')
  return { external, uninstalled }
}

describe('an uninstalled app with the label of an external client app', () => {
  it.each<[string, SalesforceOptions['switches']]>([
    ['where OauthToken lists both', {}],
    ['where it lists the uninstalled one alone', { ecaInOauthToken: false }],
  ])('hides none of its tokens, %s', async (_title, switches) => {
    await using org = await startSalesforce({ ...small, switches })
    const { external, uninstalled } = externalOf(org)
    org.renameApp(uninstalled.appId, external.label)
    const { tokens, end, before, after } = await inventoryOf(org)
    const alive = [...org.truth.grants()].filter((grant) => grant.alive)
    const countOf = (appId: string) => alive.filter((grant) => grant.appId === appId).length
    const sure = tokens.filter(
      (one) => one.appId === external.applicationId && one.appMatch === 'id',
    )
    expect(sure).toHaveLength(countOf(external.appId))
    const byLabel = tokens.filter((one) => one.kind === 'grant' && one.appMatch === 'label')
    expect(byLabel).toHaveLength(countOf(uninstalled.appId))
    expect(countOf(uninstalled.appId)).toBeGreaterThan(0)
    expect([before, after, end.whole]).toEqual([alive.length, alive.length, true])
  })
})

describe('an external client app in an org', () => {
  it('that got a token since the plan would be killed beyond it, and that shows', async () => {
    await using org = await startSalesforce(small)
    const { external } = externalOf(org)
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    const mine = (await take(session)).tokens
      .filter(({ appId }) => appId === external.applicationId)
      .map((one) => ({ ...one, fingerprint: bench.means.fingerprint(one.handle) }))
    const reach = { kind: 'app', app: external.applicationId ?? '' } as const
    const prints = new Set(mine.map(({ fingerprint }) => fingerprint))
    expect(await session.reachNow({ reach, tokens: mine })).toEqual(prints)
    const { userId } = org.credentials.limited
    org.addGrant({ userId, appId: external.appId })
    const grown = await session.reachNow({ reach, tokens: mine })
    expect(grown.size).toBe(mine.length + 1)
    expect([...grown].filter((print) => !prints.has(print))).toHaveLength(1)
  })

  it('is known by the id of its menu item, where its tokens have one', async () => {
    await using org = await startSalesforce({ ...small, switches: { ecaAppMenuItemId: 'set' } })
    const { external } = externalOf(org)
    const taken = await inventoryOf(org)
    const alive = [...org.truth.grants()].filter((g) => g.alive && g.appId === external.appId)
    const found = taken.tokens.filter(({ appId }) => appId === external.applicationId)
    expect(found.map(rawHandle).sort()).toEqual(alive.map((g) => g.deleteToken).sort())
    expect(found.every(({ appMatch }) => appMatch === 'id')).toBe(true)
  })
})

describe('more users of external client apps than are asked for', () => {
  it.each<[string, boolean, RegExp | undefined]>([
    ['the org lists them with the others: the rest is taken likewise', true, undefined],
    ['the org does not: then tokens may be missing', false, /not asked for/],
  ])('%s', async (_title, ecaInOauthToken, lacks) => {
    await using org = await startSalesforce({
      seed: 5,
      size: { users: 2_050, apps: 14, tokens: 3_000 },
      switches: { ecaInOauthToken },
    })
    const { external } = externalOf(org)
    for (const { id } of org.truth.users()) {
      org.addGrant({ userId: id, appId: external.appId, createdAt: AT })
    }
    const { end, notes } = await inventoryOf(org)
    expect(end.whole).toBe(true)
    if (lacks) expect(end.lacks).toMatch(lacks)
    else expect(end.lacks).toBeUndefined()
    expect(notes.join(' ')).toMatch(/was not asked for the tokens of \d+ users/)
  })
})
