import { RescindError } from '../core/errors.ts'
import { parseEndpoint, type Risk } from '../core/url.ts'
import { discoverServer, type ServerMetadata } from '../protocol/discovery.ts'
import type { Way } from '../protocol/oauth-request.ts'
import type { ConformanceConfig } from './config.ts'

/** Where the server is. */
export interface Target {
  readonly issuer: string | undefined
  readonly metadata: ServerMetadata | undefined
  readonly authorization: URL | undefined
  readonly token: URL | undefined
  readonly revocation: URL | undefined
  readonly introspection: URL | undefined
  readonly secondIntrospection: URL | undefined
  /** OpenID's own protected resource, where there is one. */
  readonly userinfo: URL | undefined
  /** Whom a client assertion is made out to. @see RFC 7523 section 3 */
  readonly assertionAudience: string
  now(): number
}

export interface TargetOptions {
  readonly config: ConformanceConfig
  readonly way: Way
  readonly acceptRisk?: readonly Risk[] | undefined
  readonly now: () => number
}

/**
 * Finds the endpoints: those of the configuration, else those of the issuer's metadata.
 *
 * @throws RescindError `usage` when nothing says where, `answer_invalid`, `url_invalid`,
 * `url_plain_http`, or one of the HTTP codes
 */
export async function findTarget({ config, way, acceptRisk, now }: TargetOptions): Promise<Target> {
  const { endpoints, issuer } = config
  if (issuer === undefined && endpoints.revocation === undefined) {
    const message = 'Say where: --issuer URL, or "issuer" or "endpoints" in the configuration.'
    throw new RescindError('usage', message)
  }
  const metadata =
    issuer === undefined
      ? undefined
      : await discoverServer(parseEndpoint(issuer, 'The issuer', acceptRisk), way)
  if (metadata !== undefined && metadata.issuer !== issuer) {
    // A URL that means the same is not enough: clients compare the text (RFC 8414 section 3.3).
    const message = `The metadata says that its issuer is ${metadata.issuer}, and you gave ${issuer}. Give it as the server writes it, to the letter (RFC 8414 section 3.3).`
    throw new RescindError('usage', message)
  }
  const place = (name: string, given: string | undefined, published: unknown) => {
    const value = given ?? published
    if (typeof value !== 'string') return undefined
    return parseEndpoint(value, `The ${name} endpoint`, acceptRisk)
  }
  const token = place('token', endpoints.token, metadata?.token_endpoint)
  const revocation = place('revocation', endpoints.revocation, metadata?.revocation_endpoint)
  return {
    issuer,
    metadata,
    authorization: place(
      'authorization',
      endpoints.authorization,
      metadata?.authorization_endpoint,
    ),
    token,
    revocation,
    introspection: place(
      'introspection',
      endpoints.introspection,
      metadata?.introspection_endpoint,
    ),
    secondIntrospection: place('second introspection', endpoints.secondIntrospection, undefined),
    userinfo: place('userinfo', undefined, metadata?.userinfo_endpoint),
    assertionAudience: metadata?.issuer ?? String(token ?? revocation),
    now,
  }
}
