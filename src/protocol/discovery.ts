import * as oauth from 'oauth4webapi'
import { RescindError } from '../core/errors.ts'
import { parseEndpoint, printableUrl, type Risk } from '../core/url.ts'
import { type Way, wayOptions } from './oauth-request.ts'

/** An authorization server's metadata, wire names kept. */
export type ServerMetadata = oauth.AuthorizationServer

type Form = 'oauth2' | 'oidc'

/** How a well-known address answered. */
type Found =
  | { readonly metadata: ServerMetadata }
  | { readonly status: number; readonly why: string }

/**
 * Fetches an issuer's metadata: first where RFC 8414 puts it, then where OpenID Connect does. The
 * second is asked too when the first names no revocation endpoint.
 *
 * @throws RescindError `answer_invalid` when neither has metadata, or it is another issuer's,
 * `provider_busy` when the server is short of capacity, or one of the HTTP codes
 * @see RFC 8414 section 3
 */
export async function discoverServer(issuer: URL, way: Way): Promise<ServerMetadata> {
  const first = await lookUp(issuer, 'oauth2', way)
  if ('metadata' in first && first.metadata.revocation_endpoint) return first.metadata
  const second = await lookUp(issuer, 'oidc', way)
  if ('metadata' in second) return second.metadata
  if ('metadata' in first) return first.metadata
  const busy = [first, second].some(({ status }) => status === 429 || status >= 500)
  throw new RescindError(
    busy ? 'provider_busy' : 'answer_invalid',
    `${printableUrl(issuer)} publishes no metadata (RFC 8414: ${first.why}; OpenID: ${second.why}). ${
      busy ? 'Try again later, or give' : 'Check the issuer, or give'
    } the revocation endpoint itself with --endpoint.`,
  )
}

/**
 * Returns an endpoint that metadata names, checked as if a person had typed it.
 *
 * @throws RescindError `answer_invalid` when it is missing, `url_invalid`, `url_plain_http`
 */
export function endpointOf(
  metadata: ServerMetadata,
  name: 'revocation_endpoint' | 'introspection_endpoint',
  acceptRisk: readonly Risk[] = [],
): URL {
  const value = metadata[name]
  if (typeof value !== 'string' || value === '') {
    throw new RescindError(
      'answer_invalid',
      `The metadata of ${printableUrl(metadata.issuer)} names no ${name}. If the server has one, give it with ${
        name === 'revocation_endpoint' ? '--endpoint' : '--introspection-endpoint'
      }.`,
    )
  }
  return parseEndpoint(value, `The ${name} in the metadata of ${metadata.issuer}`, acceptRisk)
}

async function lookUp(issuer: URL, form: Form, way: Way): Promise<Found> {
  const response = await oauth.discoveryRequest(issuer, { algorithm: form, ...wayOptions(way) })
  return processDiscovery(issuer, response)
}

/** Judges one answer of a well-known address. */
async function processDiscovery(issuer: URL, response: Response): Promise<Found> {
  const { status } = response
  if (status !== 200) return { status, why: `HTTP ${status}` }
  try {
    return { metadata: await oauth.processDiscoveryResponse(issuer, response) }
  } catch (error) {
    if ((error as { code?: unknown }).code === oauth.JSON_ATTRIBUTE_COMPARISON) {
      throw otherIssuer(issuer, error)
    }
    return { status, why: 'not a metadata document' }
  }
}

/**
 * Metadata of another issuer could send the token anywhere.
 *
 * @see RFC 8414 section 3.3
 */
function otherIssuer(issuer: URL, error: unknown): RescindError {
  const { body } = ((error as Error).cause ?? {}) as { body?: { issuer?: unknown } }
  const said = String(body?.issuer ?? '').slice(0, 200)
  const named = URL.canParse(said) ? `"${printableUrl(said)}"` : 'something else'
  return new RescindError(
    'answer_invalid',
    `The metadata of ${issuer.href} says that its issuer is ${named}. Give the issuer exactly as the server writes it; if it is not yours, do not send it a token.`,
  )
}
