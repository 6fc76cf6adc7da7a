import { RescindError } from '../core/errors.ts'
import type { Http } from '../core/http.ts'
import { Secret } from '../core/secret.ts'
import { parseEndpoint } from '../core/url.ts'
import {
  createWebhookSigner,
  type Sent,
  sendWebhook,
  WEBHOOK_TIMEOUT_MS,
} from '../protocol/standard-webhooks.ts'
import type { EventRow } from '../store/authority/contract.ts'
import { checkShape, type KeyCheck, optional } from './check-shape.ts'
import { EVENT_TYPES, type EventType } from './events.ts'
import type { AuthorityParts } from './options.ts'
import { type CursorNote, createCursorNote } from './webhook-cursor.ts'
import { webhookBody } from './webhook-message.ts'

/** Longer than any delivery: who holds the lease and is silent for so long is dead. */
export const LEASE_MS = 60_000

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

const POSITIVE: KeyCheck = {
  isGood: (value) => Number.isFinite(value) && Number(value) > 0,
  needs: 'must be a number above zero',
}
const WEBHOOK = {
  url: { isGood: (value) => typeof value === 'string', needs: 'must be an address' },
  secret: {
    isGood: (value) => [value].flat().every((one) => one instanceof Secret),
    needs: 'must be a Secret, as new Secret(text) makes one, or a list of them',
  },
  types: optional({
    isGood: (value) =>
      Array.isArray(value) &&
      value.every((one) => (EVENT_TYPES as readonly unknown[]).includes(one)),
    needs: `must be a list of types of events: ${EVENT_TYPES.join(', ')}`,
  }),
  timeoutMs: optional(POSITIVE),
  disableAfterDays: optional(POSITIVE),
} as const satisfies Readonly<Record<keyof Webhook, KeyCheck>>

/** @throws RescindError `url_invalid`, `url_plain_http`, `key_invalid`, `usage` */
export function openWebhook(
  { store, clock }: Pick<AuthorityParts, 'store' | 'clock'>,
  webhook: Webhook,
  { http, signal }: { readonly http: Http; readonly signal: AbortSignal },
): WebhookEndpoint {
  checkShape(webhook, WEBHOOK, 'Of a webhook, the key')
  const { url, secret, types, timeoutMs = WEBHOOK_TIMEOUT_MS } = webhook
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
    send: (event) =>
      sendWebhook(http, {
        ...{ url, id: event.id, sentAt: clock.now(), body: webhookBody(event) },
        ...{ sign, timeoutMs, signal },
      }),
  }
}
