import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { inject } from 'vitest'
import type { DoorAnswer } from './postgres-setup.ts'

/**
 * Says whether the run has a PostgreSQL, and starts it. `missing` is the word for the title of what is
 * skipped for want of one.
 */
export async function findPostgres(): Promise<{ readonly missing?: string }> {
  const answer = await knock()
  if ('url' in answer) return {}
  return { missing: ` (SKIPPED: no PostgreSQL on this machine: ${answer.missing})` }
}

/** Makes an empty database on the worker's PostgreSQL, and returns its connection string. */
export async function newDatabase(): Promise<string> {
  const answer = await knock()
  if ('missing' in answer) throw new Error(`no PostgreSQL: ${answer.missing}`)
  return answer.url
}

async function knock(): Promise<DoorAnswer> {
  const socket = connect(inject('postgresDoor'), '127.0.0.1')
  socket.write(process.env.VITEST_POOL_ID ?? '1')
  return JSON.parse(await text(socket)) as DoorAnswer
}
