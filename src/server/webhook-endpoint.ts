import { RescindError } from '../core/errors.ts'
import type { Http } from '../core/http.ts'
import type { Secret } from '../core/secret.ts'
import { parseEndpoint } from '../core/url.ts'
import type { EventRow } from '../store/authority/contract.ts'
import type { EventType } from './events.ts'
import type { AuthorityParts } from './options.ts'
import { type CursorNote, createCursorNote } from './webhook-cursor.ts'
import { createWebhookSigner, webhookBody } from './webhook-message.ts'

/** A receiver writes the event down and answers; one that works longer should do it afterwards. */
const TIMEOUT_MS = 15_000
/** Longer than any delivery: who holds the lease and is silent for so long is dead. */
export const LEASE_MS = 60_000
const GONE = 410

/** A receiver of events. */
export interface Webhook {
  /** https, or http on loopback. Redirects are not followed. */
  readonly url: string
  /** `whsec_` and 24 to 64 random bytes in base64; two while it is changed, the new one first. */
  readonly secret: Secret | readonly Secret[]
  /** Which events it wants; all, when it is not said. */
  readonly types?: readonly EventType[] | undefined
  /** How long it may take to answer, below 60,000. 15,000 when it is not said. */
  readonly timeoutMs?: number | undefined
  /** After how many days of failures it is disabled. 5 when it is not said. */
  readonly disableAfterDays?: number | undefined
}

/** What became of one event that was sent. */
export type Sent =
  | { readonly ok: true }
  | {
      readonly ok: false
      readonly why: string
      /** It said so itself; else nothing came back. */
      readonly answered: boolean
      readonly gone: boolean
      readonly waitMs: number
    }

/** A receiver with what reaches it, and where it stands. */
export interface WebhookEndpoint {
  readonly webhook: Webhook
  /** Its address without what may be a secret of its own. */
  readonly origin: string
  readonly timeoutMs: number
  readonly note: CursorNote
  isWanted(event: EventRow): boolean
  /** Sends one event, once. Throws when the signal is aborted alone. */
  send(event: EventRow): Promise<Sent>
}

/** @throws RescindError `url_invalid`, `url_plain_http`, `key_invalid`, `usage` */
export function openWebhook(
  { store, clock }: Pick<AuthorityParts, 'store' | 'clock'>,
  webhook: Webhook,
  { http, signal }: { readonly http: Http; readonly signal: AbortSignal },
): WebhookEndpoint {
  const { url, secret, types, timeoutMs = TIMEOUT_MS } = webhook
  parseEndpoint(url, 'The address of a webhook')
  if (timeoutMs >= LEASE_MS) {
    throw new RescindError('usage', `The timeoutMs of a webhook must be below ${LEASE_MS}.`)
  }
  const sign = createWebhookSigner('reveal' in secret ? [secret] : secret)
  return {
    webhook,
    origin: new URL(url).origin,
    timeoutMs,
    note: createCursorNote(store, url),
    isWanted: ({ type }) => types === undefined || (types as readonly string[]).includes(type),
    async send(event) {
      const body = webhookBody(event)
      const headers = sign(event.id, clock.now(), body)
      try {
        const answer = await http.send({ method: 'POST', url, headers, body, timeoutMs, signal })
        return judgeAnswer(answer)
      } catch (error) {
        if (signal.aborted) throw error
        const why = (error as Error).message
        return { ok: false, why, answered: false, gone: false, waitMs: 0 }
      }
    },
  }
}

function judgeAnswer({
  status,
  retryAfterMs: waitMs = 0,
}: {
  readonly status: number
  readonly retryAfterMs?: number | undefined
}): Sent {
  if (status >= 200 && status < 300) return { ok: true }
  return { ok: false, why: `it answered ${status}`, answered: true, gone: status === GONE, waitMs }
}
