import { type Kysely, type RawBuilder, type Selectable, sql } from 'kysely'
import type { Fingerprint, Secret } from '../core/secret.ts'
import { closable } from './closable.ts'
import { type ConnectionAccess, openConnectionAccess } from './connection-access.ts'
import { type NoticeStore, openNotices } from './notices.ts'
import { type ExchangeEnd, endExchange, openReconnects, type ReconnectStore } from './reconnects.ts'
import type { ConnectionTable, Schema } from './schema.ts'
import { newId, type StoreParts } from './store.ts'

/** Refreshes of one connection that are remembered: the rest of its history is kept longer. */
const REFRESHES_KEPT = 50
/** Other events of one connection that are remembered. */
const EVENTS_KEPT = 500
const REFRESHED = 'connection.refreshed'

/** A connection as its row has it; what is JSON is read by who knows its shape. */
export type ConnectionRow = Readonly<Selectable<ConnectionTable>>

/** Both tokens of a connection, opened. */
export interface StoredTokens {
  readonly version: number
  readonly access: Secret | null
  readonly refresh: Secret | null
  /** What was presented before `refresh`, while its provider would still take it. */
  readonly predecessor: Secret | null
  readonly predecessorUntil: number | null
}

/** What replaces both tokens at once. A null takes a token away; nothing keeps one by being left out. */
export interface NewTokens {
  readonly access: Secret | null
  readonly refresh: Secret | null
  readonly predecessor?: { readonly secret: Secret; readonly until: number } | null
  readonly expiresAt: number | null
  readonly renewAt: number | null
}

/** A token of a grant beside the one that a connection lives on: a newer one replaced it, or it was refused. */
export interface SupersededToken {
  readonly kind: 'access' | 'refresh'
  readonly token: Secret
  /** Whose the grant is, JSON; null where nobody said. */
  readonly identity: string | null
}

export interface NewConnectionEvent {
  readonly type: string
  readonly to: string
  /** JSON. */
  readonly cause: string | null
  /** Whether receivers are told. */
  readonly notice: boolean
}

/** One change of a connection, written whole or not at all: tokens, version, state, event, notice. */
export interface ConnectionChange extends ExchangeEnd {
  readonly set?: Partial<Omit<ConnectionRow, 'no' | 'id' | 'version' | 'created_at'>>
  readonly tokens?: NewTokens
  /** Kept, sealed, until they are known to be dead; no refresh token that a connection lives on. */
  readonly superseded?: readonly SupersededToken[]
  readonly events?: readonly NewConnectionEvent[]
}

export interface NewConnectionRow {
  readonly tenant: string
  readonly provider: string
  readonly owner: string
  readonly tags: string
  readonly state: string
  readonly scopes: string
  readonly identity: string | null
  readonly facts: string
  readonly due_at: number | null
}

export interface StoredEvent {
  readonly seq: number
  readonly connection: string
  readonly at: number
  readonly type: string
  readonly from: string | null
  readonly to: string
  readonly cause: string | null
}

export interface ConnectionFilter {
  readonly tenant?: string | undefined
  readonly owner?: string | undefined
  readonly states?: readonly string[] | undefined
  readonly tag?: string | undefined
}

/** A connection that was checked and found well, of which nothing else is to be written. */
export interface QuietCheck {
  readonly no: number
  /** As it was checked, and due when it was taken. */
  readonly version: number
  readonly due_at: number | null
  readonly at: number
  readonly nextAt: number
}

/** Where connections are kept: tokens sealed, every change with its event in one transaction. */
export interface ConnectionStore
  extends Pick<ConnectionAccess, 'access'>,
    NoticeStore,
    ReconnectStore {
  /**
   * @param refuse gives the error to throw where a connection that lives holds the same refresh token, or
   * was made with it; without it several may
   */
  add(
    row: NewConnectionRow,
    tokens: NewTokens,
    event: NewConnectionEvent,
    refuse?: (holder: ConnectionRow) => Error,
  ): Promise<ConnectionRow>
  read(id: string): Promise<ConnectionRow | undefined>
  /** A page of connections, oldest first, after one of them. */
  list(filter: ConnectionFilter, after: number, limit: number): Promise<readonly ConnectionRow[]>
  /** Ids and owners, to guess what was meant. */
  names(limit: number): Promise<readonly { readonly id: string; readonly owner: string }[]>
  tokens(row: ConnectionRow): Promise<StoredTokens>
  /**
   * Reads a connection, decides, and writes, with nobody in between. `decide` returns null to leave it
   * as it is; what it throws leaves it so too. Undefined when there is no such connection.
   */
  update(
    id: string,
    decide: (row: ConnectionRow) => ConnectionChange | null,
  ): Promise<{ readonly row: ConnectionRow; readonly changed: boolean } | undefined>
  /** Says whether a connection that is not ended holds a token. */
  isHeld(fingerprint: Fingerprint): Promise<boolean>
  /** Others that live on the same grant: they hold one of the same tokens. */
  sharing(row: ConnectionRow): Promise<readonly ConnectionRow[]>
  /** Superseded tokens of a connection that may live, and that no connection lives on. */
  superseded(row: ConnectionRow): Promise<readonly (SupersededToken & { readonly no: number })[]>
  /** Forgets a superseded token that is dead. */
  forgetSuperseded(dead: SupersededToken & { readonly no: number }): Promise<void>
  /**
   * Says whether a connection of some tenants has a grant that may be of an identity: an unknown one may be
   * of anybody.
   */
  hasGrantOf(tenants: readonly string[], identity: string | null): Promise<boolean>
  /** Names the tenants of a provider that have connections. */
  tenantsWith(provider: string): Promise<readonly string[]>
  /** The connections of a tenant and one identity whose grant is thought to live, the oldest grant first. */
  grantsOf(tenant: string, identity: string): Promise<readonly ConnectionRow[]>
  events(id: string, after?: number): Promise<readonly StoredEvent[]>
  /** A page of what happened to all connections, or to one, oldest first. */
  feed(after: number, limit: number, id?: string): Promise<readonly StoredEvent[]>
  /** Takes the connections that are due, so that no other process does before `until`. */
  claimDue(now: number, until: number, limit: number): Promise<readonly ConnectionRow[]>
  /** Gives back what was taken and not checked: due at once, unless somebody took it since. */
  giveBack(rows: readonly Pick<ConnectionRow, 'no' | 'due_at'>[], now: number): Promise<void>
  /** When the next one is due; null when none is. */
  nextDueAt(): Promise<number | null>
  /**
   * Writes that connections were found well, in one transaction: of each that is as it was checked, and
   * due when it was. What happened to one meanwhile counts for more.
   */
  checked(rows: readonly QuietCheck[]): Promise<void>
  close(): Promise<void>
}

/** Opens the connections of a store's database. */
export function openConnections(parts: StoreParts, path: string): ConnectionStore {
  const { db, clock } = parts
  const access = openConnectionAccess(parts, path)
  const read = (trx: Kysely<Schema>, id: string) =>
    trx.selectFrom('connection').selectAll().where('id', '=', id).executeTakeFirst()
  const store: Omit<ConnectionStore, 'access'> = {
    ...openNotices(parts),
    ...openReconnects(parts),
    async add(row, tokens, event, refuse) {
      const id = newId('con')
      const now = clock.now()
      const columns = columnsOf(parts, tokens)
      const made = columns.refresh_fingerprint
      return parts.transact(async (trx) => {
        await parts.syncKey(trx)
        const holder = refuse && made !== null && (await holderOf(trx, row.provider, made))
        if (refuse && holder) throw refuse(holder)
        const inserted = await trx
          .insertInto('connection')
          .values({
            ...{ ...row, id, cause: null, version: 1, created_at: now, changed_at: now },
            ...{ checked_at: null, failures: 0, fence: 0, intent: null, intent_at: null },
            ...{ revoked_at_provider: null, made_fingerprint: made, ...columns },
          })
          .returningAll()
          .executeTakeFirstOrThrow()
        await writeTokens(parts, trx, inserted, tokens)
        await writeEvent(trx, { ...inserted, state: null }, event, now)
        return inserted
      })
    },
    read: (id) => read(db, id),
    async list({ tenant, owner, states, tag }, after, limit) {
      let query = db.selectFrom('connection').selectAll().where('no', '>', after)
      if (tenant !== undefined) query = query.where('tenant', '=', tenant)
      if (owner !== undefined) query = query.where('owner', '=', owner)
      if (states !== undefined) query = query.where('state', 'in', [...states])
      if (tag !== undefined) {
        query = query.where(
          sql<boolean>`EXISTS (SELECT 1 FROM json_each(tags) WHERE json_each.value = ${tag})`,
        )
      }
      return query.orderBy('no').limit(limit).execute()
    },
    names: (limit) =>
      db
        .selectFrom('connection')
        .select(['id', 'owner'])
        .orderBy('no', 'desc')
        .limit(limit)
        .execute(),
    async tokens(row) {
      const stored = await db
        .selectFrom('connection_token')
        .selectAll()
        .where('connection', '=', row.no)
        .executeTakeFirstOrThrow()
      const open = (column: TokenColumn) =>
        stored[column] && parts.sealer.open(stored[column], placeOf(row, column))
      return {
        ...{ version: stored.version, access: open('access'), refresh: open('refresh') },
        ...{ predecessor: open('predecessor'), predecessorUntil: stored.predecessor_until },
      }
    },
    update: (id, decide) =>
      parts.transact(async (trx) => {
        const before = await read(trx, id)
        if (!before) return undefined
        const change = decide(before)
        if (change === null) return { row: before, changed: false }
        const row = await writeChange(parts, trx, before, change)
        return { row, changed: row !== before }
      }),
    async isHeld(fingerprint) {
      const { held } = await db
        .selectNoFrom(isLivedOn(sql.val(fingerprint)).as('held'))
        .executeTakeFirstOrThrow()
      return Boolean(held)
    },
    sharing: ({ no, provider, refresh_fingerprint: refresh, access_fingerprint: token }) =>
      db
        .selectFrom('connection')
        .selectAll()
        .where('provider', '=', provider)
        .where('no', '!=', no)
        .where('state', '!=', 'revoked')
        .where((one) =>
          refresh !== null
            ? one('refresh_fingerprint', '=', refresh)
            : one('access_fingerprint', '=', token),
        )
        .execute(),
    async superseded(row) {
      const found = await db
        .selectFrom('superseded_token')
        .selectAll()
        .where('connection', '=', row.no)
        .where(({ not }) => not(isLivedOn(sql.ref('superseded_token.fingerprint'))))
        .orderBy('no')
        .execute()
      return found.map(({ no, kind, sealed, identity }) => {
        return { no, kind, identity, token: parts.sealer.open(sealed, placeOfSuperseded(row)) }
      })
    },
    async forgetSuperseded({ no, token }) {
      // Where another process forgot it before, its number may be of a newer one.
      const sql = 'DELETE FROM superseded_token WHERE no = ? AND fingerprint = ?'
      await parts.runMany([{ sql, rows: [[no, parts.fingerprint(token)]] }])
    },
    async hasGrantOf(tenants, identity) {
      let query = db
        .selectFrom('connection')
        .select('no')
        .where('tenant', 'in', tenants)
        .where('state', '!=', 'revoked')
        .where(({ or, eb }) =>
          or([eb('refresh_fingerprint', 'is not', null), eb('access_fingerprint', 'is not', null)]),
        )
      if (identity !== null) {
        query = query.where(({ or, eb }) => or([eb('identity', 'is', null), isOf(identity)]))
      }
      return (await query.limit(1).executeTakeFirst()) !== undefined
    },
    async tenantsWith(provider) {
      const found = await db
        .selectFrom('connection')
        .select('tenant')
        .distinct()
        .where('provider', '=', provider)
        .execute()
      return found.map(({ tenant }) => tenant)
    },
    grantsOf: (tenant, identity) =>
      db
        .selectFrom('connection')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('state', 'in', ['connected', 'degraded', 'disabled'])
        .where(isOf(identity))
        .orderBy(sql`(SELECT max(seq) FROM connection_event WHERE connection = connection.no
          AND type IN ('connection.created', 'connection.connected', 'connection.reconnected'))`)
        .orderBy('no')
        .execute(),
    events: (id, after = 0) =>
      db
        .selectFrom('connection_event')
        .innerJoin('connection', 'connection.no', 'connection_event.connection')
        .select(['seq', 'connection.id as connection', 'at', 'type', 'from', 'to'])
        .select('connection_event.cause')
        .where('connection.id', '=', id)
        .where('seq', '>', after)
        .orderBy('seq')
        .execute(),
    claimDue: (now, until, limit) =>
      db
        .updateTable('connection')
        .set({ due_at: until })
        .where('no', 'in', (one) =>
          one
            .selectFrom('connection')
            .select('no')
            .where('due_at', '<=', now)
            .orderBy('due_at')
            .limit(limit),
        )
        .returningAll()
        .execute(),
    async giveBack(rows, now) {
      const sql = 'UPDATE connection SET due_at = ? WHERE no = ? AND due_at = ?'
      await parts.runMany([{ sql, rows: rows.map(({ no, due_at }) => [now, no, due_at]) }])
    },
    feed(after, limit, id) {
      let query = db
        .selectFrom('connection_event')
        .innerJoin('connection', 'connection.no', 'connection_event.connection')
        .select(['seq', 'connection.id as connection', 'at', 'type', 'from', 'to'])
        .select('connection_event.cause')
        .where('seq', '>', after)
      if (id !== undefined) query = query.where('connection.id', '=', id)
      return query.orderBy('seq').limit(limit).execute()
    },
    async nextDueAt() {
      const row = await db
        .selectFrom('connection')
        .select(({ fn }) => fn.min('due_at').as('at'))
        .where('due_at', 'is not', null)
        .executeTakeFirst()
      return row?.at ?? null
    },
    async checked(rows) {
      const sql = `UPDATE connection SET checked_at = ?, due_at = ?, failures = 0
        WHERE no = ? AND version = ? AND state = 'connected' AND cause IS NULL AND intent IS NULL
        AND (due_at IS ? OR (due_at > ? AND due_at > ?))`
      const now = clock.now()
      // Where a batch takes long, another process may have taken it too; who asks for a check asks for it at once.
      const values = rows.map(({ no, version, due_at: due, at, nextAt }) => {
        return [at, nextAt, no, version, due, due, now]
      })
      await parts.runMany([{ sql, rows: values }])
    },
    close: async () => access.close(),
  }
  return { ...closable(`store ${path}`, store), access: access.access }
}

/** By stable ids; names change. */
function isOf(identity: string) {
  return sql<boolean>`json_extract(identity, '$.user') = json_extract(${identity}, '$.user')
    AND json_extract(identity, '$.org') = json_extract(${identity}, '$.org')`
}

/** The connection that holds a refresh token, or was made with it, and was not ended by us. */
function holderOf(trx: Kysely<Schema>, provider: string, refresh: Fingerprint) {
  return trx
    .selectFrom('connection')
    .selectAll()
    .where('provider', '=', provider)
    .where('state', '!=', 'revoked')
    .where(({ or, eb }) =>
      or([eb('refresh_fingerprint', '=', refresh), eb('made_fingerprint', '=', refresh)]),
    )
    .limit(1)
    .executeTakeFirst()
}

type TokenColumn = 'access' | 'refresh' | 'predecessor'

/** A token opens for its own connection and field alone. */
export function placeOf({ tenant, id }: Pick<ConnectionRow, 'tenant' | 'id'>, column: TokenColumn) {
  return { tenant, column: `connection_token.${column}`, row: id }
}

async function writeChange(
  parts: StoreParts,
  trx: Kysely<Schema>,
  before: ConnectionRow,
  { set = {}, tokens, superseded = [], events = [], ...end }: ConnectionChange,
): Promise<ConnectionRow> {
  if (!(await endExchange(trx, end))) return before
  const now = parts.clock.now()
  const isMove = tokens !== undefined || (set.state !== undefined && set.state !== before.state)
  if (tokens || superseded.length > 0) await parts.syncKey(trx)
  const row = await trx
    .updateTable('connection')
    .set({
      ...set,
      ...(tokens && columnsOf(parts, tokens)),
      version: before.version + (tokens ? 1 : 0),
      ...(isMove && { changed_at: now }),
    })
    .where('no', '=', before.no)
    // Nobody can be in between; this says so to the database as well.
    .where('version', '=', before.version)
    .returningAll()
    .executeTakeFirstOrThrow()
  if (tokens) await writeTokens(parts, trx, row, tokens)
  for (const one of superseded) await supersede(parts, trx, before, one)
  let from = before
  for (const event of events) {
    await writeEvent(trx, from, event, now)
    from = { ...before, state: event.to }
  }
  return row
}

/**
 * After the new tokens are written: a refresh token that a provider gave once more is not superseded. An
 * access token may be, of another grant than the refresh token beside it.
 */
async function supersede(
  { sealer, fingerprint: printOf }: StoreParts,
  trx: Kysely<Schema>,
  before: ConnectionRow,
  { kind, token, identity }: SupersededToken,
): Promise<void> {
  const fingerprint = printOf(token)
  const { lived } = await trx
    .selectNoFrom(isLivedOn(sql.val(fingerprint)).as('lived'))
    .executeTakeFirstOrThrow()
  if (lived && kind === 'refresh') return
  const sealed = sealer.seal(token, placeOfSuperseded(before))
  await trx
    .insertInto('superseded_token')
    .values({ connection: before.no, kind, fingerprint, sealed, identity })
    .onConflict((conflict) => conflict.columns(['connection', 'fingerprint']).doNothing())
    .execute()
}

/** Says whether a connection that is not ended holds a token. */
function isLivedOn(fingerprint: RawBuilder<unknown>) {
  return sql<boolean>`EXISTS (SELECT 1 FROM connection c WHERE c.state <> 'revoked'
    AND (c.refresh_fingerprint = ${fingerprint} OR c.access_fingerprint = ${fingerprint}))`
}

function placeOfSuperseded({ tenant, id }: Pick<ConnectionRow, 'tenant' | 'id'>) {
  return { tenant, column: 'superseded_token.sealed', row: id }
}

function columnsOf({ fingerprint }: StoreParts, tokens: NewTokens) {
  const of = (secret: Secret | null): Fingerprint | null => secret && fingerprint(secret)
  return {
    access_fingerprint: of(tokens.access),
    refresh_fingerprint: of(tokens.refresh),
    access_expires_at: tokens.expiresAt,
    renew_at: tokens.renewAt,
  }
}

async function writeTokens(
  { sealer }: StoreParts,
  trx: Kysely<Schema>,
  row: ConnectionRow,
  { access, refresh, predecessor = null }: NewTokens,
): Promise<void> {
  const seal = (column: TokenColumn, secret: Secret | null) =>
    secret && sealer.seal(secret, placeOf(row, column))
  const values = {
    version: row.version,
    access: seal('access', access),
    refresh: seal('refresh', refresh),
    predecessor: seal('predecessor', predecessor?.secret ?? null),
    predecessor_until: predecessor?.until ?? null,
  }
  await trx
    .insertInto('connection_token')
    .values({ connection: row.no, ...values })
    .onConflict((conflict) => conflict.column('connection').doUpdateSet(values))
    .execute()
}

async function writeEvent(
  trx: Kysely<Schema>,
  before: Pick<ConnectionRow, 'no'> & { readonly state: string | null },
  { type, to, cause, notice }: NewConnectionEvent,
  at: number,
): Promise<void> {
  const connection = before.no
  const { seq } = await trx
    .insertInto('connection_event')
    .values({ connection, at, type, from: before.state, to, cause })
    .returning('seq')
    .executeTakeFirstOrThrow()
  if (notice) {
    const fresh = { tries: 0, next_at: at, since: at, why: null, aside: 0 } as const
    await trx
      .insertInto('notice')
      .values({ event: seq, receiver: '', connection, ...fresh })
      .execute()
  }
  const isRefresh = type === REFRESHED
  const kept = isRefresh ? REFRESHES_KEPT : EVENTS_KEPT
  const same = sql<boolean>`(type = ${REFRESHED}) = ${isRefresh ? 1 : 0}`
  await sql`DELETE FROM connection_event WHERE seq IN (SELECT seq FROM connection_event
    WHERE connection = ${connection} AND ${same} ORDER BY seq DESC LIMIT -1 OFFSET ${kept})
    AND seq NOT IN (SELECT event FROM notice WHERE connection = ${connection})`.execute(trx)
}
