import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { answer, type RawRequest, startRawServer } from '../../cli/raw-server.ts'

export const PLAIN_USER = 'u1'

/** How the server's revocation endpoint behaves (RFC 7009), and whether its refresh tokens rotate. */
export interface Revoking {
  /** What an access token, and a refresh token, takes along. */
  readonly access: 'token' | 'grant'
  readonly refresh: 'token' | 'grant'
  /**
   * What it answers: `access_unsupported` refuses access tokens alone (section 2.2.1); `lost` gives no answer
   * after it acted, `none` gives none and does nothing.
   */
  readonly answers: 'revoked' | 'access_unsupported' | 'refused' | 'lost' | 'none'
  /** A refresh spends its token, and gives another; to a spent one the endpoint answers 200, without effect. */
  readonly rotates: boolean
}

export interface PlainServer {
  readonly url: string
  /** Makes a grant of the user's. */
  grant(): { readonly access: string; readonly refresh: string }
  setRevoking(revoking: Partial<Revoking>): void
  /** The refreshes since a moment. */
  refreshes(since: number): number
  close(): Promise<void>
}

interface Grant {
  isDead: boolean
}

/** Starts an authorization server that has what RFC 6749 and 7009 ask for and userinfo; refresh tokens rotate where told. */
export async function startPlainServer(wish: Partial<Revoking>): Promise<PlainServer> {
  const usual = { access: 'token', refresh: 'token', answers: 'revoked', rotates: false } as const
  let revoking: Revoking = { ...usual, ...wish }
  const [codes, dead] = [new Set<string>(), new Set<string>()]
  const tokens = { access: new Map<string, Grant>(), refresh: new Map<string, Grant>() }
  const refreshedAt: number[] = []

  const issue = (kind: 'access' | 'refresh', grant: Grant): string => {
    const token = `${kind}-${randomUUID()}`
    tokens[kind].set(token, grant)
    return token
  }
  const lives = (kind: 'access' | 'refresh', token: string): Grant | undefined => {
    const grant = tokens[kind].get(token)
    return grant && !grant.isDead && !dead.has(token) ? grant : undefined
  }
  const newGrant = () => {
    const grant = { isDead: false }
    return { access: issue('access', grant), refresh: issue('refresh', grant) }
  }
  const give = (response: ServerResponse, access_token: string, refresh_token?: string) =>
    answer(response, 200, {
      ...{ access_token, token_type: 'Bearer', expires_in: 3600, scope: 'openid' },
      ...(refresh_token && { refresh_token }),
    })

  const token = ({ body }: RawRequest, response: ServerResponse) => {
    const asked = new URLSearchParams(body)
    if (asked.get('grant_type') === 'authorization_code') {
      if (!codes.delete(asked.get('code') ?? '')) {
        return answer(response, 400, { error: 'invalid_grant' })
      }
      const { access, refresh } = newGrant()
      return give(response, access, refresh)
    }
    refreshedAt.push(Date.now())
    const grant = lives('refresh', asked.get('refresh_token') ?? '')
    if (!grant) return answer(response, 400, { error: 'invalid_grant' })
    if (!revoking.rotates) return give(response, issue('access', grant))
    dead.add(asked.get('refresh_token') ?? '')
    return give(response, issue('access', grant), issue('refresh', grant))
  }

  const revoke = ({ body }: RawRequest, response: ServerResponse) => {
    const asked = new URLSearchParams(body).get('token') ?? ''
    const kind = tokens.access.has(asked) ? 'access' : 'refresh'
    const { answers } = revoking
    if (answers === 'refused' || (answers === 'access_unsupported' && kind === 'access')) {
      return answer(response, 400, { error: 'unsupported_token_type' })
    }
    if (answers === 'none') return response.destroy()
    if (dead.has(asked)) return answer(response, 200, {})
    dead.add(asked)
    const grant = tokens[kind].get(asked)
    if (grant && revoking[kind] === 'grant') grant.isDead = true
    return answers === 'lost' ? response.destroy() : answer(response, 200, {})
  }

  const authorize = ({ method, path, body }: RawRequest, response: ServerResponse) => {
    if (method === 'GET') {
      const action = path.replaceAll('&', '&amp;')
      const page = `<form method="post" action="${action}"><input name="username"><input type="password" name="password"><button name="decision" value="deny">Deny</button><button name="decision" value="allow">Allow</button></form>`
      return answer(response, 200, page, { 'content-type': 'text/html' })
    }
    const { searchParams } = new URL(path, server.url)
    const back = new URL(searchParams.get('redirect_uri') ?? '')
    back.searchParams.set('state', searchParams.get('state') ?? '')
    if (new URLSearchParams(body).get('decision') === 'allow') {
      const code = randomUUID()
      codes.add(code)
      back.searchParams.set('code', code)
    } else back.searchParams.set('error', 'access_denied')
    return answer(response, 302, '', { location: back.href })
  }

  const userinfo = ({ headers }: RawRequest, response: ServerResponse) =>
    lives('access', (headers.authorization ?? '').slice('Bearer '.length))
      ? answer(response, 200, { sub: PLAIN_USER })
      : answer(response, 401, '', { 'www-authenticate': 'Bearer error="invalid_token"' })

  const endpoints = { authorize, token, revoke, userinfo }
  const server = await startRawServer((request, response) => {
    const { pathname } = new URL(request.path, server.url)
    if (pathname.startsWith('/.well-known/')) return answer(response, 200, metadataOf(server.url))
    const endpoint = Object.entries(endpoints).find(([name]) => pathname === `/${name}`)?.[1]
    return endpoint ? endpoint(request, response) : answer(response, 404)
  })
  return {
    url: server.url,
    grant: newGrant,
    setRevoking: (change) => {
      revoking = { ...revoking, ...change }
    },
    refreshes: (since) => refreshedAt.filter((at) => at >= since).length,
    close: () => server.close(),
  }
}

function metadataOf(url: string) {
  return {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    revocation_endpoint: `${url}/revoke`,
    userinfo_endpoint: `${url}/userinfo`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
  }
}
