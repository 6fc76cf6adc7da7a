import { isRescindError } from '../../core/errors.ts'
import type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
import type { Beginning } from '../beginning.ts'
import { checkAuthorized, namedLikeClient } from '../check-request.ts'
import type { Client } from '../client-settings.ts'
import type { Core } from '../core.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import { resourceFlaw } from '../resource.ts'
import { SCOPE, scopeWithin } from '../scope.ts'
import { methodAnswer } from '../wire/answers.ts'
import { type Form, parseForm } from '../wire/form.ts'
import { hostRequest, wireAnswer } from './host-messages.ts'
import { refusalPage } from './refusal-page.ts'

/** A login form with the parameters of the request in it. */
const BODY_BYTES_MAX = 65_536
const FORM_TYPE = /^application\/x-www-form-urlencoded *(;|$)/i
/** The S256 challenge: 32 bytes in base64url (RFC 7636 section 4.2). */
const CHALLENGE = /^[\w-]{43}$/
/** Literal addresses alone: `localhost` may be another's (RFC 8252 section 8.3). */
const LOOPBACK = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]))(?::\d{1,5})?(?=[/?]|$)/

const NAMED_LIKE_CLIENT =
  'The user is named like the application, which cannot act for it. Log in as another user.'

/** What a client asks a user for. Safe to show. */
export interface AuthorizeAsk {
  readonly client: { readonly id: string; readonly name: string }
  /** Separated by spaces; within what the client may have. */
  readonly scope: string
  /** Whom the access token would be for (RFC 8707). */
  readonly resource: string | null
  /** What else was asked: `prompt`, `login_hint`, `ui_locales`, …, and the fields of a login form. */
  readonly parameters: ReadonlyMap<string, string>
}

/** Who the user is, and what of the scope he grants: all of it, when it is not said. */
export interface Authorized {
  readonly userId: string
  /** The session of the host's that the grant belongs to: it is revoked with that. */
  readonly sessionId?: string | undefined
  readonly scope?: string | undefined
}

/**
 * The host's own login and consent. A `Response` goes out as it is (a login page, or a redirect to
 * one, from which the user comes back to the same address); null is `access_denied`. A login form must
 * be guarded against forged requests by the host, as any other of its forms.
 */
export type Authorize = (
  request: Request,
  ask: AuthorizeAsk,
) => Promise<Response | Authorized | null>

/** A request whose client and redirect address are known good: from here on errors are redirected. */
interface Trusted {
  readonly client: Client
  readonly redirectUri: string
  readonly state: string | undefined
}

/**
 * The authorization endpoint: codes with PKCE (S256) alone, to addresses that were registered.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
 * @see https://www.rfc-editor.org/rfc/rfc9700#section-2.1
 */
export function serveAuthorization(core: Core, authorize: Authorize): Handle {
  return async (request) => {
    if (request.method !== 'GET' && request.method !== 'POST') return methodAnswer('GET, POST')
    const read = await readParameters(request)
    if ('error' in read) return refusalPage(read)
    const { form, body } = read
    // Login and consent are under way as much as what follows: what is revoked meanwhile reaches the code.
    const [began, client] = await Promise.all([
      core.issuing.begin(),
      core.clients.get(form.get('client_id') ?? ''),
    ])
    const trusted = trustedIn(form, client?.enabled ? client : null)
    if ('error' in trusted) return refusalPage(trusted)
    const back = (parameters: Readonly<Record<string, string>>) =>
      redirect(trusted, { ...parameters, iss: core.issuer })
    const ask = askIn(form, trusted.client)
    if (isRefusal(ask)) return back({ ...ask })
    try {
      const decided = await authorize(hostRequest(core.issuer, request, body), ask)
      if (!decided) return back({ ...refuse('access_denied', 'The user did not allow it.') })
      // A host may have a Response of another make: it is known by what it is not.
      if (!('userId' in decided)) return await wireAnswer(decided)
      if (decided.userId === trusted.client.id) {
        // It will be so the next time as well: who comes again must come as another user.
        core.onTrouble(namedLikeClient(decided.userId), request.id)
        return back({ ...refuse('access_denied', NAMED_LIKE_CLIENT) })
      }
      return back({ code: await codeFor(core, { trusted, ask, form, decided, began, request }) })
    } catch (error) {
      core.onTrouble(error, request.id)
      return back({ ...troubleOf(error) })
    }
  }
}

/** Reads the query, and the form of a POST; a parameter may be in one of them, once. */
async function readParameters(
  request: WireRequest,
): Promise<{ readonly form: Form; readonly body: string | null } | Refusal> {
  const query = parseForm(request.query)
  if ('error' in query) return query
  if (request.method === 'GET') return { form: query, body: null }
  if (!FORM_TYPE.test(request.header('content-type') ?? '')) {
    return refuse('invalid_request', 'The body must be application/x-www-form-urlencoded.')
  }
  const body = await request.body(BODY_BYTES_MAX)
  if (body === null) return refuse('invalid_request', 'The body is too large.')
  const posted = parseForm(body)
  if ('error' in posted) return posted
  if ([...posted.keys()].some((name) => query.has(name))) {
    return refuse('invalid_request', 'A parameter is there more than once.')
  }
  return { form: new Map([...query, ...posted]), body }
}

/** Nothing is redirected for a client or to an address that nobody vouches for (RFC 6749 section 4.1.2.1). */
function trustedIn(form: Form, client: Client | null): Trusted | Refusal {
  if (!client) return refuse('invalid_request', 'The application is not known here.')
  const redirectUri = form.get('redirect_uri')
  if (redirectUri === undefined) {
    return refuse('invalid_request', 'The application did not say where to return to.')
  }
  if (!client.redirectUris.some((registered) => isSameAddress(registered, redirectUri))) {
    return refuse('invalid_request', 'The address to return to is not one of the application.')
  }
  return { client, redirectUri, state: form.get('state') }
}

/** The same text; on loopback any port, which an application learns when it listens (RFC 8252 section 7.3). */
export function isSameAddress(registered: string, asked: string): boolean {
  if (registered === asked) return true
  if (!LOOPBACK.test(registered) || !LOOPBACK.test(asked) || !URL.canParse(asked)) return false
  return registered.replace(LOOPBACK, '$1') === asked.replace(LOOPBACK, '$1')
}

function askIn(form: Form, client: Client): AuthorizeAsk | Refusal {
  const type = form.get('response_type')
  if (type === undefined)
    return refuse('invalid_request', 'The parameter response_type is missing.')
  if (type !== 'code') return refuse('unsupported_response_type', 'The response type must be code.')
  if ((form.get('response_mode') ?? 'query') !== 'query') {
    return refuse('invalid_request', 'The response mode must be query.')
  }
  if (form.has('request') || form.has('request_uri')) {
    return refuse('invalid_request', 'Request objects are not supported.')
  }
  if (!client.grantTypes.includes('authorization_code')) {
    return refuse('unauthorized_client', 'The client may not use authorization codes.')
  }
  // A request without a method means plain (RFC 7636 section 4.3), which protects nothing.
  const isChallenged = CHALLENGE.test(form.get('code_challenge') ?? '')
  if (!isChallenged || form.get('code_challenge_method') !== 'S256') {
    return refuse('invalid_request', 'A code_challenge by the method S256 is needed.')
  }
  const asked = form.get('scope') ?? null
  const isScope = asked === null || SCOPE.test(asked)
  const scope = isScope ? scopeWithin(client, asked) : null
  if (scope === null) return refuse('invalid_scope', 'The client may not ask for this scope.')
  const resource = form.get('resource')
  const flaw = resourceFlaw(resource)
  if (flaw) return flaw
  const { id, name } = client
  return { client: { id, name }, scope, resource: resource ?? null, parameters: form }
}

async function codeFor(
  { issuing }: Core,
  given: {
    readonly trusted: Trusted
    readonly ask: AuthorizeAsk
    readonly form: Form
    readonly decided: Authorized
    readonly began: Beginning
    readonly request: WireRequest
  },
): Promise<string> {
  const { trusted, ask, form, decided, began, request } = given
  const { userId, sessionId, scope } = checkAuthorized(decided, ask)
  return issuing.startWithCode({
    ...{ client: trusted.client, userId, sessionId, scope, audience: ask.resource ?? undefined },
    ...{ redirectUri: trusted.redirectUri, challenge: form.get('code_challenge') ?? '' },
    began,
    asked: { actor: `user:${userId}`, request: request.id },
  })
}

/** A browser is told the error by its client, not by a status (RFC 6749 section 4.1.2.1). */
function troubleOf(error: unknown): Refusal {
  if (isRescindError(error, 'request_stale')) {
    return refuse('access_denied', 'The user was logged out meanwhile. Log in again.')
  }
  if (isRescindError(error, 'client_unknown')) {
    return refuse('unauthorized_client', 'The client was disabled meanwhile.')
  }
  const isStore = isRescindError(error) && error.code.startsWith('store_')
  return refuse(isStore ? 'temporarily_unavailable' : 'server_error', 'Try again in a while.')
}

/** 303, so that a browser never sends a password on (RFC 9700 section 4.12). */
function redirect(
  { redirectUri, state }: Trusted,
  parameters: Readonly<Record<string, string>>,
): WireAnswer {
  // The registered address stays as it is, to the letter.
  const all = new URLSearchParams({ ...parameters, ...(state === undefined ? {} : { state }) })
  const headers = {
    location: `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${all}`,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
  }
  return { status: 303, headers, body: '' }
}
