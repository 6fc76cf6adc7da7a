import prometheus from 'prom-client'
import type { Clock } from '../../core/clock.ts'
import { isRescindError } from '../../core/errors.ts'
import type { Observer } from '../../server/observer.ts'
import type { WebhookDesk } from '../../server/webhook-desk.ts'

/** From half a millisecond, one flush of a fast disk, to what a store's deadline allows. */
const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** What the authority counts for Prometheus; no label holds anything of a person or a token. */
export interface Metrics extends Observer {
  answered(endpoint: string, status: number, seconds: number): void
  trouble(error: unknown): void
  /** Tells, whenever it is read, how long the oldest event waits that each receiver does not have. */
  watchWebhooks(desk: Pick<WebhookDesk, 'status'>, clock: Clock): void
  /** All of this process, in the text format. */
  read(): Promise<string>
}

/** @see https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function createMetrics(): Metrics {
  const registry = new prometheus.Registry()
  // The process that answers for all workers asks each of them for this registry.
  prometheus.AggregatorRegistry.setRegistries([registry])
  const counter = (name: string, help: string, labelNames: string[]) =>
    new prometheus.Counter({ name, help, labelNames, registers: [registry] })
  const requests = counter('rescind_http_requests_total', 'Requests by endpoint and status.', [
    'endpoint',
    'status',
  ])
  const durations = new prometheus.Histogram({
    ...{ name: 'rescind_http_request_duration_seconds', help: 'Time to the answer, by endpoint.' },
    ...{ labelNames: ['endpoint'], buckets: DURATION_BUCKETS_S, registers: [registry] },
  })
  const revocations = counter(
    'rescind_revocations_total',
    'Tokens presented for revocation, by what became of them.',
    ['outcome'],
  )
  const issued = counter('rescind_tokens_issued_total', 'Tokens issued, by kind.', ['kind'])
  const setAside = counter(
    'rescind_webhook_events_set_aside_total',
    'Events that the receiver of a webhook would not take.',
    [],
  )
  const troubles = counter('rescind_trouble_total', 'Errors of the store and others, by code.', [
    'code',
  ])
  // A series that begins at zero shows its first event as an increase.
  for (const outcome of ['revoked', 'already_dead', 'unknown', 'foreign']) {
    revocations.inc({ outcome }, 0)
  }
  for (const kind of ['access', 'refresh']) issued.inc({ kind }, 0)
  for (const code of ['store_down', 'store_locked', 'store_full', 'webhook_refused'])
    troubles.inc({ code }, 0)
  return {
    answered(endpoint, status, seconds) {
      requests.inc({ endpoint, status })
      durations.observe({ endpoint }, seconds)
    },
    revoked: (outcome) => revocations.inc({ outcome }),
    issued(kinds) {
      for (const kind of kinds) issued.inc({ kind })
    },
    setAside: () => setAside.inc(),
    trouble: (error) => troubles.inc({ code: isRescindError(error) ? error.code : 'unexpected' }),
    watchWebhooks(desk, clock) {
      new prometheus.Gauge({
        name: 'rescind_webhook_oldest_undelivered_seconds',
        help: 'Age of the oldest event that the receiver of a webhook does not have.',
        labelNames: ['receiver'],
        registers: [registry],
        // Every worker tells the same of all receivers.
        aggregator: 'max',
        async collect() {
          this.reset()
          // Without the store there is nothing to tell, and the other metrics are read all the same.
          const all = await desk.status().catch(() => [])
          for (const [nth, { waitingSince }] of all.entries()) {
            const ageMs = waitingSince === null ? 0 : clock.now() - waitingSince.getTime()
            this.set({ receiver: nth + 1 }, Math.max(0, ageMs) / 1000)
          }
        },
      })
    },
    read: () => registry.metrics(),
  }
}

/** Lets a worker's metrics be asked for, or asks all workers for theirs and adds them up. */
export function createSharedMetrics(): { read(): Promise<string> } {
  const all = new prometheus.AggregatorRegistry()
  return { read: () => all.clusterMetrics() }
}
