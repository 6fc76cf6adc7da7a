import type { HttpResponse } from '../core/http.ts'
import { Secret } from '../core/secret.ts'
import type { SecretBook } from '../protocol/exchange.ts'
import type { Pairs } from './authenticate.ts'
import type { Asker, Caller } from './caller.ts'
import { type AuthorizationCode, authorize } from './code-flow.ts'
import type { ConformanceConfig, Role, TokenAdapter } from './config.ts'
import {
  brief,
  codePairs,
  type Grant,
  grantOf,
  type HeldToken,
  known,
  parseObject,
  type RefreshableGrant,
  type User,
} from './grant.ts'
import type { Sender, SendWish } from './sender.ts'
import type { Target } from './target.ts'
import { runTokenCommand } from './token-command.ts'
import { skip, unclear } from './verdict.ts'

export interface RefreshWish extends SendWish {
  readonly as?: Asker | undefined
  readonly more?: Pairs | undefined
}

/** Makes tokens, as the configuration says how. */
export interface TokenDesk {
  code(role: Role, user?: User): Promise<AuthorizationCode>
  redeem(role: Role, code: AuthorizationCode, more?: Pairs): Promise<HttpResponse>
  refresh(token: HeldToken, wish?: RefreshWish): Promise<HttpResponse>
  /** A new grant of a user to a client, each time by a login of its own. */
  grant(role: Role, user?: User): Promise<Grant>
  refreshable(role: Role, user?: User): Promise<RefreshableGrant>
  /** A token of the client itself. */
  service(role: Role): Promise<HeldToken>
  /** Reads the tokens of an answer of the token endpoint, or undefined where it has none. */
  readGrant(role: Role, answer: HttpResponse): Grant | undefined
}

export interface TokenDeskOptions {
  readonly target: Target
  readonly config: ConformanceConfig
  readonly caller: Caller
  readonly sender: Sender
  readonly book: SecretBook
  readonly signal?: AbortSignal | undefined
}

type CommandAdapter = Extract<TokenAdapter, { by: 'command' }>
type ClientCredentials = Extract<TokenAdapter, { by: 'client_credentials' }>

/** Opens the desk of a run. */
export function openTokenDesk(options: TokenDeskOptions): TokenDesk {
  const { config, caller } = options
  const code = (role: Role, user: User = 'first') => askCode(role, user, options)
  const grant = async (role: Role, user: User = 'first'): Promise<Grant> => {
    const adapter = config.tokens.user ?? skip('It needs tokens of users: add tokens.user.')
    if (adapter.by === 'command') return await byCommand(role, adapter, user, false, options)
    const pairs = codePairs(await code(role, user))
    return await issued(role, pairs, false, caller)
  }
  return {
    code,
    grant,
    redeem: (role, made, more = []) => caller.askToken(role, [...codePairs(made), ...more]),
    refresh: (token, wish = {}) =>
      caller.askToken(
        wish.as ?? token.role,
        [
          ['grant_type', 'refresh_token'],
          ['refresh_token', token.value.reveal()],
          ...(wish.more ?? []),
        ],
        wish,
      ),
    async refreshable(role, user = 'first') {
      const made = await grant(role, user)
      const { refresh } = made
      return refresh ? { ...made, refresh } : skip(`The grants of ${role} have no refresh token.`)
    },
    async service(role) {
      const adapter = config.tokens.service ?? skip('It needs tokens.service.')
      const made =
        adapter.by === 'command'
          ? await byCommand(role, adapter, 'first', true, options)
          : await issued(role, clientCredentials(adapter), true, caller)
      return made.access
    },
    readGrant: (role, answer) =>
      answer.status === 200 ? grantOf(role, parseObject(answer.body), false) : undefined,
  }
}

async function askCode(
  role: Role,
  user: User,
  { config, caller, target, sender, book }: TokenDeskOptions,
): Promise<AuthorizationCode> {
  const flow = config.tokens.user
  if (flow?.by !== 'code') return skip('It needs codes: add tokens.user with "by: code".')
  const wish = { client: caller.client(role), flow, user, random: caller.unique }
  const made = await authorize(wish, { target, sender })
  book.add(new Secret(made.code), 'code')
  book.add(new Secret(made.verifier), 'code-verifier')
  return made
}

function clientCredentials(adapter: ClientCredentials): Pairs {
  return [
    ['grant_type', 'client_credentials'],
    ...(adapter.scope === undefined ? [] : [['scope', adapter.scope] as const]),
    ...Object.entries(adapter.parameters),
  ]
}

async function issued(role: Role, pairs: Pairs, service: boolean, caller: Caller): Promise<Grant> {
  const answer = await caller.askToken(role, pairs, { quiet: true })
  const made = answer.status === 200 ? grantOf(role, parseObject(answer.body), service) : undefined
  return made ?? unclear(`No token was issued to ${role}: ${brief(answer)}`)
}

async function byCommand(
  role: Role,
  { run }: CommandAdapter,
  user: User,
  service: boolean,
  { caller, book, signal }: TokenDeskOptions,
): Promise<Grant> {
  const env = {
    RESCIND_ROLE: role,
    RESCIND_CLIENT_ID: caller.client(role).id,
    RESCIND_USER: user,
    RESCIND_TOKEN_KIND: service ? 'service' : 'user',
  }
  const made = grantOf(role, await runTokenCommand({ run, env, signal }), service)
  return known(made ?? unclear('The program that makes tokens gave no access_token.'), book)
}
