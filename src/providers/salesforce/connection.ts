import { RescindError } from '../../core/errors.ts'
import type { HttpResponse } from '../../core/http.ts'
import { redact } from '../../core/secret.ts'
import { printableUrl } from '../../core/url.ts'
import type { Means } from '../provider.ts'
import type { Identity, Login, Minted } from './login.ts'
import { judgeRestAnswer, parseJson } from './rest-answer.ts'
import { backoffMs, WAIT_MS_MAX } from './retry.ts'

/** Tries of one idempotent read; with the waits between them, about half a minute. */
const READ_TRIES_MAX = 7
/**
 * Renewals in one run. A session lives for two hours by default, so this is more than two days;
 * past it, something ends our sessions as fast as we open them.
 */
const RENEWALS_MAX = 32

export interface RestCall {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** From the root of the instance, with the query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** How many API requests the org has used of its daily limit, as it last said. */
export interface ApiUsage {
  readonly used: number
  readonly max: number
}

/** An authorised way to one org, whose session is renewed when it ends. */
export interface Connection {
  readonly apiVersion: string
  /** The instance's address, without a slash at its end. */
  instanceUrl(): string
  /**
   * Sends one authorised request, once. A dead session is renewed once and the request, which
   * then had no effect, is sent again.
   *
   * @throws RescindError `login_needed`, `not_authenticated`, or an HTTP code
   */
  send(call: RestCall): Promise<HttpResponse>
  /**
   * Reads JSON, with tries again while the org is busy or the line breaks.
   *
   * @param what what is read, for messages: `the list of users`
   * @throws RescindError `not_permitted`, `provider_busy`, `answer_invalid`, and those of `send`
   */
  read(path: string, what: string, signal?: AbortSignal): Promise<unknown>
  /** Sends a request whose session stands in its body; `write` gets the session's value. */
  sendWithSession(
    call: Omit<RestCall, 'body'>,
    write: (sessionId: string) => string,
  ): Promise<HttpResponse>
  /** Whose session it is, where the login said so. */
  identity(): Identity | undefined
  /** What this connection has asked, and what the org says of its daily limit. */
  usage(): { readonly requests: number; readonly last: ApiUsage | undefined }
}

interface Session extends Minted {
  readonly generation: number
}

/** Logs in and returns the way to the org. */
export async function openConnection(
  login: Login,
  means: Means,
  apiVersion: string,
): Promise<Connection> {
  let session: Session = { ...(await login.mint(means.signal)), generation: 0 }
  /** The generations whose session was accepted at least once. */
  let accepted = -1
  let renewing: Promise<void> | undefined
  const usage: { requests: number; last: ApiUsage | undefined } = { requests: 0, last: undefined }

  const mintNext = async () => {
    const { generation } = session
    if (!login.renewable) throw sessionEnded(session)
    // A session that never worked is not replaced by another that will not.
    if (accepted < generation) throw neverAccepted(session)
    if (generation >= RENEWALS_MAX) throw endsTooOften(session)
    means.notice('The session ended; logging in again.')
    session = { ...(await login.mint(means.signal)), generation: generation + 1 }
  }
  const renew = async (stale: Session) => {
    if (session.generation !== stale.generation) return
    renewing ??= mintNext().finally(() => {
      renewing = undefined
    })
    await renewing
  }

  const sendOnce = async (call: RestCall, used: Session, body: string | undefined) => {
    const answer = await means.http.send({
      method: call.method,
      url: new URL(call.path, `${origin(used)}/`),
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${used.accessToken.reveal()}`,
        ...call.headers,
      },
      body,
      signal: call.signal ?? means.signal,
    })
    usage.requests += 1
    usage.last = parseUsage(answer.headers['sforce-limit-info']) ?? usage.last
    if (answer.status < 400) return answer
    // An error may echo the session, whatever its shape; it is dropped before anybody reads it.
    return { ...answer, body: redact(answer.body, used.accessToken) }
  }
  const sendRenewing = async (call: RestCall, bodyFor: (used: Session) => string | undefined) => {
    for (let renewals = 0; ; renewals += 1) {
      const used = session
      const answer = await sendOnce(call, used, bodyFor(used))
      if (!isSessionDead(answer)) {
        accepted = Math.max(accepted, used.generation)
        return answer
      }
      if (renewals > 0 && session.generation === used.generation) throw neverAccepted(used)
      await renew(used)
    }
  }

  const send = (call: RestCall) => sendRenewing(call, () => call.body)
  const sendWithSession: Connection['sendWithSession'] = (call, write) =>
    sendRenewing(call, (used) => write(used.accessToken.reveal()))
  const read: Connection['read'] = async (path, what, signal = means.signal) => {
    for (let tries = 1; ; tries += 1) {
      const tried = await tryRead(send, { method: 'GET', path, signal }, what)
      if (tried.kind === 'ok') return tried.json
      if (tries >= READ_TRIES_MAX) throw tried.error
      const waitMs = tried.retryAfterMs ?? backoffMs(tries, means.random)
      if (waitMs > WAIT_MS_MAX) throw tried.error
      await means.clock.sleep(waitMs, signal)
    }
  }
  const instanceUrl = () => origin(session)
  return {
    apiVersion,
    instanceUrl,
    send,
    read,
    sendWithSession,
    identity: () => session.identity,
    usage: () => usage,
  }
}

type Tried =
  | { readonly kind: 'ok'; readonly json: unknown }
  | { readonly kind: 'again'; readonly error: unknown; readonly retryAfterMs?: number | undefined }

/** Reads once; says whether trying again is worth it, and throws where it is not. */
async function tryRead(send: Connection['send'], call: RestCall, what: string): Promise<Tried> {
  let answer: HttpResponse
  try {
    answer = await send(call)
  } catch (error) {
    if (!isLineTrouble(error)) throw error
    return { kind: 'again', error }
  }
  const verdict = judgeRestAnswer(answer, what)
  switch (verdict.kind) {
    case 'ok':
      return readOrAgain(answer, what)
    case 'busy':
      return { kind: 'again', error: verdict.refusal, retryAfterMs: answer.retryAfterMs }
    case 'refused':
      throw verdict.refusal
    case 'session_dead':
      // `send` renews these; one that reaches here is a bug, and reads as what it looks like.
      throw new RescindError('not_authenticated', 'Salesforce does not accept the session.')
  }
}

/** A page in HTML with a 200 is a proxy's or a maintenance notice; it passes. */
function readOrAgain(answer: HttpResponse, what: string): Tried {
  try {
    return { kind: 'ok', json: parseJson(answer, what) }
  } catch (error) {
    return { kind: 'again', error }
  }
}

function isLineTrouble(error: unknown): boolean {
  return error instanceof RescindError && /^(http_timeout|http_reset)$/.test(error.code)
}

/** SOAP says it in a fault with a 500. */
const SOAP_SESSION_DEAD = /<faultcode>[^<]*\bINVALID_SESSION_ID<\/faultcode>/

function isSessionDead(answer: HttpResponse): boolean {
  if (answer.status === 500 && SOAP_SESSION_DEAD.test(answer.body)) return true
  return judgeRestAnswer(answer, 'the request').kind === 'session_dead'
}

function origin(session: Minted): string {
  return session.instanceUrl.replace(/\/+$/, '')
}

function parseUsage(header: string | undefined): ApiUsage | undefined {
  const found = /(?:^|[\s,;])api-usage=(\d+)\/(\d+)/.exec(header ?? '')
  return found ? { used: Number(found[1]), max: Number(found[2]) } : undefined
}

function sessionEnded(session: Minted): RescindError {
  return new RescindError(
    'login_needed',
    `The session at ${printableUrl(session.instanceUrl)} has ended or is not valid there, and this login method cannot renew it. Give a new one.`,
  )
}

function neverAccepted(session: Minted): RescindError {
  return new RescindError(
    'not_authenticated',
    `${printableUrl(session.instanceUrl)} refuses a session that was opened a moment ago. Check that the url is the right org, and the app's and user's IP restrictions.`,
  )
}

function endsTooOften(session: Minted): RescindError {
  return new RescindError(
    'not_authenticated',
    `${printableUrl(session.instanceUrl)} ended ${RENEWALS_MAX} sessions in this run. Find out what ends them, then go on.`,
  )
}
