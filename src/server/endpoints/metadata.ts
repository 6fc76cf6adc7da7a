import type { Handle, WireAnswer } from '../../core/wire.ts'
import { ASSERTION_ALGS } from '../client-keys.ts'
import { CLIENT_AUTH_METHODS, GRANT_TYPES } from '../client-settings.ts'
import type { Core } from '../core.ts'
import { jsonAnswer, methodAnswer } from '../wire/answers.ts'
import type { EndpointPaths } from './paths.ts'

/** Metadata and keys change seldom; a client that keeps them for so long learns soon enough. */
const KEPT_S = 300

/** What of all that needs an option of the host's is there. */
export interface Optional {
  readonly authorize: boolean
  readonly globalRevocation: boolean
  /** A proxy says which certificate a client showed. */
  readonly certificates: boolean
}

/** @see https://www.rfc-editor.org/rfc/rfc8414#section-2 */
export async function metadataOf(core: Core, paths: EndpointPaths, has: Optional) {
  const at = (path: string) => new URL(path, core.issuer).href
  const methods = CLIENT_AUTH_METHODS.filter(
    (method) => method !== 'self_signed_tls_client_auth' || has.certificates,
  )
  // Two of them while a new key of another kind takes over.
  const { keys } = await core.keys.published()
  const confidential = methods.filter((method) => method !== 'none')
  return {
    issuer: core.issuer,
    ...(has.authorize ? authorizationMetadata(at(paths.authorize)) : NO_AUTHORIZATION),
    token_endpoint: at(paths.token),
    revocation_endpoint: at(paths.revoke),
    introspection_endpoint: at(paths.introspect),
    jwks_uri: at(paths.jwks),
    ...(has.globalRevocation
      ? {
          global_token_revocation_endpoint: at(paths.globalRevocation),
          // A key and a JWT both come as Bearer, by its name among the types of access tokens.
          global_token_revocation_endpoint_auth_methods_supported: ['Bearer'],
        }
      : {}),
    // RFC 8705 section 3.3; which clients' tokens are, each client's settings say.
    ...(has.certificates ? { tls_client_certificate_bound_access_tokens: true } : {}),
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS,
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS,
    introspection_endpoint_auth_methods_supported: confidential,
    introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGS,
    introspection_signing_alg_values_supported: [...new Set(keys.map(({ alg }) => alg))],
  }
}

function authorizationMetadata(endpoint: string) {
  return {
    authorization_endpoint: endpoint,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: [...GRANT_TYPES],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
  }
}

const NO_AUTHORIZATION = {
  response_types_supported: [],
  grant_types_supported: GRANT_TYPES.filter((type) => type !== 'authorization_code'),
}

/** Serves what anybody may read, from any origin. */
export function publicDocument(read: () => Promise<unknown> | unknown): Handle {
  return async ({ method }) => {
    if (method !== 'GET' && method !== 'HEAD') return methodAnswer('GET, HEAD')
    const { status, body } = jsonAnswer(await read())
    const headers = {
      'content-type': 'application/json',
      'cache-control': `public, max-age=${KEPT_S}`,
      'access-control-allow-origin': '*',
    }
    return { status, headers, body }
  }
}

/** Healthy means that the store answers; anything else is a 503. */
export function serveHealth({ store }: Core): Handle {
  return async ({ method }): Promise<WireAnswer> => {
    if (method !== 'GET' && method !== 'HEAD') return methodAnswer('GET, HEAD')
    await store.readNote('issuer')
    return jsonAnswer({ status: 'ok' })
  }
}
