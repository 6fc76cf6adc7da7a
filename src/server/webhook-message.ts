import type { EventRow } from '../store/authority/contract.ts'
import { publicEvent } from './public-event.ts'

/** One event as it is sent, without its signature: `{type, timestamp, data}`. */
export function webhookBody(event: EventRow): string {
  const data = publicEvent(event)
  return JSON.stringify({ type: data.type, timestamp: data.at, data })
}
