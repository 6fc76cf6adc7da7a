import type { Clock } from '../core/clock.ts'
import { isRescindError } from '../core/errors.ts'
import type { Http, HttpRequest, HttpResponse } from '../core/http.ts'
import type { RawExchange } from '../protocol/exchange.ts'
import { unclear } from './verdict.ts'

/** A server that asks for more patience than this is not waited for. */
const RETRY_AFTER_MS_MAX = 65_000
/** A limit that is still there after this many waits is no burst. */
const THROTTLED_MAX = 3
/** One answer; a server that takes longer does not answer. */
const TIMEOUT_MS = 15_000
/** The server is gone when this many requests in a row found nobody. */
const UNREACHABLE_MAX = 3

/** What one case may use, and what it sent. */
export interface CaseBudget {
  readonly requestsMax: number
  /** When it must have ended, in milliseconds since the Unix epoch. */
  readonly deadline: number
  sent: number
  /** The exchanges that show what the case found, in order. */
  exchanges: RawExchange[]
}

export interface SendWish {
  /** Part of making a token, or of a warm-up: not shown as evidence. */
  readonly quiet?: boolean | undefined
  /** A 429 is an answer that the case wants to see. */
  readonly takeThrottle?: boolean | undefined
}

/** Sends the requests of a run, counts them and keeps what they show. */
export interface Sender {
  /** All requests of the run so far. */
  readonly sent: number
  /** Opens the account of a case. Requests are booked on the newest. */
  open(requestsMax: number, caseMsMax: number): CaseBudget
  /** @throws CaseEnd when the budget is used up, or there is no answer */
  send(request: HttpRequest, wish?: SendWish): Promise<HttpResponse>
  /** The same, with undefined where the connection broke. */
  trySend(request: HttpRequest, wish?: SendWish): Promise<HttpResponse | undefined>
  /** Forgets what the open case has sent so far: it shows nothing. */
  forget(): void
  /** The exchanges of the open case so far. */
  kept(): readonly RawExchange[]
  /** Puts these in the place of all. */
  keep(exchanges: readonly RawExchange[]): void
  /** Whether the server is gone for good. */
  readonly lost: boolean
}

export interface SenderOptions {
  readonly http: Http
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/** Opens the way out of a run. */
export function openSender({ http, clock, signal }: SenderOptions): Sender {
  let sent = 0
  let unreachable = 0
  let budget: CaseBudget = newBudget(0, 0)

  const once = async (request: HttpRequest, wish: SendWish): Promise<RawExchange> => {
    const account = budget
    signal?.throwIfAborted()
    if (account.sent >= account.requestsMax) {
      unclear(`It would take more than the ${account.requestsMax} requests that it may send.`)
    }
    if (clock.now() > account.deadline) unclear('It took longer than it may.')
    account.sent += 1
    sent += 1
    const exchange = await ask(request)
    unreachable = exchange.trouble?.includes('cannot be reached') ? unreachable + 1 : 0
    if (!wish.quiet) account.exchanges.push(exchange)
    return exchange
  }

  const ask = async (request: HttpRequest): Promise<RawExchange> => {
    try {
      const answer = await http.send({ timeoutMs: TIMEOUT_MS, ...request, signal })
      return { request, answer, trouble: undefined }
    } catch (error) {
      if (!isRescindError(error)) throw error
      return { request, answer: undefined, trouble: error.message }
    }
  }

  const patiently = async (request: HttpRequest, wish: SendWish): Promise<RawExchange> => {
    for (let waits = 0; ; waits++) {
      const exchange = await once(request, wish)
      if (exchange.answer?.status !== 429 || wish.takeThrottle) return exchange
      const waitMs = exchange.answer.retryAfterMs ?? RETRY_AFTER_MS_MAX
      if (waits === THROTTLED_MAX || waitMs > RETRY_AFTER_MS_MAX) {
        unclear(
          'The server throttles (429). Raise its limit for this client, or run it again later.',
        )
      }
      await clock.sleep(waitMs, signal)
    }
  }

  return {
    get sent() {
      return sent
    },
    get lost() {
      return unreachable >= UNREACHABLE_MAX
    },
    open(requestsMax, caseMsMax) {
      budget = newBudget(requestsMax, clock.now() + caseMsMax)
      return budget
    },
    forget() {
      budget.exchanges = []
    },
    kept: () => [...budget.exchanges],
    keep(exchanges) {
      budget.exchanges = [...exchanges]
    },
    async send(request, wish = {}) {
      const { answer, trouble } = await patiently(request, wish)
      return answer ?? unclear(`There was no answer: ${trouble}`)
    },
    async trySend(request, wish = {}) {
      return (await patiently(request, wish)).answer
    },
  }
}

function newBudget(requestsMax: number, deadline: number): CaseBudget {
  return { requestsMax, deadline, sent: 0, exchanges: [] }
}
