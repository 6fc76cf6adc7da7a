import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import { z } from 'zod'
import { RescindError } from '../core/errors.ts'
import { parseYaml } from '../core/yaml-file.ts'

/** `90d`, `12h`, `30m`: a length of time. */
const duration = z
  .string()
  .regex(/^\d+(m|h|d|w)$/, 'write a length of time like 90d, 12h or 30m')
  .describe('A length of time: 90d, 12h, 30m')

/** `2025-09-01` or `2025-09-01T12:00:00Z`: a moment, UTC unless it says otherwise. */
const moment = z
  .string()
  .refine((text) => !Number.isNaN(momentMs(text)), {
    message: 'write a date like 2025-09-01, or a time like 2025-09-01T12:00:00Z',
  })
  .describe('A date (2025-09-01) or a time (2025-09-01T12:00:00Z)')

/** One name or several; `*` stands for any text, `?` for one character; case does not matter. */
const names = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .describe('A name or several; * stands for any text')

/** At least one key: an empty condition would mean every token. */
function condition<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape).refine((value) => Object.keys(value).length > 0, {
    message: 'say at least one thing here: an empty rule would mean every token',
  })
}

const userCondition = condition({
  id: names.optional(),
  name: names.optional().describe('The login name'),
  active: z.boolean().optional(),
  frozen: z.boolean().optional(),
  type: names.optional(),
  profile: names.optional(),
})

const appCondition = condition({
  id: names.optional(),
  name: names.optional().describe('The label'),
  kind: names.optional(),
  installed: z.boolean().optional(),
  createdBefore: moment.optional().describe('Tokens of the app created before this moment'),
})

const ruleSchema = condition({
  user: userCondition.optional(),
  app: appCondition.optional(),
  created: condition({
    before: moment.optional(),
    after: moment.optional(),
    olderThan: duration.optional(),
  }).optional(),
  lastUsed: condition({ before: moment.optional(), olderThan: duration.optional() }).optional(),
  kind: z.enum(['grant', 'session']).optional(),
})

/** The schema of a policy file; its JSON Schema is published as `rescind/policy.schema.json`. */
export const policySchema = z.strictObject({
  name: z.string().min(1).max(100),
  why: z.string().max(2000).default(''),
  kill: z.array(ruleSchema).min(1).describe('A token is killed when any of these says yes'),
  spare: z.array(ruleSchema).default([]).describe('Beats kill'),
  limit: z
    .strictObject({
      tokens: z.int().min(0).optional().describe('Past this many chosen tokens, no plan'),
      share: z
        .string()
        .regex(/^(100|\d{1,2})(\.\d+)?%$/, 'write a share like 40%')
        .optional()
        .describe('Past this share of the inventory, no plan'),
    })
    .default({}),
})

export type Policy = z.output<typeof policySchema>
export type Rule = z.output<typeof ruleSchema>

/**
 * Reads a policy file.
 *
 * @param name how the file is called in messages
 * @throws RescindError `policy_invalid` with line, column and the nearest known key
 */
export function parsePolicy(text: string, name: string): Policy {
  return parseYaml(text, policySchema, name, 'policy_invalid')
}

/** The flags of a first try, instead of a policy file. */
export interface PolicyFlags {
  readonly userInactive?: boolean | undefined
  readonly userFrozen?: boolean | undefined
  readonly app?: readonly string[] | undefined
  readonly appId?: readonly string[] | undefined
  readonly unusedFor?: string | undefined
  readonly createdBefore?: string | undefined
  readonly spareApp?: readonly string[] | undefined
  readonly spareUser?: readonly string[] | undefined
}

/**
 * Makes a policy of flags. Each of `--user-inactive`, `--user-frozen`, `--app`, `--app-id` and
 * `--unused-for` is a kill rule of its own; `--created-before` narrows them all.
 *
 * @throws RescindError `usage` when nothing is chosen, `policy_invalid` for a value out of form
 */
export function policyFromFlags(flags: PolicyFlags): Policy {
  const kill: object[] = []
  if (flags.userInactive) kill.push({ user: { active: false } })
  if (flags.userFrozen) kill.push({ user: { frozen: true } })
  if (flags.app?.length) kill.push({ app: { name: [...flags.app] } })
  if (flags.appId?.length) kill.push({ app: { id: [...flags.appId] } })
  if (flags.unusedFor) kill.push({ lastUsed: { olderThan: flags.unusedFor } })
  const created = flags.createdBefore ? { created: { before: flags.createdBefore } } : {}
  if (kill.length === 0 && flags.createdBefore) kill.push({})
  if (kill.length === 0) {
    throw new RescindError(
      'usage',
      'Nothing says which tokens to kill. Give --policy FILE, or one of --user-inactive, --user-frozen, --app, --app-id, --unused-for, --created-before.',
    )
  }
  const spare: object[] = []
  if (flags.spareApp?.length) spare.push({ app: { name: [...flags.spareApp] } })
  if (flags.spareUser?.length) spare.push({ user: { name: [...flags.spareUser] } })
  const rules = kill.map((rule) => ({ ...rule, ...created }))
  const text = stringify({ name: 'flags', why: describeFlags(flags), kill: rules, spare })
  return parsePolicy(text, 'the flags, as a policy')
}

/** The flags as they were given, for whoever reads the report. */
function describeFlags(flags: PolicyFlags): string {
  const words: string[] = ['given as flags:']
  for (const [key, value] of Object.entries(flags)) {
    const flag = FLAG_NAMES[key as keyof PolicyFlags]
    if (flag === undefined || value === undefined || value === false) continue
    if (value === true) words.push(flag)
    for (const each of value === true ? [] : [value].flat()) words.push(`${flag} "${each}"`)
  }
  return words.join(' ')
}

const FLAG_NAMES: Readonly<Record<keyof PolicyFlags, string>> = {
  userInactive: '--user-inactive',
  userFrozen: '--user-frozen',
  app: '--app',
  appId: '--app-id',
  unusedFor: '--unused-for',
  createdBefore: '--created-before',
  spareApp: '--spare-app',
  spareUser: '--spare-user',
}

/** The canonical JSON of a policy: keys sorted, so that its hash depends on its meaning alone. */
export function canonicalPolicy(policy: Policy): string {
  return JSON.stringify(policy, (_key, value: unknown) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}

/** `sha256:` and the hex digest of the canonical policy. */
export function hashPolicy(policy: Policy): string {
  return `sha256:${createHash('sha256').update(canonicalPolicy(policy)).digest('hex')}`
}

/** A rule in few words, as plans and reports print it: `app.name=Drift*`. */
export function describeRule(list: 'kill' | 'spare', index: number, rule: Rule): string {
  const words: string[] = []
  const walk = (value: unknown, path: string) => {
    if (Array.isArray(value)) words.push(`${path}=${value.join('|')}`)
    else if (value !== null && typeof value === 'object') {
      for (const [key, inner] of Object.entries(value)) walk(inner, path ? `${path}.${key}` : key)
    } else if (value !== undefined) words.push(`${path}=${String(value)}`)
  }
  walk(rule, '')
  return `${list} ${index + 1}: ${words.join(', ')}`
}

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

const MOMENT = /^(\d{4}-\d\d-(\d\d))(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|[+-]\d\d:\d\d)?)?$/i

/** Reads a date or a time, UTC unless it says otherwise, as milliseconds; NaN when it is none. */
export function momentMs(text: string): number {
  const [, date, day, time, zone] = MOMENT.exec(text) ?? []
  if (date === undefined) return Number.NaN
  // Date.parse takes 31 February for 3 March, and a time without a zone for the machine's own.
  const isDay = new Date(Date.parse(date)).getUTCDate() === Number(day)
  return isDay ? Date.parse(`${date}T${time ?? '00:00'}${zone ?? 'Z'}`) : Number.NaN
}

/** Reads `90d` as milliseconds. */
export function durationMs(text: string): number {
  const unit = text.at(-1) as keyof typeof UNIT_MS
  return Number(text.slice(0, -1)) * UNIT_MS[unit]
}
