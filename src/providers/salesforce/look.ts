import type { Fingerprint, Secret } from '../../core/secret.ts'
import type { Account, KillToken, LookAnswer } from '../provider.ts'
import type { Connection } from './connection.ts'
import { listUsageTokens } from './external-apps.ts'
import { makeHandle, parseHandle } from './handles.ts'
import { inLanes, READ_LANES } from './lanes.ts'
import { countTokens, type OauthTokenRow, readSlice, sliceQuestions } from './oauth-tokens.ts'
import { isLastingRefusal, isRefusal } from './rest-answer.ts'
import { bothSights, readSight } from './sight.ts'
import { planSlices } from './slice-plan.ts'
import { allOf, queryRows, soqlText, soqlTime, textOf } from './soql.ts'

/** Condition text a query: a URL of 8 kB passes every proxy, and encoding adds a third. */
const CONDITION_CHARS_MAX = 5_000
/** What refuses a filter: the org does not have it, and another way is taken. */
const UNSUPPORTED = ['INVALID_FIELD', 'MALFORMED_QUERY']
/** Ids of sessions a query, for the same reason. */
const SESSION_IDS_MAX = 200

export interface LookMeans {
  readonly connection: Connection
  readonly account: Account
  readonly fingerprint: (secret: Secret) => Fingerprint
  readonly signal: AbortSignal | undefined
}

/**
 * Looks which tokens are listed now. Absence counts only where the list would show the token: what
 * the credential may not see is `unclear`, not absent.
 */
export async function lookAt(tokens: readonly KillToken[], means: LookMeans): Promise<LookAnswer> {
  const present = new Set<Fingerprint>()
  const unclear = new Set<Fingerprint>()
  if (tokens.length === 0) return { present, unclear }
  const { connection, account, signal } = means
  const before = await readSight(connection, account, signal)
  const kinds = {
    delete: [] as KillToken[],
    usage: [] as KillToken[],
    session: [] as KillToken[],
  }
  for (const token of tokens) {
    const handle = parseHandle(token.handle)
    if (handle) kinds[handle.kind].push(token)
    else unclear.add(token.fingerprint)
  }
  await lookAtGrants(kinds.delete, means, present, unclear)
  await lookAtUsage(kinds.usage, means, present, unclear)
  await lookAtSessions(kinds.session, means, present)
  const sight = bothSights(before, await readSight(connection, account, signal))
  for (const token of tokens) {
    const sees = token.kind === 'session' ? sight.sessions : sight.grants
    const isOwn = token.userId === account.caller.userId
    if (!present.has(token.fingerprint) && !sees && !isOwn) unclear.add(token.fingerprint)
  }
  for (const fingerprint of present) unclear.delete(fingerprint)
  return { present, unclear }
}

async function lookAtGrants(
  tokens: readonly KillToken[],
  means: LookMeans,
  present: Set<Fingerprint>,
  unclear: Set<Fingerprint>,
): Promise<void> {
  try {
    await lookByCondition(tokens, conditionOf, means, present, unclear)
  } catch (error) {
    if (!isRefusal(error, ...UNSUPPORTED)) throw error
    // This org does not filter by the moment: all tokens of the users are looked through.
    await lookByCondition(tokens, userConditionOf, means, present, unclear)
  }
}

type ConditionOf = (token: KillToken) => string

async function lookByCondition(
  tokens: readonly KillToken[],
  of: ConditionOf,
  means: LookMeans,
  present: Set<Fingerprint>,
  unclear: Set<Fingerprint>,
): Promise<void> {
  const work = async (batch: readonly KillToken[]) => ({
    batch,
    rows: await readWholeList(means.connection, conditionFor(batch, of), means.signal),
  })
  for await (const { batch, rows } of inLanes(batches(tokens, of), READ_LANES, work)) {
    const listed = new Set((rows ?? []).flatMap((row) => fingerprintOf(row, means)))
    for (const { fingerprint } of batch) {
      if (listed.has(fingerprint)) present.add(fingerprint)
      else if (rows === null) unclear.add(fingerprint)
    }
  }
}

/**
 * Reads all rows under a condition, sliced where one query would not show them all. Null when the
 * rows and their count do not come to agree.
 */
export async function readWholeList(
  connection: Connection,
  condition: string,
  signal: AbortSignal | undefined,
): Promise<readonly OauthTokenRow[] | null> {
  const count = await countTokens(connection, condition, signal)
  const questions = sliceQuestions(connection, { userIds: [], labels: [] }, signal)
  const rows: OauthTokenRow[] = []
  for (const slice of await planSlices(questions, count, condition)) {
    if (slice.count === 0) continue
    const read = await readSlice(connection, slice, signal)
    if (read.state !== 'whole') return null
    for (const row of read.rows) rows.push(row)
  }
  return rows
}

/** Returns the fingerprint of a listed row's handle; none for a row without one. */
export function fingerprintOf(
  row: OauthTokenRow,
  { fingerprint }: Pick<LookMeans, 'fingerprint'>,
): readonly Fingerprint[] {
  return row.deleteToken === null ? [] : [fingerprint(makeHandle('delete', row.deleteToken))]
}

function userConditionOf({ userId }: KillToken): string {
  return userId === null ? 'UserId = null' : `UserId = ${soqlText(userId)}`
}

/** A token is found by its user and its moment: a handle must not stand in a URL. */
function conditionOf(token: KillToken): string {
  const user = userConditionOf(token)
  if (token.createdAt === null) return `(${allOf(user, 'CreatedDate = null')})`
  const { createdAt } = token
  // Whole seconds are what the org stores; anything finer is caught by the next second's edge.
  const moment =
    createdAt % 1000 === 0
      ? `CreatedDate = ${soqlTime(createdAt)}`
      : allOf(
          `CreatedDate >= ${soqlTime(createdAt)}`,
          `CreatedDate < ${soqlTime(createdAt + 1000)}`,
        )
  return `(${allOf(user, moment)})`
}

function conditionFor(batch: readonly KillToken[], of: ConditionOf): string {
  const pairs = [...new Set(batch.map(of))]
  const condition = pairs.join(' OR ')
  return pairs.length > 1 ? `(${condition})` : condition
}

function* batches(tokens: readonly KillToken[], of: ConditionOf): Generator<readonly KillToken[]> {
  let batch: KillToken[] = []
  let chars = 0
  for (const token of tokens) {
    const length = of(token).length + ' OR '.length
    if (batch.length > 0 && chars + length > CONDITION_CHARS_MAX) {
      yield batch
      batch = []
      chars = 0
    }
    batch.push(token)
    chars += length
  }
  if (batch.length > 0) yield batch
}

async function lookAtUsage(
  tokens: readonly KillToken[],
  { connection, fingerprint, signal }: LookMeans,
  present: Set<Fingerprint>,
  unclear: Set<Fingerprint>,
): Promise<void> {
  const lists = new Map<string, { appId: string; userId: string }>()
  for (const { appId, userId, fingerprint: own } of tokens) {
    if (appId === null || userId === null) unclear.add(own)
    else lists.set(`${appId}/${userId}`, { appId, userId })
  }
  const read = async (pair: { appId: string; userId: string }) => {
    try {
      return { pair, found: await listUsageTokens(connection, pair.appId, pair.userId, signal) }
    } catch (error) {
      if (isLastingRefusal(error)) return { pair, found: null }
      throw error
    }
  }
  const asked = new Set(tokens.map((token) => token.fingerprint))
  for await (const { pair, found } of inLanes(lists.values(), READ_LANES, read)) {
    for (const token of found ?? []) {
      const listed = fingerprint(makeHandle('usage', token.id))
      if (asked.has(listed)) present.add(listed)
    }
    // What the org does not show is not gone.
    if (found === null) {
      for (const token of tokens) {
        const isOfPair = token.appId === pair.appId && token.userId === pair.userId
        if (isOfPair) unclear.add(token.fingerprint)
      }
    }
  }
}

async function lookAtSessions(
  tokens: readonly KillToken[],
  { connection, fingerprint, signal }: LookMeans,
  present: Set<Fingerprint>,
): Promise<void> {
  for (let start = 0; start < tokens.length; start += SESSION_IDS_MAX) {
    const batch = tokens.slice(start, start + SESSION_IDS_MAX)
    const ids = batch.flatMap((token) => parseHandle(token.handle)?.value.reveal() ?? [])
    const soql = `SELECT Id FROM AuthSession WHERE Id IN (${ids.map(soqlText).join(',')})`
    for (const row of await queryRows(connection, soql, { what: 'sessions', signal })) {
      const listed = fingerprint(makeHandle('session', textOf(row, 'Id') ?? ''))
      if (batch.some((token) => token.fingerprint === listed)) present.add(listed)
    }
  }
}
