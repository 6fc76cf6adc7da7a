import { once } from 'node:events'
import { createServer } from 'node:net'
import type { TestProject } from 'vitest/node'
import { PostgresMissing, type PostgresServer, startPostgres } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where a test file asks for an empty database. */
    postgresDoor: number
  }
}

/** What the door answers: a database of the asker's own, or why there is none. */
export type DoorAnswer = { readonly url: string } | { readonly missing: string }

/**
 * Keeps a PostgreSQL server for each worker of a run; the first file that asks has it started. One for
 * all would not do: events wait for the open transactions of the whole server, those of other files too,
 * and those in which it vacuums what an earlier file left.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = new Map<string, Promise<PostgresServer>>()
  let isTold = false
  const answer = async (worker: string): Promise<DoorAnswer> => {
    const server = servers.get(worker) ?? startPostgres({ autovacuum: 'off' })
    servers.set(worker, server)
    try {
      return { url: await (await server).createDatabase() }
    } catch (error) {
      if (!(error instanceof PostgresMissing)) throw error
      if (!isTold) console.warn(`Tests of PostgreSQL are SKIPPED: ${error.message}`)
      isTold = true
      return { missing: error.message }
    }
  }
  const door = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (worker) => {
      answer(String(worker)).then(
        (found) => socket.end(JSON.stringify(found)),
        (error: unknown) => socket.end(JSON.stringify({ missing: String(error) })),
      )
    })
  }).listen(0, '127.0.0.1')
  await once(door, 'listening')
  const address = door.address()
  project.provide('postgresDoor', typeof address === 'object' && address ? address.port : 0)
  return async () => {
    door.close()
    const started = await Promise.allSettled(servers.values())
    await Promise.all(started.map((one) => one.status === 'fulfilled' && one.value.stop()))
  }
}
