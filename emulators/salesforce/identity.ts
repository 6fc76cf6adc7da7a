import { type Answer, jsonAnswer } from '../answer.ts'
import { bearerOf, type Call, formOf } from './call.ts'
import { liveSession, type Org } from './org.ts'
import type { Session } from './sessions.ts'
import type { SigningKeys } from './signing-keys.ts'
import { identityUrl } from './token-response.ts'

/** The identity services answer a wrong token with 403 and one word of plain text. */
function plain(status: number, word: string): Answer {
  return { status, type: 'text/plain', body: word }
}

function withIdentity(call: Call, run: (session: Session) => Answer): Answer {
  const form = formOf(call)
  const token = bearerOf(call) ?? form.get('oauth_token') ?? form.get('access_token')
  if (token === null) return plain(403, 'Missing_OAuth_Token')
  const session = liveSession(call.org, token)
  if (session === undefined) return plain(403, 'Bad_OAuth_Token')
  session.lastModifiedMs = call.org.now()
  return run(session)
}

/** Answers GET and POST /services/oauth2/userinfo. */
export function answerUserinfo(call: Call): Answer {
  return withIdentity(call, (session) => {
    const user = call.org.users[session.user]!
    return jsonAnswer(200, {
      sub: identityUrl(call.org, user),
      user_id: user.id,
      organization_id: call.org.organizationId,
      preferred_username: user.username,
      nickname: user.username.split('@')[0],
      name: user.name,
      given_name: user.firstName,
      family_name: user.lastName,
      email: user.email,
      email_verified: true,
      zoneinfo: 'UTC',
      active: user.isActive,
      user_type: 'STANDARD',
      urls: restUrls(call.org),
    })
  })
}

/** Answers the identity URL `/id/{organization}/{user}`. */
export function answerIdentity(call: Call): Answer {
  const [, , organization = '', userId = ''] = call.path.split('/')
  return withIdentity(call, (session) => {
    const { org } = call
    if (organization.slice(0, 15) !== org.organizationId.slice(0, 15))
      return plain(403, 'Wrong_Org')
    const user = org.users[session.user]!
    if (userId.slice(0, 15) !== user.id.slice(0, 15)) return plain(404, 'Bad_Id')
    return jsonAnswer(200, {
      id: identityUrl(org, user),
      asserted_user: true,
      user_id: user.id,
      organization_id: org.organizationId,
      username: user.username,
      nick_name: user.username.split('@')[0],
      display_name: user.name,
      email: user.email,
      active: user.isActive,
      user_type: 'STANDARD',
      urls: restUrls(org),
      is_app_installed: true,
    })
  })
}

function restUrls(org: Org): Record<string, string> {
  const data = `${org.origin}/services/data/v{version}`
  return {
    rest: `${data}/`,
    query: `${data}/query/`,
    sobjects: `${data}/sobjects/`,
    partner: `${org.origin}/services/Soap/u/{version}/${org.organizationId.slice(0, 15)}`,
    metadata: `${org.origin}/services/Soap/m/{version}/${org.organizationId.slice(0, 15)}`,
  }
}

const SCOPES =
  'id api web full chatter_api visualforce refresh_token openid profile email address phone offline_access custom_permissions wave_api eclair_api'

/**
 * Answers both discovery documents, with the vendor's misspelling of the registration endpoint.
 * @see https://www.rfc-editor.org/rfc/rfc8414#section-2
 */
export function answerDiscovery(call: Call): Answer {
  const { origin } = call.org
  const at = (name: string): string => `${origin}/services/oauth2/${name}`
  return jsonAnswer(200, {
    issuer: origin,
    authorization_endpoint: at('authorize'),
    token_endpoint: at('token'),
    revocation_endpoint: at('revoke'),
    userinfo_endpoint: at('userinfo'),
    introspection_endpoint: at('introspect'),
    jwks_uri: `${origin}/id/keys`,
    register_endpoint: at('register'),
    scopes_supported: SCOPES.split(' '),
    response_types_supported: ['code', 'token', 'token id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'],
    display_values_supported: ['page', 'popup', 'touch'],
    token_endpoint_auth_methods_supported: [
      'client_secret_post',
      'client_secret_basic',
      'private_key_jwt',
    ],
    claims_supported: ['active', 'email', 'name', 'organization_id', 'preferred_username', 'sub'],
  })
}

/** Answers /id/keys: the public key by which id tokens are signed. */
export function answerKeys(keys: SigningKeys): Answer {
  const key = keys.idToken()
  const jwk = key.publicKey.export({ format: 'jwk' })
  return jsonAnswer(200, { keys: [{ ...jwk, kid: key.keyId, use: 'sig', alg: 'RS256' }] })
}
