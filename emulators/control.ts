import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'

/** Where the control plane of every emulator lies: below this path, on the emulator's own port. */
const BASE = '/__emulator/'

/** One request to a control plane. */
export interface ControlCall {
  readonly method: string
  readonly path: string
  readonly body: string
}

/** Tells whether a path belongs to the control plane. */
export function isControlPath(path: string): boolean {
  return path.startsWith(BASE)
}

/**
 * Answers a control plane by what `answerOf` gives for a route such as `GET truth`: JSON, one line of JSON for
 * each member of an iterator, 404 for undefined, and 400 with one sentence where it throws.
 */
export async function answerControl(
  call: ControlCall,
  response: ServerResponse,
  answerOf: (route: string, body: string) => unknown,
): Promise<void> {
  const route = `${call.method} ${call.path.slice(BASE.length)}`
  try {
    const value = await answerOf(route, call.body)
    if (isLines(value)) stream(response, joinLines(value))
    else if (value === undefined) write(response, 404, { error: `no such control: ${route}` })
    else write(response, 200, value)
  } catch (error) {
    write(response, 400, { error: error instanceof Error ? error.message : String(error) })
  }
}

/** Lines are joined into larger chunks: a million small writes would take minutes. */
const LINES_PER_CHUNK = 500

function isLines(value: unknown): value is IterableIterator<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

function* joinLines(values: IterableIterator<unknown>): IterableIterator<string> {
  let chunk: string[] = []
  for (const value of values) {
    chunk.push(JSON.stringify(value))
    if (chunk.length < LINES_PER_CHUNK) continue
    yield `${chunk.join('\n')}\n`
    chunk = []
  }
  if (chunk.length > 0) yield `${chunk.join('\n')}\n`
}

function stream(response: ServerResponse, chunks: IterableIterator<string>): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  Readable.from(chunks).pipe(response)
}

function write(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}
