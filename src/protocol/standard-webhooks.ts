import { createHmac } from 'node:crypto'
import { RescindError } from '../core/errors.ts'
import type { Http } from '../core/http.ts'
import { Secret } from '../core/secret.ts'

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/
/** What Standard Webhooks allows for a key. */
const KEY_BYTES_MIN = 24
const KEY_BYTES_MAX = 64
/** A receiver writes the message down and answers; one that works longer should do it afterwards. */
export const WEBHOOK_TIMEOUT_MS = 15_000
const GONE = 410
const BACKOFF_MS_MIN = 1_000
const BACKOFF_MS_MAX = 3_600_000

/** Gives the headers of a message, with its signature. */
export type WebhookSigner = (
  id: string,
  sentAt: number,
  body: string,
) => Readonly<Record<string, string>>

/** What became of one message that was sent. */
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

/** One message to one receiver. */
export interface WebhookMessage {
  readonly url: string
  /** Stable, the same at every try, so that a receiver tells duplicates. */
  readonly id: string
  readonly sentAt: number
  readonly body: string
  readonly sign: WebhookSigner
  readonly timeoutMs?: number | undefined
  readonly signal: AbortSignal
}

/**
 * Returns what signs messages with one secret, or with two while it is changed.
 *
 * @param secrets each `whsec_` and 24 to 64 bytes in base64
 * @throws RescindError `key_invalid`
 * @see https://www.standardwebhooks.com
 */
export function createWebhookSigner(secrets: readonly Secret[]): WebhookSigner {
  const keys = secrets.map(keyOf)
  if (keys.length === 0) throw unusable()
  return (id, sentAt, body) => {
    const timestamp = String(Math.floor(sentAt / 1000))
    const signed = keys.map((key) => {
      const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`)
      return `v1,${signature.digest('base64')}`
    })
    return {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signed.join(' '),
    }
  }
}

/** Sends one message, once. Throws when the signal is aborted alone. */
export async function sendWebhook(http: Http, message: WebhookMessage): Promise<Sent> {
  const { url, id, sentAt, body, sign, timeoutMs = WEBHOOK_TIMEOUT_MS, signal } = message
  const headers = sign(id, sentAt, body)
  try {
    const answer = await http.send({ method: 'POST', url, headers, body, timeoutMs, signal })
    return judgeAnswer(answer)
  } catch (error) {
    if (signal.aborted) throw error
    const why = (error as Error).message
    return { ok: false, why, answered: false, gone: false, waitMs: 0 }
  }
}

/**
 * The wait after so many failures in a row: it doubles, and half of it is chance, so that receivers are
 * not all tried at once.
 *
 * @param chance from 0 to 1
 */
export function webhookBackoffMs(failures: number, chance: number): number {
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(failures - 1, 30))
  return Math.round(whole * (0.5 + chance / 2))
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

function keyOf(secret: Secret): Buffer {
  const text = secret instanceof Secret ? SECRET.exec(secret.reveal())?.[1] : undefined
  const key = Buffer.from(text ?? '', 'base64')
  if (key.length < KEY_BYTES_MIN || key.length > KEY_BYTES_MAX) throw unusable()
  return key
}

function unusable(): RescindError {
  return new RescindError(
    'key_invalid',
    `The secret of a webhook must be a Secret: whsec_ and ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} random bytes in base64.`,
  )
}
