import type { Clock } from '../core/clock.ts'
import type { HttpRequest, HttpResponse } from '../core/http.ts'
import { Secret } from '../core/secret.ts'
import { type Authentication, authenticate, type Pairs } from './authenticate.ts'
import type { CaseLimits } from './case.ts'
import { type AuthorizationCode, authorize } from './code-flow.ts'
import { asSecret, type ClientConfig, type ConformanceConfig, ROLES, type Role } from './config.ts'
import type { SecretBook } from './evidence.ts'
import type { Sender, SendWish } from './sender.ts'
import type { Target } from './target.ts'
import { runTokenCommand } from './token-command.ts'
import { skip, unclear } from './verdict.ts'

export type TokenKind = 'access' | 'refresh' | 'id'

/** A token that this run obtained, and the client that it was issued to. */
export interface HeldToken {
  readonly kind: TokenKind
  readonly value: Secret
  readonly role: Role
  /** Of the client itself: no user, no grant. */
  readonly service: boolean
}

/** All tokens of one answer of the token endpoint. */
export interface Grant {
  readonly role: Role
  readonly access: HeldToken
  readonly refresh: HeldToken | undefined
  readonly id: HeldToken | undefined
  readonly expiresInSeconds: number | undefined
  readonly scope: string | undefined
}

/** A grant that can be refreshed. */
export type RefreshableGrant = Grant & { readonly refresh: HeldToken }

export type User = 'first' | 'second'

/** Who asks: a client by its role, or headers and fields as they are given. */
export type Asker = Role | Authentication

export const NOBODY: Authentication = { headers: {}, pairs: [] }

/** One request to an endpoint, right unless a field says otherwise. */
export interface CallWish extends SendWish {
  readonly as: Asker
  readonly token?: HeldToken | string | undefined
  /** Left out, it is the right one, so that a server that needs it fails where hints are tested; `null` is none. */
  readonly hint?: string | null | undefined
  /** More fields, after the others. */
  readonly more?: Pairs | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly method?: HttpRequest['method'] | undefined
  /** Put into the URL as it is, without the question mark. */
  readonly query?: string | undefined
  /** In place of the form. */
  readonly body?: string | undefined
  /** `null` sends none. */
  readonly contentType?: string | null | undefined
}

/** What a case works with. */
export interface World {
  readonly signal?: AbortSignal | undefined
  readonly target: Target
  readonly config: ConformanceConfig
  readonly limits: CaseLimits
  readonly clock: Clock
  /** A monotonic clock in microseconds, for cases that compare times. */
  readonly microseconds: () => number
  readonly random: () => number
  /** How long a revocation may take to spread before a token counts as alive. */
  readonly settleMs: number
  readonly sender: Sender
  readonly book: SecretBook
  /** A text of 43 characters that nobody else has. */
  unique(): string
  client(role: Role): ClientConfig
  authentication(asker: Asker): Promise<Authentication>
  revoke(wish: CallWish): Promise<HttpResponse>
  /** The same, with undefined where the connection broke. */
  tryRevoke(wish: CallWish): Promise<HttpResponse | undefined>
  introspect(wish: CallWish, endpoint?: URL): Promise<HttpResponse>
  /** Asks the token endpoint; what it issues is known to the run from then on. */
  askToken(as: Asker, pairs: Pairs, wish?: SendWish): Promise<HttpResponse>
  refresh(token: HeldToken, wish?: RefreshWish): Promise<HttpResponse>
  code(role: Role, user?: User): Promise<AuthorizationCode>
  redeem(role: Role, code: AuthorizationCode, more?: Pairs): Promise<HttpResponse>
  /** A new grant of a user to a client, each time by a login of its own. */
  grant(role: Role, user?: User): Promise<Grant>
  refreshable(role: Role, user?: User): Promise<RefreshableGrant>
  /** A token of the client itself. */
  service(role: Role): Promise<HeldToken>
  /** Reads the tokens of an answer of the token endpoint, or undefined where it has none. */
  readGrant(role: Role, answer: HttpResponse): Grant | undefined
  /** Something to say beside the verdict. */
  note(sentence: string): void
  readonly notes: readonly string[]
  /** Forgets notes and evidence so far: a new case begins, or a round of many showed nothing. */
  startOver(): void
}

export interface RefreshWish extends SendWish {
  readonly as?: Asker | undefined
  readonly more?: Pairs | undefined
}

export interface WorldOptions {
  readonly target: Target
  readonly config: ConformanceConfig
  readonly limits: CaseLimits
  readonly clock: Clock
  readonly microseconds: () => number
  readonly random: () => number
  readonly settleMs: number
  readonly sender: Sender
  readonly book: SecretBook
  readonly signal?: AbortSignal | undefined
}

const FORM = 'application/x-www-form-urlencoded'

/** Opens what the cases of a run work with. */
export function openWorld(options: WorldOptions): World {
  const { target, config, sender, book, signal } = options
  let notes: string[] = []

  for (const client of Object.values(config.clients)) {
    if (client?.secret !== undefined) book.add(asSecret(client.secret), 'client-secret')
    if (client?.key !== undefined) book.add(asSecret(client.key), 'client-key')
  }

  const unique = () => {
    const bytes = Uint8Array.from({ length: 32 }, () => Math.floor(options.random() * 256))
    const text = Buffer.from(bytes).toString('base64url')
    book.add(new Secret(text), 'made-up')
    return text
  }
  const client = (role: Role): ClientConfig =>
    config.clients[role] ?? skip(`It needs ${ROLES[role]}: add clients.${role}.`)

  const authentication = async (asker: Asker): Promise<Authentication> => {
    if (typeof asker !== 'string') return asker
    const made = await authenticate(client(asker), target, unique)
    hideHeader(made.headers.authorization, book)
    for (const [name, value] of made.pairs) {
      if (name === 'client_assertion') book.add(new Secret(value), 'assertion')
    }
    return made
  }

  const call = async (endpoint: URL, wish: CallWish): Promise<HttpRequest> => {
    const { headers, pairs } = await authentication(wish.as)
    hideHeader({ ...headers, ...wish.headers }.authorization, book)
    const token = typeof wish.token === 'object' ? wish.token.value.reveal() : wish.token
    const hint = wish.hint === undefined ? rightHint(wish.token) : wish.hint
    const fields: Pairs = [
      ...(token === undefined ? [] : [['token', token] as const]),
      ...(hint === null ? [] : [['token_type_hint', hint] as const]),
      ...pairs,
      ...(wish.more ?? []),
    ]
    const url = new URL(endpoint)
    if (wish.query !== undefined) url.search = wish.query
    const contentType = wish.contentType === undefined ? FORM : wish.contentType
    return {
      method: wish.method ?? 'POST',
      url,
      headers: {
        ...(contentType !== null && { 'content-type': contentType }),
        accept: 'application/json',
        ...headers,
        ...wish.headers,
      },
      body: wish.body ?? formOf(fields),
    }
  }

  const revocation = () => target.revocation ?? skip('The server names no revocation endpoint.')

  const askToken = async (as: Asker, pairs: Pairs, wish: SendWish = {}) => {
    const endpoint = target.token ?? skip('There is no token endpoint: add endpoints.token.')
    const { headers, pairs: own } = await authentication(as)
    const request: HttpRequest = {
      method: 'POST',
      url: endpoint,
      headers: { 'content-type': FORM, accept: 'application/json', ...headers },
      body: formOf([...pairs, ...own]),
    }
    const answer = await sender.send(request, wish)
    learn(answer, book)
    return answer
  }

  const readGrant = (role: Role, answer: HttpResponse): Grant | undefined =>
    answer.status === 200 ? grantOf(role, parseObject(answer.body), false) : undefined

  const code = async (role: Role, user: User = 'first') => {
    const flow = config.tokens.user
    if (flow?.by !== 'code') return skip('It needs codes: add tokens.user with "by: code".')
    const made = await authorize(
      { client: client(role), flow, user, random: unique },
      { target, sender },
    )
    book.add(new Secret(made.code), 'code')
    book.add(new Secret(made.verifier), 'code-verifier')
    return made
  }

  const redeem = (role: Role, made: AuthorizationCode, more: Pairs = []) =>
    askToken(role, [...codePairs(made), ...more])

  const byCommand = async (role: Role, run: readonly string[], user: User, service: boolean) => {
    const env = {
      RESCIND_ROLE: role,
      RESCIND_CLIENT_ID: client(role).id,
      RESCIND_USER: user,
      RESCIND_TOKEN_KIND: service ? 'service' : 'user',
    }
    const made = await runTokenCommand({ run, env, signal })
    return (
      grantOf(role, made, service) ?? unclear('The program that makes tokens gave no access_token.')
    )
  }

  const grant = async (role: Role, user: User = 'first'): Promise<Grant> => {
    const adapter = config.tokens.user ?? skip('It needs tokens of users: add tokens.user.')
    if (adapter.by === 'command')
      return known(await byCommand(role, adapter.run, user, false), book)
    const made = await code(role, user)
    const answer = await askToken(role, codePairs(made), { quiet: true })
    return readGrant(role, answer) ?? unclear(`No token was issued to ${role}: ${brief(answer)}`)
  }

  const service = async (role: Role): Promise<HeldToken> => {
    const adapter = config.tokens.service ?? skip('It needs tokens.service.')
    if (adapter.by === 'command') {
      return known(await byCommand(role, adapter.run, 'first', true), book).access
    }
    const pairs: Pairs = [
      ['grant_type', 'client_credentials'],
      ...(adapter.scope === undefined ? [] : [['scope', adapter.scope] as const]),
      ...Object.entries(adapter.parameters),
    ]
    const answer = await askToken(role, pairs, { quiet: true })
    const made = answer.status === 200 ? grantOf(role, parseObject(answer.body), true) : undefined
    return made?.access ?? unclear(`No token was issued to ${role}: ${brief(answer)}`)
  }

  const refreshable = async (role: Role, user: User = 'first'): Promise<RefreshableGrant> => {
    const made = await grant(role, user)
    const { refresh } = made
    return refresh ? { ...made, refresh } : skip(`The grants of ${role} have no refresh token.`)
  }

  return {
    ...options,
    get notes() {
      return notes
    },
    unique,
    client,
    authentication,
    revoke: async (wish) => await sender.send(await call(revocation(), wish), wish),
    tryRevoke: async (wish) => await sender.trySend(await call(revocation(), wish), wish),
    introspect: async (wish, endpoint = target.introspection) =>
      await sender.send(
        await call(endpoint ?? skip('The server names no introspection endpoint.'), wish),
        wish,
      ),
    askToken,
    refresh: async (token, wish = {}) =>
      await askToken(
        wish.as ?? token.role,
        [
          ['grant_type', 'refresh_token'],
          ['refresh_token', token.value.reveal()],
          ...(wish.more ?? []),
        ],
        wish,
      ),
    code,
    redeem,
    grant,
    refreshable,
    service,
    readGrant,
    note(sentence) {
      notes = [...new Set([...notes, sentence])]
    },
    startOver() {
      book.startOver()
      sender.forget()
      notes = []
    },
  }
}

/** Whoever it names and however wrong it is: a header may hold a good secret. */
function hideHeader(authorization: string | undefined, book: SecretBook): void {
  const [scheme = '', value] = authorization?.split(' ') ?? []
  if (value) book.add(new Secret(value), scheme.toLowerCase())
}

function rightHint(token: CallWish['token']): string | null {
  return typeof token === 'object' && token.kind !== 'id' ? `${token.kind}_token` : null
}

/** Encodes a form; a name may stand twice. */
export function formOf(pairs: Pairs): string {
  return new URLSearchParams(
    pairs.map(([name, value]): [string, string] => [name, value]),
  ).toString()
}

/** The fields that redeem a code. @see RFC 6749 section 4.1.3 */
export function codePairs(made: AuthorizationCode): Pairs {
  return [
    ['grant_type', 'authorization_code'],
    ['code', made.code],
    ['redirect_uri', made.redirectUri],
    ['code_verifier', made.verifier],
  ]
}

/** Parses a JSON object; anything else is empty. */
export function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Says in a few words what came back. */
export function brief(answer: HttpResponse): string {
  const { error } = parseObject(answer.body)
  return `HTTP ${answer.status}${typeof error === 'string' ? ` ${error.slice(0, 60)}` : ''}`
}

function grantOf(
  role: Role,
  said: Readonly<Record<string, unknown>>,
  service: boolean,
): Grant | undefined {
  const held = (kind: TokenKind, value: unknown): HeldToken | undefined =>
    typeof value === 'string' && value !== ''
      ? { kind, value: new Secret(value), role, service }
      : undefined
  const access = held('access', said.access_token)
  if (access === undefined) return undefined
  return {
    role,
    access,
    refresh: held('refresh', said.refresh_token),
    id: held('id', said.id_token),
    expiresInSeconds: typeof said.expires_in === 'number' ? said.expires_in : undefined,
    scope: typeof said.scope === 'string' ? said.scope : undefined,
  }
}

function known(grant: Grant, book: SecretBook): Grant {
  for (const token of [grant.access, grant.refresh, grant.id]) {
    if (token) book.add(token.value, `${token.kind}-token`)
  }
  return grant
}

function learn(answer: HttpResponse, book: SecretBook): void {
  const said = parseObject(answer.body)
  for (const kind of ['access', 'refresh', 'id']) {
    const value = said[`${kind}_token`]
    if (typeof value === 'string') book.add(new Secret(value), `${kind}-token`)
  }
}
