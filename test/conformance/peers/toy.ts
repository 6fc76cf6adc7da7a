import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { conformanceSchema } from '../../../src/conformance/config.ts'
import { CERTIFICATE, CERTIFICATE_THUMBPRINT } from '../../support/client-certificate.ts'
import { listen, type Peer } from './peer.ts'
import { authenticateToy, CERTIFICATE_HEADER, TOY_CLIENTS, TOY_SECRET } from './toy-clients.ts'

/** What the toy does wrong, one at a time. Without a defect it does what every must and should asks. */
export type Defect =
  | 'lies'
  | 'kills foreign tokens'
  | 'trusts the hint'
  | 'takes repeated parameters'
  | 'races at refresh'
  | 'races at codes'
  | 'resurrects'
  | 'forgives reuse'
  | 'spares access tokens'
  | 'kills all logins'
  | 'revokes by GET'
  | 'reads the query'
  | 'takes any secret'
  | 'refuses unknown tokens'
  | 'tells why it is inactive'
  | 'lets anybody introspect'
  | 'tells foreign from unknown'
  | 'is slow with foreign tokens'
  | 'caches'
  | 'breaks at strange bytes'
  | 'names another certificate'

interface Token {
  readonly kind: 'access' | 'refresh'
  readonly client: string
  readonly grant: ToyGrant
  superseded: boolean
  dead: boolean
}

interface ToyGrant {
  readonly user: string
  readonly scope: string
  dead: boolean
}

interface Code {
  readonly client: string
  readonly challenge: string
  readonly grant: ToyGrant
  used: boolean
}

/** A wait that lets others run between a look and a write, as every store has one. */
const STORE_MS = 2
/** What a slow look-up adds; far above the noise of one machine. */
const SLOW_MS = 3
const BODY_CHARACTERS_MAX = 64 * 1024
const REDIRECT = 'https://client.example.com/cb'

/**
 * Starts a small authorization server that is right, but for one defect. One that is blind shows nobody
 * whether a token lives: access tokens alone, no introspection and no resource.
 */
export async function startToy(defect?: Defect, { isBlind = false } = {}): Promise<Peer> {
  const server = await listen(() => getRequestListener(toy(defect)))
  const { origin } = server
  const config = conformanceSchema.parse({
    endpoints: {
      authorization: `${origin}/authorize`,
      token: `${origin}/token`,
      revocation: `${origin}/revoke`,
      ...(!isBlind && { introspection: `${origin}/introspect` }),
    },
    clients: Object.fromEntries(
      Object.entries(TOY_CLIENTS).map(([id, auth]) => [
        id,
        {
          ...{ id, auth },
          ...(auth.startsWith('client_secret') && { secret: TOY_SECRET }),
          ...(auth === 'tls_client_auth' && {
            certificate: { header: CERTIFICATE_HEADER, pem: CERTIFICATE },
          }),
        },
      ]),
    ),
    tokens: {
      ...(!isBlind && {
        user: {
          by: 'code',
          redirectUri: REDIRECT,
          scope: 'read write',
          fields: { user: 'ann' },
          secondUser: { user: 'bob' },
        },
      }),
      service: { by: 'client_credentials' },
    },
    ...(!isBlind && { resource: { url: `${origin}/resource` } }),
  })
  return { config, close: server.close }
}

const opaque = () => randomBytes(24).toString('base64url')

const json = (status: number, body: object, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  })

const error = (status: number, code: string, headers: Record<string, string> = {}) =>
  json(status, { error: code }, headers)

function toy(defect: Defect | undefined) {
  const tokens = new Map<string, Token>()
  const codes = new Map<string, Code>()
  const has = (one: Defect) => defect === one

  const issue = (kind: Token['kind'], client: string, grant: ToyGrant): string => {
    const value = opaque()
    tokens.set(value, { kind, client, grant, superseded: false, dead: false })
    return value
  }
  const isAlive = (token: Token | undefined): boolean =>
    token !== undefined && !token.dead && !token.superseded && !token.grant.dead

  const authorize = async (request: Request): Promise<Response> => {
    const { searchParams } = new URL(request.url)
    if (request.method === 'GET') {
      return new Response('<form method="post"><input name="user"></form>', {
        headers: { 'content-type': 'text/html' },
      })
    }
    const user = String((await request.formData()).get('user'))
    const code = opaque()
    codes.set(code, {
      client: searchParams.get('client_id') ?? '',
      challenge: searchParams.get('code_challenge') ?? '',
      grant: { user, scope: searchParams.get('scope') ?? '', dead: false },
      used: false,
    })
    return new Response(null, { status: 302, headers: { location: `${REDIRECT}?code=${code}` } })
  }

  const pair = (client: string, grant: ToyGrant) =>
    json(200, {
      access_token: issue('access', client, grant),
      refresh_token: issue('refresh', client, grant),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: grant.scope,
    })

  const redeem = async (form: URLSearchParams, client: string): Promise<Response> => {
    const code = codes.get(form.get('code') ?? '')
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url')
    if (code?.client !== client || challenge !== code.challenge) return error(400, 'invalid_grant')
    if (code.used) {
      code.grant.dead = true
      return error(400, 'invalid_grant')
    }
    if (has('races at codes')) await sleep(STORE_MS)
    code.used = true
    return pair(client, code.grant)
  }

  const refresh = async (form: URLSearchParams, client: string): Promise<Response> => {
    const old = tokens.get(form.get('refresh_token') ?? '')
    if (old?.kind !== 'refresh' || old.client !== client) return error(400, 'invalid_grant')
    if (!isAlive(old)) {
      if (old.superseded && !has('forgives reuse')) old.grant.dead = true
      return error(400, 'invalid_grant')
    }
    if (has('races at refresh')) await sleep(STORE_MS)
    old.superseded = true
    if (has('resurrects')) await sleep(STORE_MS)
    // A child in a grant of its own outlives the revocation that it raced.
    return pair(
      client,
      has('resurrects') && old.grant.dead ? { ...old.grant, dead: false } : old.grant,
    )
  }

  const issueTokens = async (form: URLSearchParams, client: string): Promise<Response> => {
    switch (form.get('grant_type')) {
      case 'authorization_code':
        return await redeem(form, client)
      case 'refresh_token':
        return await refresh(form, client)
      case 'client_credentials': {
        const grant = { user: '', scope: 'read', dead: false }
        return json(200, { access_token: issue('access', client, grant), token_type: 'Bearer' })
      }
      default:
        return error(400, 'unsupported_grant_type')
    }
  }

  const find = (form: URLSearchParams): Token | undefined => {
    const token = tokens.get(form.get('token') ?? '')
    const hint = form.get('token_type_hint')
    const trusted = has('trusts the hint') && (hint === 'access_token' || hint === 'refresh_token')
    return trusted && `${token?.kind}_token` !== hint ? undefined : token
  }

  const kill = (token: Token) => {
    if (has('lies')) return
    if (token.kind === 'access') token.dead = true
    else if (has('spares access tokens')) {
      for (const other of tokens.values()) {
        if (other.grant === token.grant && other.kind === 'refresh') other.dead = true
      }
    } else token.grant.dead = true
    if (!has('kills all logins')) return
    for (const { client, grant } of tokens.values()) {
      if (client === token.client && grant.user === token.grant.user) grant.dead = true
    }
  }

  const revoke = async (form: URLSearchParams, client: string): Promise<Response> => {
    const token = find(form)
    if (has('breaks at strange bytes') && /[\0\ufffd]/.test(form.get('token') ?? '')) {
      return error(500, 'server_error')
    }
    if (token === undefined) {
      return has('refuses unknown tokens') ? error(400, 'invalid_request') : done()
    }
    if (token.client !== client && !has('kills foreign tokens')) {
      if (has('is slow with foreign tokens')) await sleep(SLOW_MS)
      return has('tells foreign from unknown') ? error(400, 'invalid_grant') : done()
    }
    kill(token)
    return done()
  }
  const done = () =>
    new Response(null, {
      status: 200,
      headers: has('caches') ? {} : { 'cache-control': 'no-store' },
    })

  const introspect = (form: URLSearchParams): Response => {
    const token = tokens.get(form.get('token') ?? '')
    if (token === undefined || !isAlive(token)) {
      return json(200, { active: false, ...(has('tells why it is inactive') && { why: 'dead' }) })
    }
    const { client: client_id, grant } = token
    const cnf = { 'x5t#S256': has('names another certificate') ? 'x' : CERTIFICATE_THUMBPRINT }
    const bound = TOY_CLIENTS[client_id] === 'tls_client_auth' ? { cnf } : {}
    return json(200, { active: true, client_id, sub: grant.user, scope: grant.scope, ...bound })
  }

  const resource = (request: Request): Response => {
    const value = request.headers.get('authorization')?.replace('Bearer ', '') ?? ''
    if (isAlive(tokens.get(value))) return json(200, {})
    return error(401, 'invalid_token', { 'www-authenticate': 'Bearer error="invalid_token"' })
  }

  const readForm = async (request: Request): Promise<URLSearchParams | Response> => {
    const { searchParams } = new URL(request.url)
    if (request.method === 'GET' && has('revokes by GET')) return searchParams
    if (request.method !== 'POST') return error(405, 'invalid_request', { allow: 'POST' })
    const type = request.headers.get('content-type') ?? ''
    if (!/^application\/x-www-form-urlencoded\b/i.test(type)) return error(415, 'invalid_request')
    const text = await request.text()
    if (text.length > BODY_CHARACTERS_MAX) return error(413, 'invalid_request')
    const form = new URLSearchParams(text)
    if (has('reads the query')) for (const [name, value] of searchParams) form.append(name, value)
    const names = [...form.keys()]
    if (new Set(names).size < names.length && !has('takes repeated parameters')) {
      return error(400, 'invalid_request')
    }
    return form
  }

  return async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url)
    if (pathname === '/authorize') return await authorize(request)
    if (pathname === '/resource') return resource(request)
    const form = await readForm(request)
    if (form instanceof Response) return form
    if (pathname === '/introspect' && has('lets anybody introspect') && form.get('token')) {
      return introspect(form)
    }
    const client = authenticateToy(request, form, has('takes any secret'))
    if (typeof client !== 'string') {
      return error(
        client.status,
        client.code,
        client.status === 401 ? { 'www-authenticate': 'Basic' } : {},
      )
    }
    if (pathname === '/token') return await issueTokens(form, client)
    if (!form.get('token')) return error(400, 'invalid_request')
    if (pathname === '/revoke') return await revoke(form, client)
    if (TOY_CLIENTS[client] === 'none') return error(401, 'invalid_client')
    return introspect(form)
  }
}
