import { StringDecoder } from 'node:string_decoder'
import { EnvHttpProxyAgent, request as undiciRequest } from 'undici'
import { type Clock, systemClock } from './clock.ts'
import { isRescindError, RescindError } from './errors.ts'
import { parseEndpoint, printableUrl, type Risk } from './url.ts'

/** A vendor's answer takes milliseconds; one that takes this long is as good as lost. */
const TIMEOUT_MS = 30_000
/** A page of 2,000 records is about 2 MB; past this, something else answers. */
const BODY_BYTES_MAX = 32 * 1024 * 1024
/** More sockets to one host than the pace will ever use at once. */
const CONNECTIONS_MAX = 256
const CONNECT_TIMEOUT_MS = 10_000
/** A Retry-After beyond this is not waited for blindly. */
const RETRY_AFTER_MS_MAX = 3_600_000

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: string | URL
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
  /** From the call to the last byte of the answer. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface HttpResponse {
  readonly status: number
  /** Lower-case names; values of a repeated header are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** How long the server asks to wait, from `Retry-After` in seconds or as a date. */
  readonly retryAfterMs: number | undefined
  readonly elapsedMs: number
}

export interface HttpOptions {
  readonly clock?: Clock | undefined
  readonly timeoutMs?: number | undefined
  readonly acceptRisk?: readonly Risk[] | undefined
  readonly userAgent?: string | undefined
}

/** The one way out of the process. */
export interface Http {
  /**
   * Sends one request and returns the answer, whatever its status. A redirect is an answer (3xx)
   * and is never followed. Proxies come from HTTP_PROXY, HTTPS_PROXY and NO_PROXY; loopback hosts
   * never go through one.
   *
   * @throws RescindError `url_plain_http`, `host_unreachable`, `tls_failed` (the request had no
   * effect: see {@link hadNoEffect}), `http_timeout`, `http_reset`, `http_too_large` (it may have had one)
   */
  send(request: HttpRequest): Promise<HttpResponse>
  /** The same, in the shape of `fetch`, for libraries that take one. */
  readonly fetch: typeof fetch
  close(): Promise<void>
}

/** Opens the way out: one pool of connections a host, kept alive. */
export function createHttp(options: HttpOptions = {}): Http {
  const clock = options.clock ?? systemClock
  const dispatcher = new EnvHttpProxyAgent({
    connections: CONNECTIONS_MAX,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    noProxy: noProxyFromEnvironment(),
  })
  const send = async (request: HttpRequest): Promise<HttpResponse> => {
    const url = parseEndpoint(String(request.url), 'The address', options.acceptRisk)
    const timeoutMs = request.timeoutMs ?? options.timeoutMs ?? TIMEOUT_MS
    const startedAt = clock.now()
    const limit = limitTime(timeoutMs, request.signal)
    try {
      const answer = await undiciRequest(url, {
        dispatcher,
        method: request.method,
        headers: { 'user-agent': options.userAgent ?? 'rescind', ...request.headers },
        body: request.body ?? null,
        signal: limit.signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      })
      const headers = flatten(answer.headers)
      return {
        status: answer.statusCode,
        headers,
        body: await readBody(answer.body, url),
        retryAfterMs: parseRetryAfter(headers['retry-after'], clock.now(), headers.date),
        elapsedMs: clock.now() - startedAt,
      }
    } catch (error) {
      throw asHttpError(error, url, timeoutMs, request.signal)
    } finally {
      limit.lift()
    }
  }
  return { send, fetch: fetchVia(send), close: () => dispatcher.close() }
}

/**
 * Gives a signal that is aborted after a time, or with another signal. Unlike AbortSignal.timeout it
 * can be lifted: else the timers of half a minute's requests would all be held.
 */
function limitTime(ms: number, other: AbortSignal | undefined) {
  const controller = new AbortController()
  const onTime = () => controller.abort(new DOMException('The time is up', 'TimeoutError'))
  const onOther = () => controller.abort(other?.reason)
  const timer = setTimeout(onTime, ms)
  if (other?.aborted) onOther()
  else other?.addEventListener('abort', onOther, { once: true })
  const lift = () => {
    clearTimeout(timer)
    other?.removeEventListener('abort', onOther)
  }
  return { signal: controller.signal, lift }
}

/** Says whether a failed send is known not to have reached the server. */
export function hadNoEffect(error: unknown): boolean {
  return isRescindError(error, 'host_unreachable', 'tls_failed', 'url_invalid', 'url_plain_http')
}

/** Says whether a failed send may have reached the server and been acted on: its answer was lost. */
export function mayHaveHadEffect(error: unknown): error is RescindError {
  return isRescindError(error, 'http_timeout', 'http_reset', 'http_too_large')
}

/**
 * Reads `Retry-After`, in seconds or as an HTTP date, as milliseconds from `now`.
 *
 * @param date the `Date` of the same answer: its server's clock, and not ours, wrote both
 * @see RFC 9110 section 10.2.3
 */
export function parseRetryAfter(
  value: string | undefined | null,
  now: number,
  date?: string | undefined | null,
): number | undefined {
  if (value === undefined || value === null) return undefined
  const trimmed = value.trim()
  const isSeconds = /^\d+$/.test(trimmed)
  const from = Date.parse(date ?? '')
  const until = Date.parse(trimmed) - (Number.isNaN(from) ? now : from)
  const ms = isSeconds ? Number(trimmed) * 1000 : until
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX)
}

function noProxyFromEnvironment(): string {
  const configured = process.env.no_proxy ?? process.env.NO_PROXY ?? ''
  return [configured, 'localhost', '127.0.0.1', '::1'].filter(Boolean).join(',')
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}

async function readBody(body: AsyncIterable<Buffer>, url: URL): Promise<string> {
  // Decoded as it comes: whole bodies as buffers stay beside the heap until a collection.
  const decoder = new StringDecoder('utf8')
  let text = ''
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) {
      throw new RescindError(
        'http_too_large',
        `${printableUrl(url)} answered with more than ${BODY_BYTES_MAX / 1024 / 1024} MB. Check that the address is right.`,
      )
    }
    text += decoder.write(chunk)
  }
  return text + decoder.end()
}

/** Failures that happen before a byte of the request is sent. */
const UNREACHABLE_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
])

function asHttpError(error: unknown, url: URL, timeoutMs: number, signal?: AbortSignal): unknown {
  if (error instanceof RescindError) return error
  if (signal?.aborted) return signal.reason
  const code = String((error as { code?: unknown }).code ?? '')
  const where = url.origin
  if ((error as Error).name === 'TimeoutError' || /_TIMEOUT$/.test(code)) {
    if (code !== 'UND_ERR_CONNECT_TIMEOUT') {
      const message = `${where} did not answer within ${timeoutMs / 1000} s. Whether it acted is not known.`
      return new RescindError('http_timeout', message, { cause: error })
    }
  }
  if (UNREACHABLE_CODES.has(code)) {
    const message = `${where} cannot be reached (${code}). Check the address, the network and the proxy.`
    return new RescindError('host_unreachable', message, { cause: error })
  }
  if (/EPROTO|WRONG_VERSION_NUMBER|PACKET_LENGTH/.test(code)) {
    const message = `${where} does not speak TLS there (${code}). Check the port, and that the address is not that of plain HTTP.`
    return new RescindError('tls_failed', message, { cause: error })
  }
  if (/CERT|SELF_SIGNED|TLS|SSL|ALTNAME|UNABLE_TO_VERIFY/.test(code)) {
    const message = `${where} could not prove who it is (${code}). Add its authority with NODE_EXTRA_CA_CERTS if you trust it.`
    return new RescindError('tls_failed', message, { cause: error })
  }
  const message = `The connection to ${where} broke (${code || 'no code'}). Whether the request was acted on is not known.`
  return new RescindError('http_reset', message, { cause: error })
}

function fetchVia(send: Http['send']): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init)
    const body = request.body === null ? undefined : await request.text()
    const answer = await send({
      method: request.method as HttpRequest['method'],
      url: request.url,
      headers: Object.fromEntries(request.headers),
      body,
      signal: init?.signal ?? undefined,
    })
    const empty = [204, 205, 304].includes(answer.status)
    const headers = Object.entries(answer.headers).filter(([name]) => name !== 'content-encoding')
    const { status } = answer
    return new Response(empty ? null : answer.body, { status, headers })
  }
}
