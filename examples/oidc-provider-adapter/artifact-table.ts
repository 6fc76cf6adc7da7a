import { DatabaseSync } from 'node:sqlite'
import type { AdapterPayload } from 'oidc-provider'

/** Each write also forgets this many rows that have expired: the table needs no clean-up job. */
const FORGOTTEN_A_WRITE = 2

/** What oidc-provider keeps beside its tokens: sessions, interactions, what a grant holds. */
export interface ArtifactTable {
  put(model: string, id: string, payload: AdapterPayload, expiresAt: number): void
  get(model: string, id: string): AdapterPayload | undefined
  /** Finds by a field that is another name of an artifact: `uid`, `userCode`. */
  getBy(model: string, field: 'uid' | 'userCode', value: string): AdapterPayload | undefined
  /** Uses an artifact up. Compare-and-set: of any number of calls, one returns true. */
  consume(model: string, id: string, at: number): boolean
  remove(model: string, id: string): void
  removeGrant(model: string, grantId: string): void
  close(): void
}

/** Opens the table in an SQLite file. */
export function openArtifactTable(path: string, now: () => number): ArtifactTable {
  const database = new DatabaseSync(path, { timeout: 2_000 })
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS artifact (model TEXT, id TEXT, payload TEXT NOT NULL, grant_id TEXT,
      uid TEXT, user_code TEXT, consumed INTEGER, expires_at INTEGER NOT NULL,
      PRIMARY KEY (model, id)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS artifact_expiry ON artifact (expires_at);
    CREATE INDEX IF NOT EXISTS artifact_grant ON artifact (grant_id);
    CREATE INDEX IF NOT EXISTS artifact_uid ON artifact (uid);
    CREATE INDEX IF NOT EXISTS artifact_code ON artifact (user_code)`)
  const columns = 'SELECT payload, consumed FROM artifact WHERE expires_at > ? AND model = ?'
  const byId = database.prepare(`${columns} AND id = ?`)
  const byUid = database.prepare(`${columns} AND uid = ?`)
  const byCode = database.prepare(`${columns} AND user_code = ?`)
  const put = database.prepare(`INSERT INTO artifact VALUES (?, ?, ?, ?, ?, ?, NULL, ?)
    ON CONFLICT DO UPDATE SET payload = excluded.payload, grant_id = excluded.grant_id,
      uid = excluded.uid, user_code = excluded.user_code, expires_at = excluded.expires_at`)
  const consume = database.prepare(
    'UPDATE artifact SET consumed = ? WHERE model = ? AND id = ? AND consumed IS NULL',
  )
  const remove = database.prepare('DELETE FROM artifact WHERE model = ? AND id = ?')
  const removeGrant = database.prepare('DELETE FROM artifact WHERE model = ? AND grant_id = ?')
  const forget = database.prepare(`DELETE FROM artifact WHERE (model, id) IN
    (SELECT model, id FROM artifact WHERE expires_at <= ? LIMIT ${FORGOTTEN_A_WRITE})`)
  return {
    put(model, id, payload, expiresAt) {
      const { grantId = null, uid = null, userCode = null } = payload
      put.run(model, id, JSON.stringify(payload), grantId, uid, userCode, expiresAt)
      forget.run(now())
    },
    get: (model, id) => payloadOf(byId.get(now(), model, id)),
    getBy: (model, field, value) =>
      payloadOf((field === 'uid' ? byUid : byCode).get(now(), model, value)),
    consume: (model, id, at) => consume.run(at, model, id).changes === 1,
    remove: (model, id) => void remove.run(model, id),
    removeGrant: (model, grantId) => void removeGrant.run(model, grantId),
    close: () => database.close(),
  }
}

function payloadOf(row: unknown): AdapterPayload | undefined {
  if (row === undefined) return undefined
  const { payload, consumed } = row as { payload: string; consumed: number | null }
  const stored = JSON.parse(payload) as AdapterPayload
  return consumed === null ? stored : { ...stored, consumed }
}
