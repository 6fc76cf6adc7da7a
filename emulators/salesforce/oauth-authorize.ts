import { type Answer, htmlAnswer, redirectAnswer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import { type Call, formOf } from './call.ts'
import { renderPage } from './login-page.ts'
import { CODE_LIFE_MS, keep, type OauthDesk } from './oauth-desk.ts'
import { isBlocked, isUserLetIn, type Org } from './org.ts'
import type { User } from './users.ts'

const PATH = '/services/oauth2/authorize'
/** The parameters of the authorization request, carried through the pages. */
const CARRIED = [
  'response_type',
  'client_id',
  'redirect_uri',
  'scope',
  'state',
  'code_challenge',
  'code_challenge_method',
  'nonce',
  'display',
  'prompt',
]

/**
 * Answers the authorization endpoint: a login page, an approval page, then the redirect with a code. One POST
 * with username, password and `decision=allow` does the three steps at once.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.1
 */
export function answerAuthorize(call: Call, desk: OauthDesk): Answer {
  const form = formOf(call)
  const app = call.org.appByClientId.get(form.get('client_id') ?? '')
  if (app === undefined) return oauthError('invalid_client_id', 'client identifier invalid')
  const redirectUri = form.get('redirect_uri') ?? ''
  if (!app.callbackUrls.some((pattern) => matchesCallback(pattern, redirectUri))) {
    return oauthError('redirect_uri_mismatch', 'redirect_uri must match configuration')
  }
  const wrong = wrongRequest(form)
  if (wrong !== undefined) return backWith(form, { error: wrong[0], error_description: wrong[1] })
  const user = whoLogsIn(call, desk, form)
  if (user === undefined) return loginPage(form, app, form.has('username'))
  const refused = refusedUser(call.org, app, user)
  if (refused !== undefined) {
    return backWith(form, { error: refused[0], error_description: refused[1] })
  }
  return decide(call, desk, form, app, user)
}

/** Compares a redirect URI with a registered one, in which `*` stands for any port (RFC 8252 section 7.3). */
function matchesCallback(pattern: string, redirectUri: string): boolean {
  if (!pattern.includes(':*/')) return pattern === redirectUri
  const [head = '', tail = ''] = pattern.split(':*', 2)
  if (!redirectUri.startsWith(head)) return false
  return redirectUri.slice(head.length).replace(/^:\d{1,5}(?=\/)/, '') === tail
}

function wrongRequest(form: URLSearchParams): readonly [string, string] | undefined {
  if (form.get('response_type') !== 'code') {
    return ['unsupported_response_type', 'response type not supported']
  }
  // Clients send a challenge without its method: it counts as S256, and `plain` is not taken.
  const method = form.get('code_challenge_method') ?? 'S256'
  if (form.has('code_challenge') && method !== 'S256') {
    return ['invalid_request', 'code challenge method not supported']
  }
  return undefined
}

function whoLogsIn(call: Call, desk: OauthDesk, form: URLSearchParams): User | undefined {
  if (call.method !== 'POST') return undefined
  const ticket = desk.tickets.get(form.get('ticket') ?? '')
  if (ticket !== undefined) {
    return call.org.now() - ticket.issuedMs < CODE_LIFE_MS ? call.org.users[ticket.user] : undefined
  }
  const user = call.org.userByUsername.get(form.get('username') ?? '')
  const password = form.get('password') ?? ''
  const known = user !== undefined && isUserLetIn(call.org, user)
  // A browser logs in by the password alone; with the security token behind it is taken too.
  const matches = known && [user.password, user.password + user.securityToken].includes(password)
  return matches ? user : undefined
}

function refusedUser(org: Org, app: App, user: User): readonly [string, string] | undefined {
  if (isBlocked(app)) return ['OAUTH_APP_BLOCKED', 'this app is blocked by admin']
  const manages = user.profile.permissions.has('ManageRemoteAccess')
  if (app.adminApproved && !manages) {
    return ['OAUTH_APP_ACCESS_DENIED', 'user is not admin approved to access this app']
  }
  // Since September 2025 only who may approve uninstalled apps can let one in.
  if (app.kind === 'uninstalled' && user.profile !== org.users[0]!.profile) {
    return ['OAUTH_APP_ACCESS_DENIED', 'app must be installed into org']
  }
  return undefined
}

function decide(call: Call, desk: OauthDesk, form: URLSearchParams, app: App, user: User): Answer {
  const decision = form.get('decision')
  if (decision === 'deny') {
    return backWith(form, {
      error: 'access_denied',
      error_description: 'end-user denied authorization',
    })
  }
  if (decision !== 'allow') return approvalPage(call, desk, form, app, user)
  desk.tickets.delete(form.get('ticket') ?? '')
  const code = `aPrx${desk.draw(60)}=`
  keep(desk.codes, code, {
    app: app.index,
    user: user.index,
    scope: form.get('scope') ?? app.scopes.join(' '),
    redirectUri: form.get('redirect_uri') ?? '',
    codeChallenge: form.get('code_challenge') ?? undefined,
    nonce: form.get('nonce') ?? undefined,
    issuedMs: call.org.now(),
  })
  return backWith(form, { code })
}

/** Sends the browser back to the app; the state goes with whatever the outcome is. */
function backWith(form: URLSearchParams, params: Readonly<Record<string, string>>): Answer {
  const url = new URL(form.get('redirect_uri') ?? '')
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
  const state = form.get('state')
  if (state !== null) url.searchParams.set('state', state)
  return redirectAnswer(url.href)
}

function carried(form: URLSearchParams): Record<string, string> {
  const present = CARRIED.filter((name) => form.has(name))
  return Object.fromEntries(present.map((name) => [name, form.get(name)!]))
}

function loginPage(form: URLSearchParams, app: App, failed: boolean): Answer {
  const page = renderPage({
    title: 'Log in',
    text: `Log in to let ${app.label} ask for access.`,
    error: failed ? 'Please check your username and password.' : undefined,
    action: PATH,
    hidden: carried(form),
    fields: [
      { name: 'username', label: 'Username', type: 'text' },
      { name: 'password', label: 'Password', type: 'password' },
    ],
    buttons: [{ name: 'step', value: 'login', label: 'Log In' }],
  })
  return htmlAnswer(failed ? 401 : 200, page)
}

function approvalPage(
  call: Call,
  desk: OauthDesk,
  form: URLSearchParams,
  app: App,
  user: User,
): Answer {
  const ticket = desk.draw(40)
  keep(desk.tickets, ticket, { user: user.index, issuedMs: call.org.now() })
  const page = renderPage({
    title: 'Allow access?',
    text: `${app.label} asks for: ${form.get('scope') ?? app.scopes.join(' ')}. You are ${user.name}.`,
    action: PATH,
    hidden: { ...carried(form), ticket },
    fields: [],
    buttons: [
      { name: 'decision', value: 'deny', label: 'Deny' },
      { name: 'decision', value: 'allow', label: 'Allow' },
    ],
  })
  return htmlAnswer(200, page)
}
