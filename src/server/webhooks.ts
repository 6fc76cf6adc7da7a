import { RescindError } from '../core/errors.ts'
import { createHttp, type Http } from '../core/http.ts'
import type { Secret } from '../core/secret.ts'
import { parseEndpoint } from '../core/url.ts'
import type { EventRow } from '../store/authority/contract.ts'
import { type EventType, eventOf } from './events.ts'
import type { AuthorityParts } from './options.ts'
import { createCursorNote, type KeptCursor, type WebhookCursor } from './webhook-cursor.ts'
import { createWebhookSigner, webhookBody } from './webhook-message.ts'

/** How often new events are looked for. */
const POLL_MS = 500
/** Events read at once. */
const PAGE = 100
/** A receiver writes the event down and answers; one that works longer should do it afterwards. */
const TIMEOUT_MS = 15_000
/** Longer than any delivery: who holds the lease and is silent for so long is dead. */
const LEASE_MS = 60_000
const BACKOFF_MS_MIN = 1_000
const BACKOFF_MS_MAX = 3_600_000
/** A receiver that is down over a long weekend loses nothing. */
const DISABLE_AFTER_DAYS = 5
const DAY_MS = 86_400_000
/** A disabled webhook is looked at again so seldom. */
const DISABLED_LOOK_MS = 30_000
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

export interface WebhookStatus {
  readonly url: string
  readonly state: 'delivering' | 'failing' | 'disabled'
  /** The position of the last event that it has. */
  readonly position: string | null
  readonly failures: number
  readonly nextAt: Date | null
}

/** Pushes events to receivers, in order, each at least once. */
export interface Webhooks {
  status(): Promise<readonly WebhookStatus[]>
  /** Tries a disabled or failing receiver again at once, from where it stopped. @throws RescindError `usage` */
  enable(url: string): Promise<void>
  /** Stops, and gives the leases back. */
  close(): Promise<void>
}

interface Endpoint {
  readonly webhook: Webhook
  readonly sign: ReturnType<typeof createWebhookSigner>
  readonly note: ReturnType<typeof createCursorNote>
}

type Sent =
  | { readonly ok: true }
  | { readonly ok: false; why: string; gone: boolean; waitMs: number }

/**
 * Starts to deliver events by Standard Webhooks. A new receiver gets them from the oldest that is kept.
 *
 * @throws RescindError `url_invalid`, `url_plain_http`, `key_invalid`, `usage`
 * @see https://www.standardwebhooks.com
 */
export function startWebhooks(parts: AuthorityParts, webhooks: readonly Webhook[]): Webhooks {
  const endpoints = webhooks.map((webhook) => openEndpoint(parts, webhook))
  const stop = new AbortController()
  const http = createHttp()
  const holder = Buffer.from(parts.random(new Uint8Array(12))).toString('base64url')
  const deliveries = endpoints.map((endpoint) => {
    const delivery = createDelivery(parts, endpoint, { http, holder, signal: stop.signal })
    return { ...delivery, ended: deliverUntil(stop.signal, parts, delivery.step) }
  })
  return {
    status: () => Promise.all(endpoints.map(statusOf)),
    async enable(url) {
      const endpoint = endpoints.find(({ webhook }) => webhook.url === url)
      if (!endpoint) {
        throw new RescindError(
          'usage',
          'There is no webhook of this address. List them with: webhooks.status().',
        )
      }
      for (;;) {
        const kept = await endpoint.note.read()
        const { position, holder, leaseUntil } = kept.cursor
        const fresh = { failures: 0, failingSince: null, nextAt: 0, disabledAt: null }
        if (await endpoint.note.write({ position, holder, leaseUntil, ...fresh }, kept)) return
      }
    },
    async close() {
      stop.abort(new Error('The authority was closed.'))
      await Promise.all(deliveries.map(({ ended }) => ended))
      await Promise.all(deliveries.map(({ release }) => release().catch(parts.onTrouble)))
      await http.close()
    },
  }
}

function openEndpoint({ store }: AuthorityParts, webhook: Webhook): Endpoint {
  parseEndpoint(webhook.url, 'The address of a webhook')
  if ((webhook.timeoutMs ?? TIMEOUT_MS) >= LEASE_MS) {
    throw new RescindError('usage', `The timeoutMs of a webhook must be below ${LEASE_MS}.`)
  }
  const { secret } = webhook
  const sign = createWebhookSigner('reveal' in secret ? [secret] : secret)
  return { webhook, sign, note: createCursorNote(store, webhook.url) }
}

async function statusOf({ webhook, note }: Endpoint): Promise<WebhookStatus> {
  const { position, failures, nextAt, disabledAt } = (await note.read()).cursor
  const isFailing = failures > 0 ? 'failing' : 'delivering'
  return {
    ...{ url: webhook.url, position, failures },
    state: disabledAt === null ? isFailing : 'disabled',
    nextAt: failures > 0 && disabledAt === null ? new Date(nextAt) : null,
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

function createDelivery(
  parts: AuthorityParts,
  endpoint: Endpoint,
  { http, holder, signal }: { http: Http; holder: string; signal: AbortSignal },
) {
  const { store, clock } = parts
  const { webhook, sign, note } = endpoint
  const isWanted = ({ type }: EventRow) =>
    webhook.types === undefined || (webhook.types as readonly string[]).includes(type)
  const leased = (cursor: WebhookCursor): WebhookCursor => ({
    ...cursor,
    ...{ holder, leaseUntil: clock.now() + LEASE_MS },
  })

  const send = async (event: EventRow): Promise<Sent> => {
    const body = webhookBody(event)
    const { url, timeoutMs = TIMEOUT_MS } = webhook
    const headers = sign(event.id, clock.now(), body)
    try {
      const answer = await http.send({ method: 'POST', url, headers, body, timeoutMs, signal })
      if (answer.status >= 200 && answer.status < 300) return { ok: true }
      const { status, retryAfterMs: waitMs = 0 } = answer
      return { ok: false, why: `it answered ${status}`, gone: status === GONE, waitMs }
    } catch (error) {
      if (signal.aborted) throw error
      return { ok: false, why: (error as Error).message, gone: false, waitMs: 0 }
    }
  }
  /** Writes a failure down, and gives the lease back: the next try may be another process's. */
  const failed = async (kept: KeptCursor, sent: Sent & { ok: false }): Promise<number> => {
    const now = clock.now()
    const { cursor } = kept
    const failures = cursor.failures + 1
    const failingSince = cursor.failingSince ?? now
    const days = webhook.disableAfterDays ?? DISABLE_AFTER_DAYS
    const isOver = sent.gone || now - failingSince >= days * DAY_MS
    const waitMs = Math.max(sent.waitMs, backoffMs(failures, parts.random))
    const written = await note.write(
      {
        ...cursor,
        ...{ holder: null, leaseUntil: 0, failures, failingSince, nextAt: now + waitMs },
        disabledAt: isOver ? now : null,
      },
      kept,
    )
    if (written && isOver) await tellDisabled(parts, webhook, sent.why)
    else if (written && failures === 1) parts.onTrouble(failing(webhook, sent.why))
    return Math.min(waitMs, POLL_MS)
  }
  /** Delivers what there is; returns for how long there is nothing to do, in milliseconds. */
  const step = async (): Promise<number> => {
    const now = clock.now()
    const found = await note.read()
    const { position, leaseUntil, nextAt, disabledAt } = found.cursor
    if (disabledAt !== null) return DISABLED_LOOK_MS
    if (found.cursor.holder !== holder && leaseUntil > now) return POLL_MS
    if (nextAt > now) return Math.min(nextAt - now, POLL_MS)
    const events = await store.readEvents(position, PAGE)
    if (events.length === 0) return POLL_MS
    let kept = await note.write(leased(found.cursor), found)
    for (const event of events) {
      if (!kept || signal.aborted) return POLL_MS
      const passed = { ...kept.cursor, position: event.position }
      if (!isWanted(event) && event !== events.at(-1)) {
        // What is passed over is written down with the next one that is not.
        kept = { ...kept, cursor: passed }
        continue
      }
      const sent: Sent = isWanted(event) ? await send(event) : { ok: true }
      if (!sent.ok) return failed(kept, sent)
      const calm = { failures: 0, failingSince: null, nextAt: 0 }
      kept = await note.write(leased({ ...passed, ...calm }), kept)
    }
    return events.length < PAGE ? POLL_MS : 0
  }
  return {
    step,
    async release() {
      const kept = await note.read()
      if (kept.cursor.holder !== holder) return
      await note.write({ ...kept.cursor, holder: null, leaseUntil: 0 }, kept)
    },
  }
}

/** Doubles with every failure; half of it is chance, so that receivers are not all tried at once. */
export function backoffMs(failures: number, random: AuthorityParts['random']): number {
  const chance = (random(new Uint8Array(1))[0] ?? 0) / 255
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(failures - 1, 30))
  return Math.round(whole * (0.5 + chance / 2))
}

async function tellDisabled(parts: AuthorityParts, webhook: Webhook, why: string): Promise<void> {
  const { origin } = new URL(webhook.url)
  const event = eventOf({
    ...{ at: parts.clock.now(), type: 'webhook.disabled', cause: 'webhook', actor: 'system' },
    detail: { origin, why },
  })
  await parts.store.commit({ type: 'log', events: [event] })
  parts.onTrouble(
    new RescindError(
      'host_unreachable',
      `The webhook at ${origin} is disabled: ${why}. Mend it and enable it again; nothing that is still kept is lost.`,
    ),
  )
}

function failing({ url }: Webhook, why: string): RescindError {
  return new RescindError(
    'host_unreachable',
    `The webhook at ${new URL(url).origin} fails (${why}); it is tried again, less and less often.`,
  )
}
