import { createHttp } from '../core/http.ts'
import type { Observer } from './observer.ts'
import type { AuthorityParts } from './options.ts'
import { createDelivery, POLL_MS } from './webhook-delivery.ts'
import { createWebhookDesk, type WebhookDesk } from './webhook-desk.ts'
import { openWebhook, type Webhook } from './webhook-endpoint.ts'

/** Pushes events to receivers, in order, each at least once. */
export interface Webhooks extends WebhookDesk {
  /** Stops, and gives the leases back. */
  close(): Promise<void>
}

/**
 * Starts to deliver events by Standard Webhooks. A new receiver gets them from the oldest that is kept.
 *
 * @throws RescindError `url_invalid`, `url_plain_http`, `key_invalid`, `usage`
 * @see https://www.standardwebhooks.com
 */
export function startWebhooks(
  parts: AuthorityParts,
  webhooks: readonly Webhook[],
  observer?: Observer | undefined,
): Webhooks {
  const { desk, endpoints, signal, close } = openDesk(parts, webhooks)
  const holder = Buffer.from(parts.random(new Uint8Array(12))).toString('base64url')
  const deliveries = endpoints.map((endpoint) => {
    const delivery = createDelivery(parts, endpoint, { holder, signal, observer })
    return { ...delivery, ended: deliverUntil(signal, parts, delivery.step) }
  })
  return {
    ...desk,
    close: () =>
      close(async () => {
        await Promise.all(deliveries.map(({ ended }) => ended))
        await Promise.all(deliveries.map(({ release }) => release().catch(parts.onTrouble)))
      }),
  }
}

/**
 * Opens the desk of some receivers without delivering to them.
 *
 * @throws RescindError `url_invalid`, `url_plain_http`, `key_invalid`, `usage`
 */
export function openWebhookDesk(
  parts: Pick<AuthorityParts, 'store' | 'clock'>,
  webhooks: readonly Webhook[],
): Webhooks {
  const { desk, close } = openDesk(parts, webhooks)
  return { ...desk, close: () => close() }
}

function openDesk(parts: Pick<AuthorityParts, 'store' | 'clock'>, webhooks: readonly Webhook[]) {
  const stop = new AbortController()
  const { signal } = stop
  const http = createHttp()
  const endpoints = webhooks.map((webhook) => openWebhook(parts, webhook, { http, signal }))
  return {
    ...{ desk: createWebhookDesk(parts.store, endpoints), endpoints, signal },
    async close(ended = async () => {}) {
      stop.abort(new Error('The authority was closed.'))
      await ended()
      await http.close()
    },
  }
}

async function deliverUntil(
  signal: AbortSignal,
  { clock, onTrouble }: AuthorityParts,
  step: () => Promise<number>,
): Promise<void> {
  while (!signal.aborted) {
    const waitMs = await step().catch((error: unknown) => {
      if (!signal.aborted) onTrouble(error)
      return POLL_MS
    })
    if (waitMs > 0) await clock.sleep(waitMs, signal).catch(() => undefined)
  }
}
