import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { inject } from 'vitest'
import type { DoorAnswer } from './postgres-setup.ts'

/** Asks for an empty database on the run's PostgreSQL, or why this machine has none. */
export async function testDatabase(): Promise<DoorAnswer> {
  const socket = connect(inject('postgresDoor'), '127.0.0.1')
  return JSON.parse(await text(socket)) as DoorAnswer
}

/** The word behind the title of a group of tests: nothing, or that it is skipped and why. */
export function skipWord(answer: DoorAnswer): string {
  return 'missing' in answer ? ` (SKIPPED: no PostgreSQL: ${answer.missing})` : ''
}
