import { seededRandom } from '../../../src/core/clock.ts'
import { noOutcomes, type Outcome } from '../../../src/core/outcome.ts'
import { isDead, noProofs, type Proof } from '../../../src/core/proof.ts'
import type {
  AppTally,
  InventoryFacts,
  ReportModel,
  RunSummary,
  Tally,
  TokenLine,
  UserTally,
} from '../../../src/sweep/report/model.ts'

export interface Sample {
  readonly planned?: number
  readonly apps?: number
  readonly users?: number
  /** Tokens that are alive, and that are unknown; the rest is dead. */
  readonly alive?: number
  readonly unknown?: number
  readonly unsent?: number
  readonly cameBack?: number
  readonly state?: RunSummary['state']
  readonly partial?: boolean
  readonly withoutProof?: boolean
  /** Replaces the names of the first apps and users. */
  readonly names?: readonly string[]
  readonly seed?: number
}

export const HOSTILE_NAMES: readonly string[] = [
  '<script>alert("app")</script>',
  '"><img src=x onerror=alert(1)>&amp;',
  '\u202egpj.exe\u202c تطبيق المبيعات',
  `${'Verylongname'.repeat(60)}`,
  '👩🏽‍🚀 Växjö 數據載入器 ☕️',
  '=HYPERLINK("http://evil.example","x")',
  '\u001b[31mred\u001b[0m\r\nnew line',
  '\ud800 lone surrogate',
]

const APP_NAMES = [
  'Drift',
  'Salesloft Connect',
  'Dataloader Bulk',
  'Workbench',
  'Gong for Salesforce',
  'Slack',
  'Outreach Sync',
  'Chatter Desktop',
  'Zapier',
  'LinkedIn Sales Navigator',
]
const FIRST = ['Ada', 'Grace', 'Linus', 'Margaret', 'Dennis', 'Barbara', 'Ken', 'Radia', 'Edsger']
const LAST = ['Okafor', 'Lindqvist', 'Moreau', 'Tanaka', 'Reyes', 'Haddad', 'Novak', 'Byrne']
const COMEBACKS: readonly (readonly [AppTally['comeback'], string])[] = [
  ['at_once', 'admin pre-approved, so that a JWT bearer login mints a new token without a person'],
  ['one_consent', 'users may authorize it themselves; one click brings it back'],
  ['admin', 'only users that an admin allowed may use it'],
  ['blocked', 'blocked by the org policy'],
  ['unknown', 'the provider does not say who may authorize it'],
]
const START = Date.parse('2025-09-14T02:13:05Z')
const RULES = ['kill[0]: user.active is false', 'kill[1]: app.name is Drift*, Salesloft*']

/** Makes a model whose counts all come from its own token lines. */
export function sampleModel(sample: Sample = {}): ReportModel {
  const planned = sample.planned ?? 11_820
  const tokens = makeTokens(sample, planned)
  const summary = makeSummary(sample, tokens)
  const before = makeInventory('inv_7Qm2', '2025-09-14T02:09:41Z', planned + 312, sample.partial)
  return {
    summary,
    account: { id: '00D5g000004XyZaEAK', name: 'Acme Inc', url: 'https://acme.my.salesforce.com' },
    actor: 'nadia.brenner@acme.example',
    planHash: 'sha256:9f2c4e1b7a80d355c1e6b8f04427ad91e30cb6a2754f18d96e0b1c7752ad4e08',
    policy: POLICY,
    chosen: planned,
    spared: 41,
    undecided: 12,
    untouched: 259,
    rules: countRules(tokens),
    kills:
      planned === 0
        ? []
        : [
            { reach: 'app', calls: 1, tokens: Math.floor(planned / 3) },
            {
              reach: 'token',
              calls: planned - Math.floor(planned / 3),
              tokens: planned - Math.floor(planned / 3),
            },
          ],
    before,
    after: sample.withoutProof
      ? null
      : makeInventory('inv_8Rt5', '2025-09-14T02:17:50Z', 312, sample.partial),
    secondLook: sample.withoutProof
      ? null
      : makeInventory('inv_9Bx1', '2025-09-14T02:33:02Z', 316, sample.partial),
    apps: tallyApps(tokens, sample.cameBack ?? 0),
    users: tallyUsers(tokens),
    timeline: makeTimeline(summary),
    timeToDeadMs: summary.dead === 0 ? null : { median: 284_000, p90: 285_400, max: 1_197_000 },
    left: makeLeft(summary),
    events: makeEvents(planned),
    tokens: () => tokens,
    version: '0.1.0',
    madeAt: '2025-09-14T02:33:10Z',
  }
}

const POLICY: ReportModel['policy'] = {
  name: 'leavers-and-drift',
  why: 'leavers, and the vendor breached on 2025-08-08',
  hash: 'sha256:1d5c0f77ab',
  text: `name: leavers-and-drift
why: leavers, and the vendor breached on 2025-08-08
kill:                       # any of these
  - user: { active: false }
  - app: { name: ["Drift*", "Salesloft*"], createdBefore: 2025-09-01 }
spare:                      # beats kill
  - user: { name: "integration@acme.example" }
limit: { tokens: 15000, share: 99% }
`,
}

function makeTokens(sample: Sample, planned: number): readonly TokenLine[] {
  const random = seededRandom(sample.seed ?? 7)
  const apps = names(sample.apps ?? 24, sample.names ?? [], appName)
  const users = names(sample.users ?? 640, sample.names ?? [], userName)
  const alive = Math.min(planned, sample.alive ?? 3)
  const unknown = Math.min(planned - alive, sample.unknown ?? 5)
  const stride = Math.max(1, Math.floor(planned / Math.max(1, alive + unknown)))
  const at = (index: number) => new Date(START + index * 22).toISOString()
  let open = 0
  return Array.from({ length: planned }, (_, index) => {
    const stands = index % stride === 0 && open < alive + unknown
    const verdict = !stands ? 'dead' : open < alive ? 'alive' : 'unknown'
    if (stands) open += 1
    const fate = fateOf(verdict, open <= (sample.unsent ?? 0) && stands, random())
    const sent = fate.outcome !== 'unsent'
    return {
      fingerprint: `fp_${Math.floor(random() * 2 ** 48)
        .toString(16)
        .padStart(24, '0')}`,
      kind: random() < 0.9 ? 'grant' : 'session',
      // The first of each name gets at least one token; then the small ones are common.
      user: users[index < users.length ? index : Math.floor(random() * users.length)] ?? '',
      app: apps[index < apps.length ? index : Math.floor(random() ** 2.4 * apps.length)] ?? '',
      createdAt: '2025-03-02T10:11:12.000Z',
      lastUsedAt: random() < 0.2 ? null : '2025-09-01T08:00:00.000Z',
      rule: RULES[random() < 0.7 ? 0 : 1] ?? '',
      ...fate,
      answeredAt: sent ? at(index) : null,
      proofAt: verdict === 'dead' ? '2025-09-14T02:17:50.000Z' : sent ? at(index) : null,
      evidence: verdict === 'dead' ? 'inventory inv_8Rt5' : null,
      verdict,
    }
  })
}

type Fate = Pick<TokenLine, 'outcome' | 'code' | 'proof'>

function fateOf(verdict: TokenLine['verdict'], unsent: boolean, chance: number): Fate {
  if (unsent) return { outcome: 'unsent', code: null, proof: 'none' }
  switch (verdict) {
    case 'alive':
      return { outcome: 'failed', code: 'http_503', proof: 'sent' }
    case 'unknown':
      return chance < 0.5
        ? { outcome: 'in_doubt', code: 'http_reset', proof: 'sent' }
        : { outcome: 'revoked', code: 'http_200', proof: 'acked' }
    case 'dead':
      return chance < 0.98
        ? { outcome: 'revoked', code: 'http_200', proof: 'absent' }
        : { outcome: 'already_dead', code: 'invalid_token', proof: 'absent' }
  }
}

function names(
  count: number,
  first: readonly string[],
  make: (index: number) => string,
): readonly string[] {
  return Array.from({ length: count }, (_, index) => first[index] ?? make(index))
}

function appName(index: number): string {
  return APP_NAMES[index] ?? `Connected App ${index + 1}`
}

function userName(index: number): string {
  const first = FIRST[index % FIRST.length] ?? ''
  const last = LAST[index % LAST.length] ?? ''
  return `${first}.${last}${index}@acme.example`.toLowerCase()
}

function makeSummary(sample: Sample, tokens: readonly TokenLine[]): RunSummary {
  const outcomes = noOutcomes()
  const proof = noProofs()
  let unsent = 0
  for (const token of tokens) {
    proof[token.proof] += 1
    if (token.outcome === 'unsent') unsent += 1
    else outcomes[token.outcome satisfies Outcome] += 1
  }
  const state = sample.state ?? 'finished'
  return {
    run: 'run_4KfW',
    plan: 'plan_2HsD',
    tenant: 'acme-production',
    state,
    planned: tokens.length,
    outcomes,
    unsent,
    proof,
    ...count(tokens),
    cameBack: sample.cameBack ?? 0,
    startedAt: new Date(START).toISOString(),
    finishedAt: state === 'finished' ? '2025-09-14T02:33:02.000Z' : null,
    why:
      state === 'stopped'
        ? 'the breaker opened: 31 of the last 100 kills failed with http_503'
        : null,
  }
}

function count(tokens: readonly TokenLine[]): Omit<Tally, 'planned'> {
  const of = (verdict: TokenLine['verdict']) => tokens.filter((t) => t.verdict === verdict).length
  return { dead: of('dead'), alive: of('alive'), unknown: of('unknown') }
}

function makeInventory(
  inventory: string,
  takenAt: string,
  tokens: number,
  partial = false,
): InventoryFacts {
  return {
    inventory,
    takenAt,
    tokens,
    counted: { before: tokens, after: tokens },
    complete: !partial,
    why: partial
      ? 'the credential lacks Customize Application, so it sees its own tokens only'
      : 'every slice is under the cap of 2,500 rows, and the count was the same before and after',
    notes: partial ? ['Sessions without a refresh token were not listed.'] : [],
  }
}

function tallyBy(
  tokens: readonly TokenLine[],
  key: 'app' | 'user',
): readonly (readonly [string, Tally])[] {
  const groups = new Map<
    string,
    { planned: number; dead: number; alive: number; unknown: number }
  >()
  for (const token of tokens) {
    const tally = groups.get(token[key]) ?? { planned: 0, dead: 0, alive: 0, unknown: 0 }
    tally.planned += 1
    tally[token.verdict] += 1
    groups.set(token[key], tally)
  }
  return [...groups]
}

function tallyApps(tokens: readonly TokenLine[], cameBack: number): readonly AppTally[] {
  return tallyBy(tokens, 'app').map(([label, tally], index) => {
    const [comeback, comebackWhy] = COMEBACKS[index % COMEBACKS.length] ?? ['unknown', '']
    return {
      id: `0H45g00000000${String(index).padStart(5, '0')}`,
      label,
      kind: index % 4 === 3 ? 'external' : index % 7 === 6 ? 'uninstalled' : 'connected',
      ...tally,
      cameBack: index === 0 ? cameBack : 0,
      comeback,
      comebackWhy,
    }
  })
}

function tallyUsers(tokens: readonly TokenLine[]): readonly UserTally[] {
  return tallyBy(tokens, 'user').map(([name, tally], index) => ({
    id: `0055g0000000${String(index).padStart(6, '0')}`,
    name,
    displayName: index % 3 === 0 ? null : (FIRST[index % FIRST.length] ?? null),
    active: index % 5 === 0,
    frozen: index % 11 === 0 ? true : index % 2 === 0 ? false : null,
    ...tally,
  }))
}

function countRules(tokens: readonly TokenLine[]): ReportModel['rules'] {
  return RULES.map((rule) => ({ rule, count: tokens.filter((t) => t.rule === rule).length }))
}

function makeTimeline({ planned, dead, unsent }: RunSummary): ReportModel['timeline'] {
  if (planned === 0) return []
  const answered = planned - unsent
  const kills = Array.from({ length: 120 }, (_, index) => ({
    at: START + index * 2300,
    answered: Math.round(answered * ((index + 1) / 120) ** 1.3),
    dead: 0,
  }))
  return [
    ...kills,
    { at: START + 285_000, answered, dead: Math.floor(dead * 0.997) },
    { at: START + 1_197_000, answered, dead },
  ]
}

function makeLeft({ alive, unknown, cameBack }: RunSummary): ReportModel['left'] {
  const left = []
  if (alive > 0) {
    left.push({
      what: 'Tokens that the provider would not revoke',
      why: 'the provider answered http_503 to each of 5 attempts',
      todo: 'Run "rescind resume run_4KfW". If they stay: Setup > Connected Apps OAuth Usage > Revoke.',
      count: alive,
    })
  }
  if (unknown > 0) {
    left.push({
      what: 'Tokens whose death is not proven',
      why: 'no answer came, and the slice that holds them could not be read whole',
      todo: 'Run "rescind verify run_4KfW" in an hour.',
      count: unknown,
    })
  }
  if (cameBack > 0) {
    left.push({
      what: 'Apps that came back: Drift',
      why: 'admin pre-approved, so that a JWT bearer login mints a new token without a person',
      todo: 'Block it with "rescind block --app Drift", or change its Permitted Users by hand.',
      count: 1,
    })
  }
  return left
}

function makeEvents(planned: number): ReportModel['events'] {
  if (planned === 0) return []
  return [
    { at: '2025-09-14T02:13:05.000Z', kind: 'start', text: 'a canary batch of 25 kills was sent' },
    { at: '2025-09-14T02:13:07.000Z', kind: 'canary', text: 'all 25 are gone from the list' },
    { at: '2025-09-14T02:14:40.000Z', kind: 'slow-down', text: 'http_429, from 64 at once to 32' },
    { at: '2025-09-14T02:17:50.000Z', kind: 'look', text: 'inventory inv_8Rt5 was taken' },
    { at: '2025-09-14T02:33:02.000Z', kind: 'look', text: 'second look, inventory inv_9Bx1' },
  ]
}

/** Says whether a rung and a verdict agree, for the sample itself. */
export function agrees(proof: Proof, verdict: TokenLine['verdict']): boolean {
  return isDead(proof) === (verdict === 'dead')
}
