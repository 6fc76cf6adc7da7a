import { RescindError } from '../core/errors.ts'
import type { Secret } from '../core/secret.ts'
import { parseEndpoint, type Risk } from '../core/url.ts'
import { type ClientAuthMethod, chooseMethod, type OAuthClient } from './client-auth.ts'
import { discoverServer, endpointOf, type ServerMetadata } from './discovery.ts'
import type { Way } from './oauth-request.ts'
import { type RevocationTarget, rfc7009Target } from './revocation-target.ts'

/** What a person says of a server and of the client that the token was issued to. */
export interface TargetWish extends ClientWish {
  readonly issuer?: string | undefined
  /** The revocation endpoint; beats what the issuer's metadata says. */
  readonly endpoint?: string | undefined
  readonly introspectionEndpoint?: string | undefined
  readonly acceptRisk?: readonly Risk[] | undefined
}

/** What a person says of a client. */
export interface ClientWish {
  readonly clientId?: string | undefined
  readonly clientAuth?: ClientAuthMethod | undefined
  readonly clientSecret?: Secret | undefined
  readonly clientKey?: Secret | undefined
  /** An assertion that was signed elsewhere, instead of a key. */
  readonly clientAssertion?: Secret | undefined
}

/**
 * Opens the target that a person means: fetches the issuer's metadata where one is given, and picks
 * the client authentication that the credential allows and the server takes.
 *
 * @throws RescindError `usage`, `url_invalid`, `url_plain_http`, `answer_invalid`, or one of the HTTP codes
 */
export async function openRfc7009Target(wish: TargetWish, way: Way): Promise<RevocationTarget> {
  const server = await openServer(wish, way)
  // Many servers publish these for the token endpoint alone, and mean them for all.
  const supported =
    server.revocation_endpoint_auth_methods_supported ??
    server.token_endpoint_auth_methods_supported
  const client = chooseClient(wish, supported)
  return rfc7009Target({ server, client })
}

/**
 * Returns the client that a person means.
 *
 * @throws RescindError `usage` when what was given does not fit together
 */
export function chooseClient(wish: ClientWish, supported?: readonly string[]): OAuthClient {
  const { clientId, clientSecret: secret, clientAssertion: assertion } = wish
  const key = wish.clientKey ?? assertion
  if (secret && key) {
    throw usage('A client has a secret or a private key: give one of the two.')
  }
  const method = wish.clientAuth ?? chooseMethod({ secret: !!secret, key: !!key }, supported)
  switch (method) {
    case 'none':
      if (secret || key) {
        throw usage('The client authentication "none" sends no secret and no key: leave them out.')
      }
      return { method, clientId }
    case 'client_secret_basic':
    case 'client_secret_post':
      if (!secret) throw usage(`${method} needs the client secret: --client-secret-env or -file.`)
      return { method, clientId: needed(clientId, method), secret }
    case 'private_key_jwt':
      if (!key) throw usage(`${method} needs the client's private key: --client-key FILE.`)
      return assertion
        ? { method, clientId: needed(clientId, method), assertion }
        : { method, clientId: needed(clientId, method), key }
  }
}

/** Returns the metadata to work with, the given endpoints over the published ones. */
async function openServer(wish: TargetWish, way: Way): Promise<ServerMetadata> {
  const { endpoint, introspectionEndpoint, acceptRisk } = wish
  const given = endpoint === undefined ? undefined : checked(endpoint, 'endpoint', acceptRisk)
  const look = introspectionEndpoint
    ? checked(introspectionEndpoint, 'introspection-endpoint', acceptRisk)
    : undefined
  if (wish.issuer === undefined) {
    if (!given) throw usage('Say where: --issuer URL, --endpoint URL, or --provider with --url.')
    // Without metadata, an assertion is made out to the endpoint itself (RFC 7523 section 3).
    return withEndpoints({ issuer: given.href }, given, look)
  }
  const issuer = parseEndpoint(wish.issuer, 'The issuer (--issuer)', acceptRisk)
  const found = await discoverServer(issuer, way)
  const published = found.introspection_endpoint
    ? endpointOf(found, 'introspection_endpoint', acceptRisk)
    : undefined
  const revocation = given ?? endpointOf(found, 'revocation_endpoint', acceptRisk)
  return withEndpoints(found, revocation, look ?? published)
}

function withEndpoints(server: ServerMetadata, revocation: URL, introspection: URL | undefined) {
  return {
    ...server,
    revocation_endpoint: revocation.href,
    ...(introspection && { introspection_endpoint: introspection.href }),
  }
}

function checked(text: string, option: string, acceptRisk: readonly Risk[] | undefined): URL {
  const url = parseEndpoint(text, `The address of --${option}`, acceptRisk)
  if (url.hash) {
    throw usage(`The address of --${option} has a fragment (#). Leave it out (RFC 6749 section 3).`)
  }
  if (url.searchParams.has('token')) {
    throw usage(`The address of --${option} holds a token. Take it out: it goes in the body.`)
  }
  return url
}

function needed(clientId: string | undefined, method: ClientAuthMethod): string {
  if (clientId) return clientId
  throw usage(`${method} needs the client's id: --client-id ID.`)
}

function usage(message: string): RescindError {
  return new RescindError('usage', message)
}
