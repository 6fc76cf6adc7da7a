import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Secret } from '../core/secret.ts'
import { usedAfterClose } from './closable.ts'
import { guardSqlite } from './sqlite.ts'
import type { StoreParts } from './store.ts'

/** Opened tokens that are kept in memory: those of the connections that work. */
const KEPT_MAX = 10_000

/** What a job needs of a connection to work with it. */
export interface AccessRow {
  readonly state: string
  readonly version: number
  readonly intent: string | null
  /** The code of why it is not well. */
  readonly cause: string | null
  readonly expiresAt: number | null
  /** From when on the token is changed for a new one. */
  readonly renewAt: number | null
  readonly facts: Readonly<Record<string, string>>
  readonly access: Secret | null
}

export interface ConnectionAccess {
  /**
   * Reads the access token of a connection as it is on disk at this moment; undefined when there is no
   * such connection. While nothing was written, by whichever process, it is answered from memory.
   */
  access(id: string): AccessRow | undefined
  close(): void
}

const SELECT = `SELECT c.tenant, c.state, c.version, c.intent, c.access_expires_at, c.renew_at, c.facts,
  json_extract(c.cause, '$.code') AS cause, t.access FROM connection c JOIN connection_token t ON t.connection = c.no WHERE c.id = ?`

interface Kept {
  /** The database's own count of commits by others, at the last look. */
  readonly seen: number
  readonly row: AccessRow
}

/**
 * Opens the reading side: a connection to the database of its own, so that it never sees what a
 * transaction of ours has not committed, and so that our commits are told like everybody's.
 *
 * @see https://sqlite.org/pragma.html#pragma_data_version
 */
export function openConnectionAccess({ sealer }: StoreParts, path: string): ConnectionAccess {
  const kept = new Map<string, Kept>()
  let isClosed = false
  let opened: { database: DatabaseSync; version: StatementSync; select: StatementSync } | undefined
  const open = () => {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
    const version = database.prepare('PRAGMA data_version')
    return { database, version, select: database.prepare(SELECT) }
  }
  const readRow = (id: string, select: StatementSync): AccessRow | undefined => {
    const found = select.get(id) as Record<string, unknown> | undefined
    if (!found) return undefined
    const version = Number(found.version)
    const before = kept.get(id)?.row
    const place = { tenant: String(found.tenant), column: 'connection_token.access', row: id }
    const sealed = found.access as Uint8Array | null
    return {
      ...{ state: String(found.state), version, intent: found.intent as string | null },
      cause: found.cause as string | null,
      expiresAt: found.access_expires_at as number | null,
      renewAt: found.renew_at as number | null,
      facts: before?.version === version ? before.facts : JSON.parse(String(found.facts)),
      access: before?.version === version ? before.access : sealed && sealer.open(sealed, place),
    }
  }
  return {
    access: (id) =>
      guardSqlite(path, () => {
        if (isClosed) throw usedAfterClose(`store ${path}`)
        opened ??= open()
        const seen = Number((opened.version.get() as { data_version: number }).data_version)
        const found = kept.get(id)
        if (found?.seen === seen) return found.row
        const row = readRow(id, opened.select)
        kept.delete(id)
        if (!row) return undefined
        if (kept.size >= KEPT_MAX) kept.delete(kept.keys().next().value as string)
        kept.set(id, { seen, row })
        return row
      }),
    close() {
      isClosed = true
      kept.clear()
      opened?.database.close()
      opened = undefined
    },
  }
}
