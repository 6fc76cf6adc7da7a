import { RescindError } from '../core/errors.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'
import type { EventAside } from './webhook-cursor.ts'
import { CALM } from './webhook-cursor.ts'
import type { WebhookEndpoint } from './webhook-endpoint.ts'

/** An event that a receiver would not take, and that waits to be sent again. */
export interface WebhookAside {
  /** Of the event: stable, the same at every delivery. */
  readonly id: string
  readonly type: string
  /** When it was set aside, after how many tries, and what came of the last. */
  readonly at: Date
  readonly tries: number
  readonly why: string
}

export interface WebhookStatus {
  readonly url: string
  readonly state: 'delivering' | 'failing' | 'disabled'
  /** The position of the last event that it has, a few deliveries late. */
  readonly position: string | null
  /** When the oldest event happened that it does not have, set aside or not; null when it has all. */
  readonly waitingSince: Date | null
  readonly failures: number
  readonly nextAt: Date | null
  /** What it would not take. */
  readonly aside: readonly WebhookAside[]
}

/** What became of the events that were set aside when they were sent again. */
export interface SentAgain {
  /** Ids of those that were taken now. */
  readonly taken: readonly string[]
  /** Those that are still set aside. */
  readonly left: readonly WebhookAside[]
}

/** Says where receivers stand, and helps those that stopped. */
export interface WebhookDesk {
  status(): Promise<readonly WebhookStatus[]>
  /** Tries a disabled or failing receiver again at once, from where it stopped. @throws RescindError `usage` */
  enable(url: string): Promise<void>
  /**
   * Sends what was set aside for a receiver again, each once, and keeps what it still does not take. Of
   * a receiver that gives no answer nothing more is asked. @throws RescindError `usage`
   */
  sendAgain(url: string): Promise<SentAgain>
}

/** Returns the desk of some receivers; it needs no delivery under way, and disturbs none. */
export function createWebhookDesk(
  store: AuthorityStore,
  endpoints: readonly WebhookEndpoint[],
): WebhookDesk {
  const find = (url: string): WebhookEndpoint => {
    const endpoint = endpoints.find(({ webhook }) => webhook.url === url)
    if (endpoint) return endpoint
    throw new RescindError(
      'usage',
      'There is no webhook of this address. List them with: webhooks.status().',
    )
  }
  return {
    status: () => Promise.all(endpoints.map((endpoint) => statusOf(store, endpoint))),
    async enable(url) {
      await find(url).note.change((cursor) => ({ ...cursor, ...CALM, disabledAt: null }))
    },
    async sendAgain(url) {
      const { note, send } = find(url)
      const { aside } = (await note.read()).cursor
      const taken = new Set<string>()
      const whys = new Map<string, string>()
      try {
        for (const { event } of aside) {
          const sent = await send(event)
          if (sent.ok) taken.add(event.id)
          else whys.set(event.id, sent.why)
          if (!sent.ok && !sent.answered) break
        }
      } finally {
        await note.change((cursor) => ({
          ...cursor,
          aside: cursor.aside
            .filter(({ event }) => !taken.has(event.id))
            .map((one) => triedAgain(one, whys.get(one.event.id))),
        }))
      }
      const left = (await note.read()).cursor.aside
      return { taken: [...taken], left: left.map(shown) }
    },
  }
}

function triedAgain(one: EventAside, why: string | undefined): EventAside {
  return why === undefined ? one : { ...one, tries: one.tries + 1, why }
}

async function statusOf(
  store: AuthorityStore,
  { webhook, note }: WebhookEndpoint,
): Promise<WebhookStatus> {
  const { position, failures, nextAt, disabledAt, aside } = (await note.read()).cursor
  const next = await store.oldestEventAt(position)
  const waiting = [...aside.map(({ event }) => event.at), ...(next === null ? [] : [next])]
  const isFailing = failures > 0 ? 'failing' : 'delivering'
  return {
    ...{ url: webhook.url, position, failures },
    waitingSince: waiting.length === 0 ? null : new Date(Math.min(...waiting)),
    state: disabledAt === null ? isFailing : 'disabled',
    nextAt: failures > 0 && disabledAt === null ? new Date(nextAt) : null,
    aside: aside.map(shown),
  }
}

function shown({ event: { id, type }, at, tries, why }: EventAside): WebhookAside {
  return { id, type, at: new Date(at), tries, why }
}
