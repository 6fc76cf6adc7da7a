import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { openPostgresAuthorityStore } from '../../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../../src/store/authority/sqlite.ts'
import { tempHome } from '../../support/temp-home.ts'
import type { StoreKind } from './world.ts'

/** The tables that must stay bounded, by their names in either database. */
const TABLES = [
  ...['token', 'token_end', 'grant_end', 'mark', 'mark_setting', 'used_once', 'event'],
]

export const SQLITE: StoreKind = {
  name: 'SQLite',
  async create() {
    const home = tempHome()
    const path = join(home.path, 'authority.db')
    const inFile = <T>(work: (database: DatabaseSync) => T): T => {
      using database = new DatabaseSync(path)
      return work(database)
    }
    return {
      open: (options) => openSqliteAuthorityStore(path, options),
      countRows: async () =>
        inFile((database) =>
          Object.fromEntries(
            [...TABLES, '"grant"'].map((table) => {
              const parts = table === 'token_end' ? [table, 'token_end_recent'] : [table]
              // Rows of no token stand in the small table, until it is emptied at some thousand.
              const counts = parts.map((part) =>
                Number(
                  database
                    .prepare(
                      `SELECT count(*) AS n FROM ${part}${part === 'token_end_recent' ? ' WHERE id <> 0' : ''}`,
                    )
                    .get()?.n,
                ),
              )
              return [table, counts.reduce((sum, count) => sum + count)]
            }),
          ),
        ),
      makeNewer: async () => inFile((database) => database.exec('PRAGMA user_version = 99')),
      remove: async () => home[Symbol.dispose](),
    }
  },
}

/** @param newDatabase makes an empty database, and returns its connection string */
export function postgresKind(newDatabase: () => Promise<string>): StoreKind {
  return {
    name: 'PostgreSQL',
    async create() {
      const connectionString = await newDatabase()
      return {
        open: (options) => openPostgresAuthorityStore({ ...options, connectionString }),
        async countRows() {
          const counts = [...TABLES, 'grants'].map(
            (table) => `SELECT '${table}' AS name, count(*) AS n FROM rescind.${table}`,
          )
          const rows = await askPostgres(connectionString, counts.join(' UNION ALL '))
          return Object.fromEntries(rows.map((row) => [String(row.name), Number(row.n)]))
        },
        async makeNewer() {
          await askPostgres(connectionString, 'UPDATE rescind.schema_version SET version = 99')
        },
        remove: async () => {},
      }
    },
  }
}

/** Runs statements on a connection of their own. */
export async function askPostgres(
  connectionString: string,
  text: string,
): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
