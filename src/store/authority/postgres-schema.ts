import { RescindError } from '../../core/errors.ts'
import type { Session } from './postgres-session.ts'

/** Names our lock among the advisory locks of a database: the bytes of `resc`. */
const MIGRATION_LOCK = 0x72657363
/** A new version may rewrite large tables; others that start meanwhile wait for it. */
const MIGRATION_DEADLINE_MS = 600_000

/**
 * Every version of the schema, oldest first. A published one is never changed.
 *
 * Keys compare as bytes (`COLLATE "C"`): faster, and a new version of the system's collations cannot break
 * an index. Nothing refers to another table by a constraint: rows are forgotten in any order, and a
 * constraint would lock the row that it refers to.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE rescind.counter (name text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);
   INSERT INTO rescind.counter VALUES ('id', 1), ('epoch', 0), ('era', 1);

   CREATE TABLE rescind.client (id text COLLATE "C" PRIMARY KEY, settings text NOT NULL,
     enabled boolean NOT NULL, version bigint NOT NULL);
   CREATE TABLE rescind.note (key text COLLATE "C" PRIMARY KEY, value text NOT NULL,
     version bigint NOT NULL);

   CREATE TABLE rescind.grants (id bigint PRIMARY KEY, created_at bigint NOT NULL,
     expires_at bigint NOT NULL, born bigint NOT NULL, client_id text COLLATE "C" NOT NULL,
     user_id text COLLATE "C", session_id text COLLATE "C", scope text NOT NULL, detail text);
   CREATE INDEX grants_expiry ON rescind.grants (expires_at);
   CREATE INDEX grants_client ON rescind.grants (client_id, id);
   CREATE INDEX grants_user ON rescind.grants (user_id, id) WHERE user_id IS NOT NULL;
   CREATE INDEX grants_session ON rescind.grants (session_id, id) WHERE session_id IS NOT NULL;
   CREATE TABLE rescind.grant_end (id bigint PRIMARY KEY, at bigint NOT NULL);

   CREATE TABLE rescind.token (id bigint PRIMARY KEY, grant_id bigint NOT NULL,
     issued_at bigint NOT NULL, expires_at bigint NOT NULL, kind smallint NOT NULL,
     hash bytea NOT NULL, detail text);
   CREATE INDEX token_expiry ON rescind.token (expires_at);
   CREATE INDEX token_grant ON rescind.token (grant_id);
   CREATE TABLE rescind.token_end (id bigint PRIMARY KEY, at bigint NOT NULL, successor_id bigint,
     state smallint NOT NULL);

   CREATE TABLE rescind.mark (key text COLLATE "C" PRIMARY KEY, epoch bigint NOT NULL,
     before bigint NOT NULL, keep_until bigint NOT NULL);
   CREATE INDEX mark_expiry ON rescind.mark (keep_until);
   CREATE TABLE rescind.mark_setting (key text COLLATE "C" NOT NULL, epoch bigint NOT NULL,
     before bigint NOT NULL, at bigint NOT NULL);
   CREATE INDEX mark_setting_key ON rescind.mark_setting (key);
   CREATE TABLE rescind.used_once (key text COLLATE "C" PRIMARY KEY, keep_until bigint NOT NULL);
   CREATE INDEX used_once_expiry ON rescind.used_once (keep_until);

   CREATE TABLE rescind.event (era bigint NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
     seq bigint GENERATED ALWAYS AS IDENTITY, at bigint NOT NULL, type text NOT NULL,
     cause text NOT NULL, actor text NOT NULL, client_id text, user_id text, grant_id bigint,
     session_id text, token text, request text, detail text, PRIMARY KEY (era, xid, seq));
   CREATE INDEX event_at ON rescind.event (at);`,

  // Whether a grant is there that a mark killed is one look at the oldest of its reach.
  `DROP INDEX rescind.grants_client; DROP INDEX rescind.grants_user; DROP INDEX rescind.grants_session;
   CREATE INDEX grants_client ON rescind.grants (client_id, born);
   CREATE INDEX grants_user ON rescind.grants (user_id, born) WHERE user_id IS NOT NULL;
   CREATE INDEX grants_session ON rescind.grants (session_id, born) WHERE session_id IS NOT NULL;`,

  // A setting comes to an end by itself, and what a grant died by first is one look.
  `ALTER TABLE rescind.mark_setting ADD COLUMN keep_until bigint;
   UPDATE rescind.mark_setting s SET keep_until = coalesce(
     (SELECT m.keep_until FROM rescind.mark m WHERE m.key = s.key), 0);
   ALTER TABLE rescind.mark_setting ALTER COLUMN keep_until SET NOT NULL;
   DROP INDEX rescind.mark_setting_key;
   CREATE INDEX mark_setting_first ON rescind.mark_setting (key, epoch, before);
   CREATE INDEX mark_setting_expiry ON rescind.mark_setting (keep_until);`,
]

/**
 * Brings the schema `rescind` of a database up to date, in one transaction; processes that start at once
 * wait for each other.
 *
 * @throws RescindError `store_newer`, `store_down`
 */
export async function migratePostgres(session: Session): Promise<void> {
  await session.transact(MIGRATION_DEADLINE_MS, async (query) => {
    await query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`)
    // Asking first: the right to make a schema is not needed for one that is there.
    const [schema] = await query(
      `SELECT to_regclass('rescind.schema_version') IS NOT NULL AS found`,
    )
    if (!schema?.found) {
      await query('CREATE SCHEMA IF NOT EXISTS rescind')
      await query('CREATE TABLE rescind.schema_version (version integer NOT NULL)')
      await query('INSERT INTO rescind.schema_version VALUES (0)')
    }
    const [row] = await query('SELECT version FROM rescind.schema_version')
    const version = Number(row?.version)
    if (version > MIGRATIONS.length) throw newer(session.place, version)
    for (const sql of MIGRATIONS.slice(version)) await query(sql)
    if (version < MIGRATIONS.length) {
      await query(`UPDATE rescind.schema_version SET version = ${MIGRATIONS.length}`)
    }
    await query(BEGIN_ERA)
  })
}

/**
 * Events are in the order of their transactions' numbers, and a dump that is restored on another server
 * brings numbers which that server has not reached yet. Then a new era begins, which comes after them all.
 * On the server that wrote them, no event that can be seen has a number from `xmax` on.
 */
const BEGIN_ERA = `UPDATE rescind.counter c SET value = c.value + 1
  WHERE c.name = 'era' AND EXISTS (SELECT 1 FROM rescind.event e
    WHERE e.era = c.value AND e.xid >= pg_snapshot_xmax(pg_current_snapshot()))`

function newer(place: string, version: number): RescindError {
  return new RescindError(
    'store_newer',
    `The authority's database ${place} was written by a newer Rescind (schema ${version}). Update Rescind, or name another database.`,
  )
}
