import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Answer } from './answer.ts'
import type { Fault } from './faults.ts'

/** An answer on its way out. */
export interface Delivery {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly answer: Answer
  readonly fault: Fault | undefined
  /** Added to the answer, in milliseconds. */
  readonly latencyMs: number
  /** What `error_500_after_effect` answers instead. */
  readonly unexpected: Answer
  /** Told the status that is sent, or 0 where none is. */
  readonly note: (status: number) => void
}

/** Writes an answer, after the latency and with what a fault does to it once the call took effect. */
export function deliver(delivery: Delivery): void {
  const { fault } = delivery
  const extraMs = fault?.kind === 'slow' ? (fault.ms ?? 1_000) : 0
  const delayMs = delivery.latencyMs + extraMs
  if (delayMs <= 0) finish(delivery)
  else setTimeout(() => finish(delivery), delayMs)
}

const UNANSWERED = ['reset_after_effect', 'hang', 'hang_before_effect', 'truncated_body']

function finish({ request, response, answer, fault, unexpected, note }: Delivery): void {
  const kind = fault?.kind
  if (kind !== undefined && UNANSWERED.includes(kind)) {
    note(0)
    if (kind === 'truncated_body') truncate(response, request, answer)
    else if (kind === 'reset_after_effect') request.socket.resetAndDestroy()
    else if (fault?.ms !== undefined) setTimeout(() => request.socket.destroy(), fault.ms).unref()
    return
  }
  const sent = kind === 'error_500_after_effect' ? unexpected : answer
  note(sent.status)
  response.writeHead(sent.status, headersOf(sent))
  response.end(sent.body)
}

function headersOf(answer: Answer): Record<string, string | number> {
  const headers: Record<string, string | number> = { ...answer.headers }
  if (answer.type !== '') headers['content-type'] = answer.type
  if (answer.status !== 204) headers['content-length'] = Buffer.byteLength(answer.body)
  return headers
}

function truncate(response: ServerResponse, request: IncomingMessage, answer: Answer): void {
  const body = Buffer.from(answer.body === '' ? ' ' : answer.body)
  response.writeHead(answer.status, { ...headersOf(answer), 'content-length': body.length + 1 })
  response.write(body.subarray(0, Math.ceil(body.length / 2)), () => request.socket.destroy())
}
