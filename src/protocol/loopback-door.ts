import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RescindError } from '../core/errors.ts'
import { renderVisit } from './loopback-page.ts'

/** What a request to the door means. */
export type Visit =
  | { readonly kind: 'code'; readonly code: string; readonly iss: string | null }
  /** The vendor's words, as they came. */
  | { readonly kind: 'refused'; readonly error: string; readonly description: string }
  /** Not the answer that is waited for; the wait goes on. */
  | { readonly kind: 'stranger' }

type Answer = Exclude<Visit, { readonly kind: 'stranger' }>

/** An address of this machine that the browser comes back to. */
export interface Door {
  readonly redirectUri: string
  /**
   * Waits for the answer with this state, and for no other any more.
   *
   * @param mayLackState takes an answer without any state too, of a provider that does not echo it
   */
  answer(state: string, mayLackState?: boolean): Promise<Answer>
  close(): void
}

/**
 * Opens a loopback address for answers, one at a time; nobody else has it meanwhile.
 *
 * @param redirect port 0 takes any
 * @throws RescindError `config_invalid` for an address elsewhere, `usage` when the port is taken
 * @see RFC 8252 section 7.3
 */
export async function openDoor(redirect: URL): Promise<Door> {
  if (!isDoor(redirect)) {
    throw new RescindError(
      'config_invalid',
      'The redirectUri must be an http address of this machine, like http://localhost:1717/OauthRedirect.',
    )
  }
  let waiting: { state: string; mayLackState: boolean; come(answer: Answer): void } | undefined
  const server = createServer((request, response) => {
    const { state, mayLackState, come } = waiting ?? {}
    const visit = readVisit(request, redirect.pathname, state, mayLackState)
    if (visit.kind !== 'stranger') waiting = undefined
    const { status, headers, html } = renderVisit(visit.kind)
    response.writeHead(status, headers).end(html)
    // Only when the page has left: the door is closed then, and every connection with it.
    response.once('close', () => {
      if (visit.kind !== 'stranger') come?.(visit)
    })
  })
  await listen(server, Number(redirect.port || '0'))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  const redirectUri = `http://${redirect.hostname}:${port}${redirect.pathname}`
  const answer = (state: string, mayLackState = false) =>
    new Promise<Answer>((come) => {
      waiting = { state, mayLackState, come }
    })
  return { redirectUri, answer, close }
}

/** Says whether an address is one that a door can be opened at. */
export function isDoor({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(hostname)
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `Port ${port} of this machine cannot be listened on. End what uses it, or set another redirectUri.`
      reject(new RescindError('usage', message, { cause }))
    })
    server.listen(port, '127.0.0.1', () => resolve())
  })
}

/**
 * Judges a request to the loopback address. Only one with our state is the answer; anything else
 * may come from any page or program of this machine.
 *
 * @param state undefined where no answer is waited for
 * @see RFC 6749 section 10.12
 */
export function readVisit(
  request: Pick<IncomingMessage, 'method' | 'url'>,
  path: string,
  state: string | undefined,
  mayLackState = false,
): Visit {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  if (state === undefined || request.method !== 'GET' || url.pathname !== path)
    return { kind: 'stranger' }
  const query = url.searchParams
  // A bare request is no answer: without a state nothing else would tell it from one.
  const isBare = !query.has('code') && !query.has('error')
  const isExcused = mayLackState && !query.has('state') && !isBare
  if (!isExcused && !isSame(query.get('state') ?? '', state)) return { kind: 'stranger' }
  const code = query.get('code')
  if (code) return { kind: 'code', code, iss: query.get('iss') }
  const error = query.get('error') ?? 'no code'
  const description = query.get('error_description') ?? ''
  return { kind: 'refused', error, description }
}

function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
