import type { Clock } from '../core/clock.ts'
import type { Secret } from '../core/secret.ts'
import { type OAuthClient, secretsOf } from './client-auth.ts'
import type { ServerMetadata } from './discovery.ts'
import { type LifeSign, processIntrospectionResponse, sendIntrospection } from './introspect.ts'
import type { OAuthRequest, Way } from './oauth-request.ts'
import {
  buildRevocation,
  processRevocationResponse,
  type RevocationAnswer,
  sendRevocation,
  type TokenTypeHint,
} from './revoke.ts'

/** One token, and what its holder knows of it. */
export interface HeldToken {
  readonly token: Secret
  readonly hint?: TokenTypeHint | undefined
}

/**
 * Where one token can be revoked by who holds it. A vendor that does it in a way of its own gives
 * its own target; what works on targets never asks whose it is.
 */
export interface RevocationTarget {
  readonly endpoint: URL
  /** To be kept out of every message, beside the token itself. */
  readonly secrets: readonly Secret[]
  build(held: HeldToken): Promise<OAuthRequest>
  send(held: HeldToken, way: Way): Promise<Response>
  judge(response: Response, clock: Pick<Clock, 'now'>): Promise<RevocationAnswer>
  /** The ways to see whether a token lives, none of which changes it. */
  readonly looks: readonly Look[]
}

/** One way to see whether a token lives. */
export interface Look {
  readonly name: string
  /** The rung that a token reaches when this look sees it dead, having seen it alive. */
  readonly proves: 'inactive' | 'rejected'
  /** Says whether this look can tell anything of such a token. */
  fits(held: HeldToken): boolean
  /** @throws RescindError one of the HTTP codes */
  look(held: HeldToken, way: Way): Promise<LifeSign>
}

export interface Rfc7009TargetOptions {
  /** With `revocation_endpoint`; with `introspection_endpoint`, deaths can be proven. */
  readonly server: ServerMetadata
  readonly client: OAuthClient
}

/** Returns the target of a server that does RFC 7009, and RFC 7662 if its metadata says so. */
export function rfc7009Target({ server, client }: Rfc7009TargetOptions): RevocationTarget {
  return {
    endpoint: new URL(String(server.revocation_endpoint)),
    secrets: secretsOf(client),
    build: (held) => buildRevocation({ server, client, ...held }),
    send: (held, way) => sendRevocation({ server, client, ...held }, way),
    judge: processRevocationResponse,
    looks: server.introspection_endpoint
      ? [introspectionLook({ server: introspectionServer(server), client })]
      : [],
  }
}

/**
 * Without metadata, the issuer is not known, and an assertion is made out to the endpoint that it
 * goes to (RFC 7523 section 3): here that is another one.
 */
function introspectionServer(server: ServerMetadata): ServerMetadata {
  const unknown = server.issuer === server.revocation_endpoint
  return unknown ? { ...server, issuer: String(server.introspection_endpoint) } : server
}

/** Returns the look by introspection. @see RFC 7662 */
export function introspectionLook({ server, client }: Rfc7009TargetOptions): Look {
  return {
    name: 'introspection',
    proves: 'inactive',
    fits: () => true,
    look: async (held, way) => {
      const response = await sendIntrospection({ server, client, ...held }, way)
      return await processIntrospectionResponse({ server, client }, response)
    },
  }
}
