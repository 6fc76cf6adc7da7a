import { describe, expect, test } from 'vitest'
import { Secret } from '../../../src/core/secret.ts'
import { isAddress } from '../../../src/store/authority/database-url.ts'
import { openPostgresAuthorityStore } from '../../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../../src/store/authority/sqlite.ts'

describe('a store is not opened at the address of something else, and no message has its password', () => {
  const openSqlite = (text: string) => openSqliteAuthorityStore(text)
  const openPostgres = (text: string) => openPostgresAuthorityStore({ connectionString: text })
  const openSecret = (text: string) =>
    openPostgresAuthorityStore({ connectionString: new Secret(text) })

  test.each([
    ['SQLite, of PostgreSQL', openSqlite, 'postgres://u:geheim@h/d'],
    ['SQLite, of PostgreSQL, misspelt', openSqlite, 'postgress://u:geheim@h/d'],
    ['SQLite, with one slash', openSqlite, 'postgres:/u:geheim@h/d'],
    ['PostgreSQL, of MySQL', openPostgres, 'mysql://u:geheim@127.0.0.1:1/d'],
    ['PostgreSQL, misspelt', openSecret, 'postgress://u:geheim@127.0.0.1:1/d'],
    ['PostgreSQL, without a scheme', openPostgres, 'u:geheim@127.0.0.1:1/d'],
  ])('%s', async (_title, open, address) => {
    const error = await open(address).catch((reason: Error) => reason)
    expect(error).toMatchObject({ code: 'config_invalid' })
    expect(String(error)).not.toContain('geheim')
  })

  test.each(['authority.db', './a/b.db', '/var/lib/a.db', ':memory:', 'C:/a.db', 'a:b.db'])(
    '%s is the path of a file',
    (path) => expect(isAddress(path)).toBe(false),
  )
})
