import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Every version of the schema, oldest first. A published one is never changed. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_sweep': { up: createSweep },
  '0002_connections': { up: createConnections },
  '0003_made_fingerprint': { up: addMadeFingerprint },
  '0004_superseded_tokens': { up: createSuperseded },
  '0005_superseded_identity': { up: addSupersededIdentity },
  '0006_former_grants': { up: createFormerGrants },
  '0007_reconnect_intent': { up: addReconnectIntent },
}

async function createSweep(db: Kysely<unknown>): Promise<void> {
  for (const statement of SWEEP_TABLES) await sql.raw(statement).execute(db)
}

async function createConnections(db: Kysely<unknown>): Promise<void> {
  for (const statement of CONNECTION_TABLES) await sql.raw(statement).execute(db)
}

async function addMadeFingerprint(db: Kysely<unknown>): Promise<void> {
  for (const statement of MADE_FINGERPRINT) await sql.raw(statement).execute(db)
}

async function createSuperseded(db: Kysely<unknown>): Promise<void> {
  for (const statement of SUPERSEDED_TABLES) await sql.raw(statement).execute(db)
}

async function addSupersededIdentity(db: Kysely<unknown>): Promise<void> {
  for (const statement of SUPERSEDED_IDENTITY) await sql.raw(statement).execute(db)
}

async function createFormerGrants(db: Kysely<unknown>): Promise<void> {
  for (const statement of FORMER_GRANTS) await sql.raw(statement).execute(db)
}

async function addReconnectIntent(db: Kysely<unknown>): Promise<void> {
  for (const statement of RECONNECT_INTENT) await sql.raw(statement).execute(db)
}

/** Plain SQL that SQLite and PostgreSQL both read; `BLOB` and the identity differ, and stand apart. */
const SWEEP_TABLES: readonly string[] = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)`,
  `CREATE TABLE credential (
    tenant TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL, version INTEGER NOT NULL,
    state TEXT NOT NULL, lease_until INTEGER, updated_at INTEGER NOT NULL, why TEXT,
    PRIMARY KEY (tenant, name))`,
  `CREATE TABLE inventory (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, provider TEXT NOT NULL,
    account TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL, taken_at INTEGER NOT NULL,
    finished_at INTEGER, counted_before INTEGER, counted_after INTEGER, tokens INTEGER NOT NULL,
    users INTEGER NOT NULL, apps INTEGER NOT NULL, covers TEXT NOT NULL, whole INTEGER NOT NULL,
    notes TEXT NOT NULL)`,
  `CREATE INDEX inventory_by_tenant ON inventory (tenant, taken_at)`,
  `CREATE TABLE inventory_user (
    inventory INTEGER NOT NULL REFERENCES inventory ON DELETE CASCADE, id TEXT NOT NULL,
    name TEXT NOT NULL, display_name TEXT, active INTEGER, frozen INTEGER, type TEXT, profile TEXT,
    last_login_at INTEGER, PRIMARY KEY (inventory, id))`,
  `CREATE TABLE inventory_app (
    inventory INTEGER NOT NULL REFERENCES inventory ON DELETE CASCADE, id TEXT NOT NULL,
    label TEXT NOT NULL, kind TEXT NOT NULL, match TEXT NOT NULL, installed INTEGER,
    admin_approved INTEGER, reaches TEXT NOT NULL, comeback TEXT NOT NULL,
    comeback_why TEXT NOT NULL, PRIMARY KEY (inventory, id))`,
  `CREATE TABLE token (
    inventory INTEGER NOT NULL REFERENCES inventory ON DELETE CASCADE, fingerprint TEXT NOT NULL,
    slice INTEGER NOT NULL, kind TEXT NOT NULL, handle BLOB NOT NULL, "user" TEXT, app TEXT,
    app_match TEXT NOT NULL, created_at INTEGER, last_used_at INTEGER, use_count INTEGER,
    own INTEGER NOT NULL, PRIMARY KEY (inventory, fingerprint))`,
  `CREATE TABLE plan (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, tenant TEXT NOT NULL,
    account TEXT NOT NULL, inventory INTEGER NOT NULL REFERENCES inventory, policy TEXT NOT NULL,
    policy_hash TEXT NOT NULL, created_at INTEGER NOT NULL, chosen INTEGER NOT NULL,
    spared INTEGER NOT NULL, undecided INTEGER NOT NULL, untouched INTEGER NOT NULL,
    notes TEXT NOT NULL)`,
  `CREATE TABLE plan_kill (
    plan INTEGER NOT NULL REFERENCES plan ON DELETE CASCADE, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, app TEXT, "user" TEXT, token TEXT, count INTEGER NOT NULL,
    rule TEXT NOT NULL, PRIMARY KEY (plan, seq))`,
  `CREATE TABLE plan_token (
    plan INTEGER NOT NULL REFERENCES plan ON DELETE CASCADE, fingerprint TEXT NOT NULL,
    verdict TEXT NOT NULL, kill INTEGER, rule TEXT NOT NULL, reason TEXT,
    PRIMARY KEY (plan, fingerprint))`,
  `CREATE INDEX plan_token_by_kill ON plan_token (plan, kill)`,
  `CREATE TABLE run (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, plan INTEGER NOT NULL REFERENCES plan,
    tenant TEXT NOT NULL, state TEXT NOT NULL, why TEXT, actor TEXT NOT NULL,
    started_at INTEGER NOT NULL, finished_at INTEGER, holder TEXT, lease_until INTEGER,
    after INTEGER REFERENCES inventory, second INTEGER REFERENCES inventory)`,
  `CREATE TABLE run_kill (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, app TEXT, "user" TEXT, token TEXT, state TEXT NOT NULL, attempts INTEGER NOT NULL, outcome TEXT, code TEXT, intent_at INTEGER,
    answered_at INTEGER, PRIMARY KEY (run, seq))`,
  `CREATE TABLE run_token (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, fingerprint TEXT NOT NULL,
    kill INTEGER NOT NULL, proof TEXT NOT NULL, proof_at INTEGER, evidence TEXT, seen_at INTEGER,
    PRIMARY KEY (run, fingerprint))`,
  `CREATE INDEX run_token_by_kill ON run_token (run, kill)`,
  `CREATE TABLE run_return (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, fingerprint TEXT NOT NULL, "user" TEXT,
    app TEXT, seen_at INTEGER NOT NULL, PRIMARY KEY (run, fingerprint))`,
  `CREATE TABLE run_event (
    seq INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL)`,
  `CREATE INDEX run_event_by_run ON run_event (run, seq)`,
]

/** What may be sealed with is what `meta` names: a process that holds a retired key cannot write with it. */
function sealedByKeyOf(table: string, column: string): readonly string[] {
  const isRetired = `NEW.${column} IS NOT NULL AND lower(hex(substr(NEW.${column}, 2, 4))) <>
    (SELECT value FROM meta WHERE key = 'key_id')`
  return ['INSERT', `UPDATE OF ${column}`].map(
    (change, nth) => `CREATE TRIGGER ${table}_${column}_key_${nth} BEFORE ${change} ON ${table}
    WHEN ${isRetired} BEGIN SELECT RAISE(ABORT, 'sealed with a retired key'); END`,
  )
}

const CONNECTION_TABLES: readonly string[] = [
  `CREATE TABLE connection (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, provider TEXT NOT NULL,
    owner TEXT NOT NULL, tags TEXT NOT NULL, state TEXT NOT NULL, cause TEXT, scopes TEXT NOT NULL,
    identity TEXT, facts TEXT NOT NULL, version INTEGER NOT NULL, access_fingerprint TEXT,
    refresh_fingerprint TEXT, access_expires_at INTEGER, renew_at INTEGER, created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL, checked_at INTEGER, due_at INTEGER, failures INTEGER NOT NULL,
    fence INTEGER NOT NULL, intent TEXT, intent_at INTEGER, revoked_at_provider TEXT)`,
  `CREATE INDEX connection_by_due ON connection (due_at) WHERE due_at IS NOT NULL`,
  `CREATE INDEX connection_by_refresh ON connection (refresh_fingerprint)
    WHERE refresh_fingerprint IS NOT NULL`,
  `CREATE INDEX connection_by_access ON connection (access_fingerprint)
    WHERE access_fingerprint IS NOT NULL`,
  `CREATE TABLE connection_token (
    connection INTEGER PRIMARY KEY REFERENCES connection ON DELETE CASCADE, version INTEGER NOT NULL,
    access BLOB, refresh BLOB, predecessor BLOB, predecessor_until INTEGER)`,
  ...['access', 'refresh', 'predecessor'].flatMap((column) =>
    sealedByKeyOf('connection_token', column),
  ),
  ...sealedByKeyOf('credential', 'sealed'),
  `CREATE TABLE connection_event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    connection INTEGER NOT NULL REFERENCES connection ON DELETE CASCADE, at INTEGER NOT NULL,
    type TEXT NOT NULL, "from" TEXT, "to" TEXT NOT NULL, cause TEXT)`,
  `CREATE INDEX connection_event_by_connection ON connection_event (connection, seq)`,
  // An empty receiver: the news itself, which each receiver gets a row of when its cursor passes it.
  `CREATE TABLE notice (
    event INTEGER NOT NULL REFERENCES connection_event ON DELETE CASCADE, receiver TEXT NOT NULL,
    connection INTEGER NOT NULL, tries INTEGER NOT NULL, next_at INTEGER NOT NULL,
    since INTEGER NOT NULL, why TEXT, aside INTEGER NOT NULL, PRIMARY KEY (event, receiver))`,
  `CREATE TABLE notice_cursor (receiver TEXT PRIMARY KEY, event INTEGER NOT NULL)`,
  `CREATE INDEX notice_by_next ON notice (aside, receiver, next_at)`,
  `CREATE INDEX notice_by_connection ON notice (connection, receiver, aside, event)`,
  `CREATE TABLE reconnect (
    state_hash TEXT PRIMARY KEY, connection INTEGER NOT NULL REFERENCES connection ON DELETE CASCADE,
    verifier BLOB NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    used_at INTEGER)`,
  `CREATE INDEX reconnect_by_connection ON reconnect (connection)`,
  ...sealedByKeyOf('reconnect', 'verifier'),
  `CREATE TABLE api_key (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created_at INTEGER NOT NULL,
    revoked_at INTEGER)`,
]

/** Of connections that were refreshed before, it is not known any more. */
const MADE_FINGERPRINT: readonly string[] = [
  `ALTER TABLE connection ADD COLUMN made_fingerprint TEXT`,
  `UPDATE connection SET made_fingerprint = refresh_fingerprint WHERE version = 1`,
  `CREATE INDEX connection_by_made ON connection (made_fingerprint)
    WHERE made_fingerprint IS NOT NULL`,
]

const SUPERSEDED_TABLES: readonly string[] = [
  // Of grants that a newer one replaced, until the provider says that they are dead.
  `CREATE TABLE superseded_token (
    no INTEGER PRIMARY KEY, connection INTEGER NOT NULL REFERENCES connection ON DELETE CASCADE,
    kind TEXT NOT NULL, fingerprint TEXT NOT NULL, sealed BLOB NOT NULL)`,
  `CREATE UNIQUE INDEX superseded_token_by_connection ON superseded_token (connection, fingerprint)`,
  ...sealedByKeyOf('superseded_token', 'sealed'),
]

/** Whose a replaced grant is; of those of before nobody knows it: their connection may have changed hands. */
const SUPERSEDED_IDENTITY: readonly string[] = [
  `ALTER TABLE superseded_token ADD COLUMN identity TEXT`,
]

const FORMER_GRANTS: readonly string[] = [
  // Of instances elsewhere, from before a new grant is asked for until the provider says that they are dead.
  `CREATE TABLE former_grant (
    platform TEXT NOT NULL, instance INTEGER NOT NULL, fingerprint TEXT NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (platform, instance, fingerprint))`,
  ...sealedByKeyOf('former_grant', 'sealed'),
]

/** A code that is sent, until everything that it brought is stored. */
const RECONNECT_INTENT: readonly string[] = [
  `ALTER TABLE reconnect ADD COLUMN intent TEXT CHECK (intent IN ('sent', 'lost'))`,
]
