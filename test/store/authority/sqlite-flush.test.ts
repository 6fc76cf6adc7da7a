import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openSqliteAuthorityStore } from '../../../src/store/authority/sqlite.ts'
import { tempHome } from '../../support/temp-home.ts'
import { manualClock, newEvent } from './world.ts'

const SCRIPT = resolve(import.meta.dirname, 'sqlite-flush.ts')
/** Few enough for one log, whose own flush is then no part of the difference. */
const COMMITS = 20

const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
const untraced = canTrace ? '' : ' (SKIPPED: no strace that works here)'

afterEach(() => vi.restoreAllMocks())

describe('what is answered is on disk', () => {
  test('every connection of the store runs with WAL and synchronous=FULL', async () => {
    using home = tempHome()
    const connections = new Set<DatabaseSync>()
    // Listens only: the settings are those of the very connections that write.
    const exec = vi.spyOn(DatabaseSync.prototype, 'exec')
    const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare')
    const path = join(home.path, 'authority.db')
    const store = await openSqliteAuthorityStore(path, { clock: manualClock() })
    await store.commit({ type: 'log', events: [newEvent('written')] })
    await store.readToken(1)
    for (const { mock } of [exec, prepare]) {
      for (const connection of mock.contexts) connections.add(connection as DatabaseSync)
    }
    const settings = [...connections].map((connection) => [
      connection.prepare('PRAGMA journal_mode').get()?.journal_mode,
      connection.prepare('PRAGMA synchronous').get()?.synchronous,
    ])
    expect(settings.length).toBeGreaterThan(0)
    expect(settings).toEqual(settings.map(() => ['wal', 2]))
    await store.close()
  })

  // Skipped only where the kernel cannot be asked: the title says so.
  test.skipIf(!canTrace)(`each answer comes after a flush of the kernel${untraced}`, () => {
    using home = tempHome()
    const flushes = (commits: number) => {
      const log = join(home.path, `trace-${commits}`)
      const script = [SCRIPT, join(home.path, `${commits}.db`), String(commits)]
      const calls = ['-f', '-qq', '-e', 'trace=fsync,fdatasync', '-o', log]
      execFileSync('strace', [...calls, process.execPath, ...script])
      return [...readFileSync(log, 'utf8').matchAll(/f(data)?sync\(/g)].length
    }
    expect(flushes(COMMITS) - flushes(0)).toBeGreaterThanOrEqual(COMMITS)
  })
})
