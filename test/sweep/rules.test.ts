import { describe, expect, test } from 'vitest'
import type { AppRow, UserRow } from '../../src/core/listing.ts'
import type { Fingerprint } from '../../src/core/secret.ts'
import { salesforce } from '../../src/providers/salesforce/index.ts'
import type { ListedToken } from '../../src/store/inventories.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { compilePolicy, type Verdict } from '../../src/sweep/rules.ts'
import { app, user } from '../support/listing.ts'

const NOW = Date.UTC(2025, 8, 1)
const DAY_MS = 86_400_000

function listed(more: Partial<ListedToken> = {}): ListedToken {
  return {
    fingerprint: 'fp_1' as Fingerprint,
    kind: 'grant',
    userId: 'u1',
    appId: 'a1',
    appMatch: 'id',
    createdAt: NOW - 100 * DAY_MS,
    lastUsedAt: NOW - 10 * DAY_MS,
    useCount: 3,
    own: false,
    ...more,
  }
}

interface Around {
  readonly users?: readonly UserRow[]
  readonly apps?: readonly AppRow[]
}

function judge(policy: string, token: ListedToken, around: Around = {}): Verdict {
  const { users = [user('u1')], apps = [app('a1')] } = around
  return compilePolicy(parsePolicy(`{ name: x, ${policy} }`, 'x'), {
    users: new Map(users.map((row) => [row.id, row])),
    apps: new Map(apps.map((row) => [row.id, row])),
    now: NOW,
    canonicalId: salesforce.canonicalId?.bind(salesforce),
  })(token)
}

/** What one kill rule says: yes is kill, no is untouched. */
const said = { kill: 'yes', untouched: 'no', undecided: 'undecided', spare: 'spare' } as const

describe('one rule answers yes, no or undecided', () => {
  const table: [string, Partial<ListedToken>, Around, string][] = [
    ['user: { active: false }', {}, { users: [user('u1', { active: false })] }, 'yes'],
    ['user: { active: false }', {}, { users: [user('u1')] }, 'no'],
    ['user: { active: false }', {}, { users: [user('u1', { active: null })] }, 'undecided'],
    ['user: { active: false }', {}, { users: [] }, 'undecided'],
    ['user: { active: false }', { userId: null }, {}, 'undecided'],
    ['user: { frozen: true }', {}, { users: [user('u1', { frozen: null })] }, 'undecided'],
    ['user: { frozen: true }', {}, { users: [user('u1', { frozen: true })] }, 'yes'],
    ['user: { id: U1 }', {}, { users: [] }, 'yes'],
    ['user: { id: u1 }', { userId: null }, {}, 'undecided'],
    ['user: { type: Guest }', {}, { users: [user('u1', { type: null })] }, 'undecided'],
    ['user: { profile: Sal* }', {}, {}, 'yes'],
    ['app: { name: a1 }', {}, {}, 'yes'],
    ['app: { name: a1 }', { appId: null, appMatch: 'none' }, {}, 'undecided'],
    ['app: { name: a1 }', { appId: 'gone' }, {}, 'undecided'],
    ['app: { kind: external }', {}, {}, 'no'],
    ['app: { installed: false }', {}, { apps: [app('a1', { installed: null })] }, 'undecided'],
    ['app: { installed: false }', {}, { apps: [app('a1', { installed: false })] }, 'yes'],
    ['app: { name: a1, createdBefore: 2025-09-01 }', {}, {}, 'yes'],
    ['app: { name: a1, createdBefore: 2025-01-01 }', {}, {}, 'no'],
    ['app: { name: a1, createdBefore: 2025-01-01 }', { createdAt: null }, {}, 'undecided'],
    ['app: { name: zz, createdBefore: 2025-01-01 }', { createdAt: null }, {}, 'no'],
    ['created: { olderThan: 99d }', {}, {}, 'yes'],
    ['created: { olderThan: 100d }', {}, {}, 'no'],
    ['created: { after: 2025-01-01, before: 2025-09-01 }', {}, {}, 'yes'],
    ['created: { after: 2025-01-01 }', { createdAt: null }, {}, 'undecided'],
    ['lastUsed: { olderThan: 9d }', {}, {}, 'yes'],
    ['lastUsed: { olderThan: 10d }', {}, {}, 'no'],
    ['lastUsed: { olderThan: 9d }', { lastUsedAt: null, useCount: 0 }, {}, 'yes'],
    ['lastUsed: { olderThan: 101d }', { lastUsedAt: null, useCount: 0 }, {}, 'no'],
    ['lastUsed: { olderThan: 9d }', { lastUsedAt: null, useCount: null }, {}, 'undecided'],
    ['lastUsed: { olderThan: 9d }', { lastUsedAt: null, useCount: 4 }, {}, 'undecided'],
    ['lastUsed: { before: 2025-08-30 }', {}, {}, 'yes'],
    ['kind: session', {}, {}, 'no'],
    ['kind: grant', {}, {}, 'yes'],
  ]
  test.for(table)('%s on %j among %j: %s', ([rule, token, around, expected]) => {
    expect(said[judge(`kill: [{ ${rule} }]`, listed(token), around).verdict]).toBe(expected)
  })
})

/** Conditions of one rule that say yes, no and nothing, on a token whose creation is not known. */
const SAYS = {
  yes: 'kind: grant',
  no: 'kind: session',
  undecided: 'created: { before: 2025-01-01 }',
}
const unclear = listed({ createdAt: null })
type Says = keyof typeof SAYS

describe('rules together', () => {
  const kill = ['yes', 'no', 'undecided'] as const
  const spare = [...kill, 'none'] as const
  const expected: Record<Says, Record<Says | 'none', string>> = {
    yes: { yes: 'spare', no: 'kill', undecided: 'undecided', none: 'kill' },
    no: { yes: 'untouched', no: 'untouched', undecided: 'untouched', none: 'untouched' },
    undecided: { yes: 'spare', no: 'undecided', undecided: 'undecided', none: 'undecided' },
  }
  const cases = kill.flatMap((k) => spare.map((s) => [k, s] as const))
  test.for(cases)('kill says %s, spare says %s', ([k, s]) => {
    const policy = `kill: [{ ${SAYS[k]} }], spare: [${s === 'none' ? '' : `{ ${SAYS[s]} }`}]`
    expect(judge(policy, unclear).verdict).toBe(expected[k][s])
  })

  test('a sure yes is preferred to an earlier doubt, in both lists', () => {
    const doubtThenYes = `[{ ${SAYS.undecided} }, { ${SAYS.yes} }]`
    expect(judge(`kill: ${doubtThenYes}`, unclear)).toMatchObject({
      verdict: 'kill',
      rule: 'kill 2: kind=grant',
    })
    expect(judge(`kill: [{ ${SAYS.yes} }], spare: ${doubtThenYes}`, unclear)).toMatchObject({
      verdict: 'spare',
    })
  })

  test('a sure no of one condition outweighs the doubt of another', () => {
    expect(
      judge('kill: [{ created: { before: 2025-01-01 }, kind: session }]', unclear).verdict,
    ).toBe('untouched')
  })

  test('what Rescind works with is spared, whatever the policy says, and only where a rule spoke of it', () => {
    const own = listed({ own: true, createdAt: null })
    for (const rule of [SAYS.yes, SAYS.undecided]) {
      expect(judge(`kill: [{ ${rule} }]`, own)).toMatchObject({
        verdict: 'spare',
        rule: 'own credential',
      })
    }
    expect(judge(`kill: [{ ${SAYS.no} }]`, own).verdict).toBe('untouched')
  })
})

describe('two apps with one label', () => {
  const apps = [
    app('0H4000000000001AAA', { label: 'Reporting' }),
    app('0H4000000000002AAA', { label: 'Reporting' }),
    app('label:Reporting', { label: 'Reporting', kind: 'ambiguous', match: 'label' }),
    app('label:Other', { label: 'Other', kind: 'uninstalled', match: 'label' }),
  ]
  const byId = 'kill: [{ app: { id: 0H4000000000001AAA } }]'
  test.for([
    [byId, '0H4000000000001AAA', 'kill'],
    [byId, '0H4000000000002AAA', 'untouched'],
    [byId, 'label:Reporting', 'undecided'],
    [byId, 'label:Other', 'untouched'],
    ['kill: [{ app: { name: Reporting } }]', 'label:Reporting', 'kill'],
    [
      'kill: [{ app: { name: Reporting } }], spare: [{ app: { id: 0H4000000000002AAA } }]',
      'label:Reporting',
      'undecided',
    ],
    [
      'kill: [{ app: { name: Reporting } }], spare: [{ app: { id: 0H4000000000002AAA } }]',
      '0H4000000000001AAA',
      'kill',
    ],
  ] as const)('%s on %s: %s', ([policy, appId, verdict]) => {
    expect(judge(policy, listed({ appId }), { apps }).verdict).toBe(verdict)
  })
})

describe('ids as Salesforce shows them: 15 characters, or 18', () => {
  const apps = [app('0H4Wt0000000001KAA'), app('0H4Wt000000000bKAA')]
  test.for([
    ['0H4Wt0000000001', 'kill'],
    ['0H4Wt0000000001KAA', 'kill'],
    ['0h4wt0000000001kaa', 'kill'],
    ['0H4Wt0000000002', 'untouched'],
    ['0h4wt0000000001', 'untouched'],
  ] as const)('%s', ([id, verdict]) => {
    const token = listed({ appId: '0H4Wt0000000001KAA' })
    expect(judge(`kill: [{ app: { id: ${id} } }]`, token, { apps }).verdict).toBe(verdict)
  })

  test('a spared id of 15 characters spares', () => {
    const token = listed({ appId: '0H4Wt0000000001KAA', userId: '005Wt0000000001IAA' })
    const spare = (rule: string) =>
      judge(`kill: [{ kind: grant }], spare: [{ ${rule} }]`, token, { apps }).verdict
    expect(spare('app: { id: 0H4Wt0000000001 }')).toBe('spare')
    expect(spare('user: { id: 005Wt0000000001 }')).toBe('spare')
  })
})
