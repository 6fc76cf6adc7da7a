import { hash } from 'node:crypto'
import type { WireAnswer } from '../../core/wire.ts'
import { type Client, GRANT_TYPES, type GrantType, isPublic } from '../client-settings.ts'
import type { Core } from '../core.ts'
import type { Asked } from '../events.ts'
import type { TokenAnswer } from '../grant.ts'
import type { Observer } from '../observer.ts'
import { isRefusal, type Refusal, refuse } from '../refusal.ts'
import { grantedResourceFlaw, resourceFlaw } from '../resource.ts'
import { SCOPE, scopeWithin } from '../scope.ts'
import { jsonAnswer, refusalAnswer } from '../wire/answers.ts'
import { type CertificateSource, shownThumbprint } from '../wire/client-auth.ts'
import type { Form } from '../wire/form.ts'
import type { ClientRequest } from './client-endpoint.ts'

/** RFC 7636 section 4.1. */
const VERIFIER = /^[\w.~-]{43,128}$/

/**
 * The token endpoint: authorization codes with PKCE, refresh tokens, client credentials.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.2
 */
export function serveTokens(
  core: Core,
  certificates: CertificateSource | undefined,
  observer?: Observer,
) {
  return async ({ client, form, request }: ClientRequest): Promise<WireAnswer> => {
    const asked = { actor: `client:${client.id}`, request: request.id }
    const shown = client.certificateBoundAccessTokens && shownThumbprint(request, certificates)
    const answer = await grantFor(core, client, form, { asked, x5t: shown || undefined })
    if (isRefusal(answer)) return refusalAnswer(answer)
    observer?.issued(answer.refresh_token === undefined ? ['access'] : ['access', 'refresh'])
    return jsonAnswer(answer)
  }
}

async function grantFor(
  core: Core,
  client: Client,
  form: Form,
  { asked, x5t }: { readonly asked: Asked; readonly x5t: string | undefined },
): Promise<TokenAnswer | Refusal> {
  const { issuing } = core
  const type = form.get('grant_type')
  if (type === undefined) return missing('grant_type')
  if (!isGrantType(type)) {
    return refuse('unsupported_grant_type', 'The grant type is not one of this server.')
  }
  if (!client.grantTypes.includes(type)) {
    return refuse('unauthorized_client', 'The client may not use this grant type.')
  }
  const scope = form.get('scope') ?? null
  if (scope !== null && !SCOPE.test(scope))
    return refuse('invalid_scope', 'The scope is malformed.')
  const resource = form.get('resource')
  const flawFor = (presented: string) =>
    resource === undefined ? null : grantedResourceFlaw(core, resource, { presented, client })
  switch (type) {
    case 'authorization_code': {
      const code = form.get('code')
      if (code === undefined) return missing('code')
      const redirectUri = form.get('redirect_uri') ?? null
      const verifier = form.get('code_verifier')
      if (verifier === undefined) return missing('code_verifier')
      const challenge = VERIFIER.test(verifier) ? challengeOf(verifier) : null
      return (
        (await flawFor(code)) ??
        issuing.redeem({ code, client, redirectUri, challenge, x5t, asked })
      )
    }
    case 'refresh_token': {
      const refreshToken = form.get('refresh_token')
      if (refreshToken === undefined) return missing('refresh_token')
      return (
        (await flawFor(refreshToken)) ?? issuing.rotate({ refreshToken, client, scope, x5t, asked })
      )
    }
    case 'client_credentials': {
      if (isPublic(client)) {
        return refuse('unauthorized_client', 'A public client has no credentials of its own.')
      }
      const allowed = scopeWithin(client, scope)
      if (allowed === null) {
        return refuse('invalid_scope', 'The client may not ask for this scope.')
      }
      return (
        resourceFlaw(resource) ?? issuing.clientCredentials(client, allowed, resource, asked, x5t)
      )
    }
  }
}

/** The S256 challenge of a verifier (RFC 7636 section 4.2). */
export function challengeOf(verifier: string): string {
  return hash('sha256', verifier, 'base64url')
}

function isGrantType(type: string): type is GrantType {
  return (GRANT_TYPES as readonly string[]).includes(type)
}

function missing(name: string): Refusal {
  return refuse('invalid_request', `The parameter ${name} is missing.`)
}
