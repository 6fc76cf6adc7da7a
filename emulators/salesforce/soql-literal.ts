import { SoqlError } from './soql-error.ts'

/** A value in a query: a scalar, or a span of time that a date literal stands for. */
export type Literal =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'number'; readonly value: number }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'null' }
  | { readonly type: 'datetime'; readonly value: number }
  | { readonly type: 'date'; readonly value: number }
  /** From `fromMs` up to but without `toMs`. */
  | { readonly type: 'span'; readonly fromMs: number; readonly toMs: number }

const DAY_MS = 86_400_000

/** Reads one literal of the parser's tree, by the type that the parser gave it. */
export function readLiteral(type: string, raw: string, nowMs: number): Literal {
  switch (type) {
    case 'STRING':
      return { type: 'string', value: unquote(raw) }
    case 'INTEGER':
    case 'DECIMAL':
      return { type: 'number', value: Number(raw) }
    case 'BOOLEAN':
      return { type: 'boolean', value: raw.toUpperCase() === 'TRUE' }
    case 'NULL':
      return { type: 'null' }
    case 'DATETIME':
      return { type: 'datetime', value: instantOf(raw) }
    case 'DATE':
      return { type: 'date', value: instantOf(`${raw}T00:00:00Z`) }
    case 'DATE_LITERAL':
    case 'DATE_N_LITERAL':
      return spanOf(raw.toUpperCase(), nowMs)
    default:
      throw new SoqlError('MALFORMED_QUERY', `unexpected token: '${raw}'`)
  }
}

function unquote(raw: string): string {
  const inner = /^'([\s\S]*)'$/.exec(raw)?.[1] ?? raw
  return inner.replace(/\\(.)/gs, (_, char: string) => ESCAPES[char] ?? char)
}

/** LIKE keeps its own escapes, so `\_` and `\%` come through as they are. */
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  f: '\f',
  _: '\\_',
  '%': '\\%',
}

function instantOf(raw: string): number {
  const iso = raw.replace(/([+-]\d{2})(\d{2})$/, '$1:$2')
  const instant = Date.parse(iso)
  if (Number.isNaN(instant)) throw new SoqlError('MALFORMED_QUERY', `invalid dateTime: ${raw}`)
  return instant
}

function spanOf(raw: string, nowMs: number): Literal {
  const [name = '', count = '0'] = raw.split(':')
  const n = Number(count)
  const counted = /^(LAST|NEXT)_N_(DAY|WEEK|MONTH|QUARTER|YEAR)S$/.exec(name)
  if (counted !== null) return countedSpan(counted[1]!, counted[2]!, n, nowMs)
  const ago = /^N_(DAY|WEEK|MONTH|QUARTER|YEAR)S_AGO$/.exec(name)
  if (ago !== null) return unitSpan(ago[1]!, -n, nowMs)
  const near = /^(LAST|THIS|NEXT)_(WEEK|MONTH|QUARTER|YEAR)$/.exec(name)
  if (near !== null) return unitSpan(near[2]!, { LAST: -1, THIS: 0, NEXT: 1 }[near[1]!]!, nowMs)
  const days = { YESTERDAY: -1, TODAY: 0, TOMORROW: 1 }[name]
  if (days !== undefined) return unitSpan('DAY', days, nowMs)
  if (name === 'LAST_90_DAYS') return countedSpan('LAST', 'DAY', 90, nowMs)
  if (name === 'NEXT_90_DAYS') return countedSpan('NEXT', 'DAY', 90, nowMs)
  throw new SoqlError('MALFORMED_QUERY', `date literal not known to this org: ${raw}`)
}

/** LAST_N_DAYS reaches from n days ago to the end of today; for longer units the current one is left out. */
function countedSpan(side: string, unit: string, n: number, nowMs: number): Literal {
  const withToday = unit === 'DAY' && side === 'LAST' ? 1 : 0
  const [first, last] = side === 'LAST' ? [-n, withToday] : [1, n + 1]
  return { type: 'span', fromMs: startOf(unit, first, nowMs), toMs: startOf(unit, last, nowMs) }
}

function unitSpan(unit: string, offset: number, nowMs: number): Literal {
  return {
    type: 'span',
    fromMs: startOf(unit, offset, nowMs),
    toMs: startOf(unit, offset + 1, nowMs),
  }
}

function startOf(unit: string, offset: number, nowMs: number): number {
  const now = new Date(nowMs)
  const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()]
  const today = Math.floor(nowMs / DAY_MS) * DAY_MS
  switch (unit) {
    case 'DAY':
      return today + offset * DAY_MS
    case 'WEEK':
      return today + (offset * 7 - now.getUTCDay()) * DAY_MS
    case 'MONTH':
      return Date.UTC(year, month + offset, 1)
    case 'QUARTER':
      return Date.UTC(year, Math.floor(month / 3) * 3 + offset * 3, 1)
    default:
      return Date.UTC(year + offset, 0, 1)
  }
}
