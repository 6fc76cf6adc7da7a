import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  canonicalPolicy,
  describeRule,
  durationMs,
  hashPolicy,
  momentMs,
  parsePolicy,
  policyFromFlags,
  policySchema,
} from '../../src/sweep/policy.ts'

const parse = (text: string) => parsePolicy(text, 'p.yaml')
const EXAMPLE = `
name: leavers-and-drift
why: leavers, and the vendor breached on 2025-08-08
kill:                       # any of these
  - user: { active: false }
  - app: { name: ["Drift*", "Salesloft*"], createdBefore: 2025-09-01 }
  - lastUsed: { olderThan: 90d }
spare:                      # beats kill
  - app: { id: "0H4xx0000000001" }
  - user: { name: "integration@acme.example" }
limit: { tokens: 5000, share: 40% }   # past this, no plan
`

describe('a policy', () => {
  test('of the documentation is read as it is written', () => {
    expect(parse(EXAMPLE)).toMatchObject({
      name: 'leavers-and-drift',
      kill: [{ user: { active: false } }, { app: { name: ['Drift*', 'Salesloft*'] } }, {}],
      limit: { tokens: 5000, share: '40%' },
    })
  })

  test('and its JSON Schema agree', () => {
    const published = z.fromJSONSchema(z.toJSONSchema(policySchema, { io: 'input' }) as never)
    const takes = (policy: unknown) => published.safeParse(policy).success
    expect(takes({ name: 'x', kill: [{ user: { active: false } }] })).toBe(true)
    expect(takes({ name: 'x', kill: [{ user: { activ: false } }] })).toBe(false)
    expect(takes({ name: 'x', kill: [] })).toBe(false)
  })

  test.for([
    ['an unknown key', 'name: x\nkill:\n  - ap: { name: y }\n', 3, 5, /Did you mean "app"/],
    [
      'a key far from any',
      'name: x\nkill:\n  - zzzzzzzz: 1\n',
      3,
      5,
      /Known here: user, app, created, lastUsed, kind/,
    ],
    [
      'a duplicate key',
      'name: x\nname: y\nkill: []\n',
      2,
      1,
      /not valid YAML: Map keys must be unique/,
    ],
    ['a tab', 'name: x\nkill:\n\t- user: { active: false }\n', 3, 1, /not valid YAML/],
    ['two documents', 'name: x\n---\nname: y\n', 2, 1, /not valid YAML/],
    ['an empty name', 'name: ""\nkill: [{ user: { active: false } }]\n', 1, 1, /"name"/],
    [
      'a yes that is no boolean',
      'name: x\nkill: [{ user: { active: "no" } }]\n',
      2,
      18,
      /expected boolean/,
    ],
    [
      'an empty list of names',
      'name: x\nkill: [{ app: { name: [] } }]\n',
      2,
      17,
      /"kill 1: app.name"/,
    ],
    ['an empty pattern', 'name: x\nkill: [{ app: { name: "" } }]\n', 2, 17, /"kill 1: app.name"/],
    [
      'a share without its sign',
      'name: x\nkill: [{ user: { active: false } }]\nlimit: { share: 40 }\n',
      3,
      10,
      /expected string/,
    ],
    [
      'a share over all',
      'name: x\nkill: [{ user: { active: false } }]\nlimit: { share: 140% }\n',
      3,
      10,
      /like 40%/,
    ],
    [
      'half a token',
      'name: x\nkill: [{ user: { active: false } }]\nlimit: { tokens: 1.5 }\n',
      3,
      10,
      /"limit\.tokens"/,
    ],
    ['nothing after a colon', 'name: x\nkill:\n  - user:\n', 3, 5, /"kill 1: user"/],
  ] as const)('with %s is refused at its line and column', ([, text, line, column, message]) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'policy_invalid' }))
    expect(() => parse(text)).toThrow(new RegExp(`^p\\.yaml:${line}:${column}: `))
    expect(() => parse(text)).toThrow(message)
  })

  test('over a megabyte is some other file', () => {
    expect(() => parse(`name: x #${' '.repeat(1024 * 1024)}`)).toThrow(/larger than 1 MB/)
  })

  test('of aliases upon aliases is not blown up', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join()}]`)
      .join('\n')}\n`
    expect(() => parse(bomb)).toThrow(expect.objectContaining({ code: 'policy_invalid' }))
  })
})

describe('RFC 3339 moments, in UTC unless they say otherwise', () => {
  test.for([
    ['2025-09-01', '2025-09-01T00:00:00Z'],
    ['2025-09-01T12:00', '2025-09-01T12:00:00Z'],
    ['2025-09-01 12:00:30', '2025-09-01T12:00:30Z'],
    ['2025-09-01T12:00:00Z', '2025-09-01T12:00:00Z'],
    ['2025-09-01T12:00:00.250+02:00', '2025-09-01T10:00:00.250Z'],
    ['2024-02-29', '2024-02-29T00:00:00Z'],
  ] as const)('%s', ([text, same]) => {
    expect(momentMs(text)).toBe(Date.parse(same))
  })

  test.for([
    '2025-02-29',
    '2025-02-31',
    '2025-04-31T10:00',
    '2025-13-01',
    '2025-00-10',
    '2025-01-00',
    '2025-1-1',
    '2025-09-01T25:00',
    '2025-09-01 noon',
    '1 Sep 2025',
    '20250901',
    '',
    '2025-09-01T12:00 CEST',
  ])('not %s', (text) => {
    expect(momentMs(text)).toBeNaN()
  })
})

describe('lengths of time', () => {
  test.for([
    ['30m', 1_800_000],
    ['12h', 43_200_000],
    ['90d', 7_776_000_000],
    ['2w', 1_209_600_000],
  ] as const)('%s', ([text, ms]) => {
    expect(durationMs(text)).toBe(ms)
  })
})

describe('flags', () => {
  test('are rules of their own, narrowed by one date', () => {
    const policy = policyFromFlags({
      userInactive: true,
      app: ['Drift*', 'O\'Hara: "x" # y'],
      unusedFor: '90d',
      createdBefore: '2025-09-01',
      spareUser: ['a@b'],
    })
    const created = { before: '2025-09-01' }
    expect(policy.kill).toEqual([
      { user: { active: false }, created },
      { app: { name: ['Drift*', 'O\'Hara: "x" # y'] }, created },
      { lastUsed: { olderThan: '90d' }, created },
    ])
    expect(policy.spare).toEqual([{ user: { name: ['a@b'] } }])
  })

  test('one date alone is a rule', () => {
    expect(policyFromFlags({ createdBefore: '2025-09-01' }).kill).toEqual([
      { created: { before: '2025-09-01' } },
    ])
  })

  test.for([[{}], [{ app: [] }], [{ spareApp: ['x'] }]])(
    'nothing to kill is refused: %j',
    ([flags]) => {
      expect(() => policyFromFlags(flags ?? {})).toThrow(expect.objectContaining({ code: 'usage' }))
    },
  )
})

describe('the hash of a policy', () => {
  test('depends on its meaning, not on the order of its keys', () => {
    const one = parse('{ name: x, kill: [{ app: { name: a, kind: connected } }] }')
    const two = parse('{ kill: [{ app: { kind: connected, name: a } }], name: x }')
    expect(canonicalPolicy(one)).toBe(canonicalPolicy(two))
    expect(hashPolicy(one)).toBe(hashPolicy(two))
    const other = parse('{ name: x, kill: [{ app: { name: b, kind: connected } }] }')
    expect(hashPolicy(other)).not.toBe(hashPolicy(one))
  })

  test('a rule in few words', () => {
    expect(
      describeRule('kill', 1, { app: { name: ['a', 'b'] }, created: { before: '2025-01-01' } }),
    ).toBe('kill 2: app.name=a|b, created.before=2025-01-01')
  })
})
