import type { HttpRequest, HttpResponse } from '../core/http.ts'
import { Secret } from '../core/secret.ts'
import type { SecretBook } from '../protocol/exchange.ts'
import { type Authentication, authenticate, type Pairs } from './authenticate.ts'
import { type ClientConfig, type ConformanceConfig, ROLES, type Role } from './config.ts'
import { formOf, type HeldToken, learn } from './grant.ts'
import type { Sender, SendWish } from './sender.ts'
import type { Target } from './target.ts'
import { skip } from './verdict.ts'

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

/** Builds and sends the requests of clients. */
export interface Caller {
  /** A text of 43 characters that nobody else has. */
  unique(): string
  /** @throws CaseEnd `skipped` when it is not configured */
  client(role: Role): ClientConfig
  authentication(asker: Asker): Promise<Authentication>
  revoke(wish: CallWish): Promise<HttpResponse>
  /** The same, with undefined where the connection broke. */
  tryRevoke(wish: CallWish): Promise<HttpResponse | undefined>
  introspect(wish: CallWish, endpoint?: URL): Promise<HttpResponse>
  /** Asks the token endpoint; what it issues is known to the run from then on. */
  askToken(as: Asker, pairs: Pairs, wish?: SendWish): Promise<HttpResponse>
}

export interface CallerOptions {
  readonly target: Target
  readonly config: ConformanceConfig
  readonly random: () => number
  readonly sender: Sender
  readonly book: SecretBook
}

const FORM = 'application/x-www-form-urlencoded'

/** Opens the caller of a run. */
export function openCaller(options: CallerOptions): Caller {
  const { target, sender, book } = options
  const unique = () => makeUnique(options)
  const client = (role: Role): ClientConfig =>
    options.config.clients[role] ?? skip(`It needs ${ROLES[role]}: add clients.${role}.`)
  const authentication = async (asker: Asker): Promise<Authentication> =>
    typeof asker === 'string'
      ? hidden(await authenticate(client(asker), target, unique), book)
      : hidden(asker, book)
  const call = async (endpoint: URL | undefined, name: string, wish: CallWish) =>
    buildCall(
      endpoint ?? skip(`The server names no ${name} endpoint.`),
      wish,
      hidden(await authentication(wish.as), book),
    )
  return {
    unique,
    client,
    authentication,
    revoke: async (wish) => sender.send(await call(target.revocation, 'revocation', wish), wish),
    tryRevoke: async (wish) =>
      sender.trySend(await call(target.revocation, 'revocation', wish), wish),
    introspect: async (wish, endpoint = target.introspection) =>
      sender.send(await call(endpoint, 'introspection', wish), wish),
    async askToken(as, pairs, wish = {}) {
      const { headers, pairs: own } = await authentication(as)
      const answer = await sender.send(
        {
          method: 'POST',
          url: target.token ?? skip('There is no token endpoint: add endpoints.token.'),
          headers: { 'content-type': FORM, accept: 'application/json', ...headers },
          body: formOf([...pairs, ...own]),
        },
        wish,
      )
      learn(answer, book)
      return answer
    },
  }
}

function makeUnique({ random, book }: CallerOptions): string {
  const bytes = Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256))
  const text = Buffer.from(bytes).toString('base64url')
  book.add(new Secret(text), 'made-up')
  return text
}

function buildCall(endpoint: URL, wish: CallWish, { headers, pairs }: Authentication): HttpRequest {
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

/** Whoever it names and however wrong it is: an authentication may hold a good secret. */
function hidden(made: Authentication, book: SecretBook): Authentication {
  const [scheme = '', value] = made.headers.authorization?.split(' ') ?? []
  if (value) book.add(new Secret(value), scheme.toLowerCase())
  for (const [name, text] of made.pairs) {
    if (name === 'client_assertion') book.add(new Secret(text), 'assertion')
  }
  return made
}

function rightHint(token: CallWish['token']): string | null {
  return typeof token === 'object' && token.kind !== 'id' ? `${token.kind}_token` : null
}
