import { createHash } from 'node:crypto'
import { walkPages } from '../protocol/page-walk.ts'
import { asSecret, type ClientConfig, type CodeFlowConfig } from './config.ts'
import type { Sender } from './sender.ts'
import type { Target } from './target.ts'
import { unclear } from './verdict.ts'

/** A code that was given out and not yet redeemed. */
export interface AuthorizationCode {
  readonly code: string
  readonly verifier: string
  readonly redirectUri: string
}

export interface AuthorizeWish {
  readonly client: ClientConfig
  readonly flow: CodeFlowConfig
  readonly user: 'first' | 'second'
  readonly random: () => string
}

type Means = { readonly target: Target; readonly sender: Sender }

/**
 * Walks the authorization endpoint and its pages as a browser without scripts would, until it is sent
 * back to the client with a code. Each walk is a device of its own: it starts without cookies.
 *
 * @throws CaseEnd when the walk leads nowhere
 * @see RFC 6749 section 4.1, RFC 7636
 */
export async function authorize(wish: AuthorizeWish, means: Means): Promise<AuthorizationCode> {
  const { client, flow } = wish
  const redirectUri = client.redirectUri ?? flow.redirectUri
  const start = means.target.authorization
  if (start === undefined)
    unclear('There is no authorization endpoint: add endpoints.authorization.')
  if (redirectUri === undefined) unclear('There is no redirect URI: add tokens.user.redirectUri.')
  const verifier = wish.random() + wish.random()
  const url = new URL(start)
  const state = wish.random()
  const asked = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirectUri,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...((client.scope ?? flow.scope) && { scope: client.scope ?? flow.scope }),
    ...flow.parameters,
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, String(value))
  const back = await walk(url, redirectUri, wish, means)
  const code = back.searchParams.get('code')
  if (code === null) {
    unclear(
      `The authorization was refused: ${back.searchParams.get('error') ?? 'no code came back'}.`,
    )
  }
  return { code, verifier, redirectUri }
}

async function walk(
  start: URL,
  redirectUri: string,
  wish: AuthorizeWish,
  means: Means,
): Promise<URL> {
  const given = filled(wish)
  const end = await walkPages({
    start,
    redirectUri,
    known: new Set(given.keys()),
    fill: ({ fields }) =>
      new Map([...fields].map(([name, value]) => [name, given.get(name) ?? value])),
    send: (request) => means.sender.send(request, { quiet: true }),
  })
  return 'arrived' in end ? end.arrived : unclear(end.stuck)
}

function filled(wish: AuthorizeWish): ReadonlyMap<string, string> {
  const fields = (wish.user === 'second' ? wish.flow.secondUser : undefined) ?? wish.flow.fields
  return new Map(Object.entries(fields).map(([name, value]) => [name, asSecret(value).reveal()]))
}
