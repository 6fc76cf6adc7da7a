import { sql } from 'kysely'
import type { StoreParts } from './store.ts'

/** A notice that is to be sent to one receiver. */
export interface DueNotice {
  readonly event: number
  readonly receiver: string
  readonly connection: string
  readonly tenant: string
  readonly provider: string
  readonly owner: string
  readonly at: number
  readonly type: string
  readonly from: string | null
  readonly to: string
  readonly cause: string | null
  readonly tries: number
  readonly since: number
}

/** A notice that was set aside. */
export interface StoredAside {
  readonly event: number
  readonly receiver: string
  readonly connection: string
  readonly owner: string
  readonly type: string
  readonly at: number
  readonly tries: number
  readonly why: string | null
}

/** Who is to be told. */
export interface NoticeCursor {
  readonly receiver: string
  /** What happened before is not told to it. */
  readonly from: number
}

/** The notices that were not taken yet. Of one connection, a receiver gets them in order. */
export interface NoticeStore {
  /**
   * Gives each of these receivers a row of the news that it has none of, whoever else had one; news from
   * before `before` is forgotten.
   */
  fanOut(receivers: readonly NoticeCursor[], before: number): Promise<void>
  /**
   * Takes notices of these receivers that are due, the oldest of each connection alone, so that nobody
   * else does before `until`.
   */
  claimNotices(
    receivers: readonly string[],
    now: number,
    until: number,
    limit: number,
  ): Promise<readonly DueNotice[]>
  /** Sets aside what waits for others than these receivers since `before`, or longer; returns how many. */
  forsake(receivers: readonly string[], before: number, why: string): Promise<number>
  noticeTaken(notice: Pick<DueNotice, 'event' | 'receiver'>): Promise<void>
  noticeFailed(
    notice: Pick<DueNotice, 'event' | 'receiver'>,
    failed: { readonly nextAt: number; readonly why: string; readonly aside: boolean },
  ): Promise<void>
  /** What was set aside, the oldest first. */
  listAside(limit: number): Promise<readonly StoredAside[]>
  /** Makes what was set aside for these receivers due from now on: all of it, or of one event; returns how many. */
  takeUp(receivers: readonly string[], now: number, event?: number): Promise<number>
  /** How many wait for a receiver, and how many one did not take. */
  countNotices(): Promise<{ readonly due: number; readonly aside: number }>
}

export function openNotices(parts: StoreParts): NoticeStore {
  const { db } = parts
  return {
    fanOut: (receivers, before) =>
      parts.transact(async (trx) => {
        for (const { receiver, from } of receivers) {
          const { rows } = await sql<{ event: number }>`
            INSERT INTO notice (event, receiver, connection, tries, next_at, since, why, aside)
            SELECT event, ${receiver}, connection, tries, next_at, since, why, aside FROM notice WHERE receiver = '' AND since >= ${Math.max(from, before + 1)} AND event > coalesce(
              (SELECT event FROM notice_cursor WHERE receiver = ${receiver}), 0)
            RETURNING event`.execute(trx)
          if (rows.length === 0) continue
          const event = rows.reduce((last, row) => Math.max(last, row.event), 0)
          await trx
            .insertInto('notice_cursor')
            .values({ receiver, event })
            .onConflict((conflict) => conflict.column('receiver').doUpdateSet({ event }))
            .execute()
        }
        const { numDeletedRows } = await trx
          .deleteFrom('notice')
          .where('aside', '=', 0)
          .where('receiver', '=', '')
          .where('next_at', '<=', before)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return
        // Before the oldest news that is kept, a cursor says what none would say as well.
        await sql`DELETE FROM notice_cursor WHERE event < coalesce(
          (SELECT min(event) FROM notice WHERE receiver = ''), event + 1)`.execute(trx)
      }),
    claimNotices: async (receivers, now, until, limit) => {
      const claimed = await sql<{ event: number; receiver: string }>`
        UPDATE notice SET next_at = ${until} WHERE (event, receiver) IN (
          SELECT event, receiver FROM notice AS n
          WHERE n.aside = 0 AND n.receiver IN (${sql.join(receivers)}) AND n.next_at <= ${now} AND NOT EXISTS (
            SELECT 1 FROM notice AS earlier WHERE earlier.connection = n.connection
            AND earlier.receiver = n.receiver AND earlier.aside = 0 AND earlier.event < n.event)
          ORDER BY n.event LIMIT ${limit}) RETURNING event, receiver`.execute(db)
      const notices: DueNotice[] = []
      for (const { event, receiver } of claimed.rows) {
        notices.push(
          await db
            .selectFrom('notice')
            .innerJoin('connection_event as e', 'e.seq', 'notice.event')
            .innerJoin('connection as c', 'c.no', 'notice.connection')
            .select(['event', 'receiver', 'tries', 'since', 'e.at', 'e.type', 'e.from', 'e.to'])
            .select(['e.cause', 'c.id as connection', 'c.tenant', 'c.provider', 'c.owner'])
            .where('event', '=', event)
            .where('receiver', '=', receiver)
            .executeTakeFirstOrThrow(),
        )
      }
      return notices.sort((a, b) => a.event - b.event)
    },
    async forsake(receivers, before, why) {
      const { numUpdatedRows } = await db
        .updateTable('notice')
        .set({ why, aside: 1 })
        .where('receiver', 'not in', ['', ...receivers])
        .where('aside', '=', 0)
        .where('since', '<=', before)
        .executeTakeFirst()
      return Number(numUpdatedRows)
    },
    async noticeTaken({ event, receiver }) {
      await db
        .deleteFrom('notice')
        .where('event', '=', event)
        .where('receiver', '=', receiver)
        .execute()
    },
    async noticeFailed({ event, receiver }, { nextAt, why, aside }) {
      await db
        .updateTable('notice')
        .set((row) => ({ tries: row('tries', '+', 1), next_at: nextAt, why, aside: aside ? 1 : 0 }))
        .where('event', '=', event)
        .where('receiver', '=', receiver)
        .execute()
    },
    listAside: (limit) =>
      db
        .selectFrom('notice')
        .innerJoin('connection_event as e', 'e.seq', 'notice.event')
        .innerJoin('connection as c', 'c.no', 'notice.connection')
        .select(['event', 'receiver', 'tries', 'why', 'e.at', 'e.type'])
        .select(['c.id as connection', 'c.owner'])
        .where('aside', '=', 1)
        .orderBy('event')
        .limit(limit)
        .execute(),
    async takeUp(receivers, now, event) {
      let update = db
        .updateTable('notice')
        .set({ aside: 0, tries: 0, next_at: now, since: now })
        .where('receiver', 'in', [...receivers])
        .where('aside', '=', 1)
      if (event !== undefined) update = update.where('event', '=', event)
      const { numUpdatedRows } = await update.executeTakeFirst()
      return Number(numUpdatedRows)
    },
    async countNotices() {
      const rows = await db
        .selectFrom('notice')
        .select(({ fn }) => ['aside', fn.countAll<number>().as('count')])
        .where('receiver', '!=', '')
        .groupBy('aside')
        .execute()
      const of = (aside: number) => Number(rows.find((row) => row.aside === aside)?.count ?? 0)
      return { due: of(0), aside: of(1) }
    },
  }
}
