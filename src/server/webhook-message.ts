import { createHmac } from 'node:crypto'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { EventRow } from '../store/authority/contract.ts'
import { publicEvent } from './public-event.ts'

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/
/** What Standard Webhooks allows for a key. */
const KEY_BYTES_MIN = 24
const KEY_BYTES_MAX = 64

/** One event as it is sent, without its signature: `{type, timestamp, data}`. */
export function webhookBody(event: EventRow): string {
  const data = publicEvent(event)
  return JSON.stringify({ type: data.type, timestamp: data.at, data })
}

/**
 * Returns what signs messages with one secret, or with two while it is changed.
 *
 * @param secrets each `whsec_` and 24 to 64 bytes in base64
 * @throws RescindError `key_invalid`
 * @see https://www.standardwebhooks.com
 */
export function createWebhookSigner(secrets: readonly Secret[]) {
  const keys = secrets.map(keyOf)
  if (keys.length === 0) throw unusable()
  return (id: string, sentAt: number, body: string): Readonly<Record<string, string>> => {
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
