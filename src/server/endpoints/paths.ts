/** Where the endpoints are, on the issuer's host. */
export interface EndpointPaths {
  readonly authorize: string
  readonly token: string
  readonly revoke: string
  readonly introspect: string
  readonly jwks: string
  readonly health: string
  readonly metadata: string
  readonly globalRevocation: string
  /** What an administrator calls, with a key of its own. */
  readonly adminRevoke: string
  readonly adminEvents: string
}

/** Returns the paths under an issuer; metadata stands before its path (RFC 8414 section 3.1). */
export function endpointPaths(issuer: string): EndpointPaths {
  const base = new URL(issuer).pathname.replace(/\/$/, '')
  return {
    authorize: `${base}/authorize`,
    token: `${base}/token`,
    revoke: `${base}/revoke`,
    introspect: `${base}/introspect`,
    jwks: `${base}/jwks`,
    health: `${base}/health`,
    metadata: `/.well-known/oauth-authorization-server${base}`,
    globalRevocation: `${base}/global-token-revocation`,
    adminRevoke: `${base}/admin/revoke`,
    adminEvents: `${base}/admin/events`,
  }
}
