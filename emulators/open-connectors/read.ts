import { type Answer, jsonAnswer } from '../answer.ts'
import type { Account } from './account.ts'
import { platformError, unauthorized } from './answers.ts'
import { authenticate } from './authorization.ts'
import type { Call } from './call.ts'
import { type Instance, presentInstance } from './instance.ts'

/** Answers `GET /instances`: all of the account, by pages; with an Element token the one that it names. */
export function answerList(call: Call): Answer {
  const caller = authenticate(call, 'organization') ?? authenticate(call, 'element')
  if (caller === undefined) return unauthorized(call)
  const { account } = call
  const { instance } = caller
  if (instance === undefined) return page(call)
  const shown = presentInstance(account, instance)
  return jsonAnswer(200, account.switches.elementTokenRead === 'list' ? [shown] : shown)
}

function page(call: Call): Answer {
  const { account, query } = call
  const token = query.get('nextPage')
  const after = token === null ? 0 : readPageToken(token)
  if (after === undefined) return platformError(call, 400, 'Invalid nextPage')
  const size = pageSizeOf(account, query.get('pageSize'))
  const rest = [...account.instances.values()].filter(({ id }) => id > after)
  const rows = rest.sort((a, b) => a.id - b.id).slice(0, size)
  const slim = query.get('hydrate') === 'false'
  const shown = rows.map((row) => presentInstance(account, row, { slim, inList: true }))
  const answer = jsonAnswer(200, shown)
  if (rest.length <= size) return answer
  const headers = { 'elements-next-page-token': pageToken(rows.at(-1)!) }
  return { ...answer, headers }
}

function pageSizeOf({ switches }: Account, asked: string | null): number {
  const size = Number(asked ?? switches.pageSize)
  return Number.isInteger(size) && size > 0 ? Math.min(size, switches.pageSize) : switches.pageSize
}

/** A place between two pages is the last id before it, so that a deletion meanwhile skips nothing. */
function pageToken({ id }: Instance): string {
  return Buffer.from(`after:${id}`).toString('base64')
}

function readPageToken(token: string): number | undefined {
  const id = /^after:(\d+)$/.exec(Buffer.from(token, 'base64').toString('utf8'))?.[1]
  return id === undefined ? undefined : Number(id)
}

/** Answers `GET /instances/{id}`. */
export function answerRead(call: Call, id: string): Answer {
  if (authenticate(call, 'organization') === undefined) return unauthorized(call)
  const instance = call.account.instances.get(Number(id))
  if (instance === undefined) return noInstance(call, id)
  return jsonAnswer(200, presentInstance(call.account, instance))
}

/** The answer to an id that no instance has. */
export function noInstance(call: Call, id: string): Answer {
  return platformError(call, 404, `No instance found for ${id}`)
}
