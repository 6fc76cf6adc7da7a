import type { Http } from '../core/http.ts'
import type { Secret } from '../core/secret.ts'

/**
 * How a provider's OAuth connections are made, kept alive, probed and ended. Each call is one request or
 * a few; nothing is stored and nothing is retried here. Shared code asks `traits`, never an id.
 */
export interface ConnectionWay {
  readonly traits: ConnectionTraits
  /** The traits of one registration, where its options change them; ask {@link traitsOf}. */
  traitsFor?(app: ConnectionApp): ConnectionTraits
  /** Checks a registration before anything is sent. @throws RescindError `config_invalid` */
  checkApp?(tenant: string, app: ConnectionApp): void
  /** Returns where the owner consents: state, PKCE S256 and scopes are in it. No secret ever is. */
  authorizationUrl(
    app: ConnectionApp,
    request: AuthorizationRequest,
    means: WayMeans,
  ): Promise<string>
  /** Changes a code into tokens (RFC 6749 section 4.1.3). */
  redeem(app: ConnectionApp, grant: CodeGrant, means: WayMeans): Promise<TokenAnswer>
  /** Changes a refresh token into tokens (RFC 6749 section 6). */
  refresh(app: ConnectionApp, refreshToken: Secret, means: WayMeans): Promise<TokenAnswer>
  /** The cheapest authenticated read, which also tells who the token belongs to. */
  probe(app: ConnectionApp, accessToken: Secret, means: WayMeans): Promise<ProbeAnswer>
  /** A call to the same provider that needs no grant: answers when the provider, and the way to it, is well. */
  control(app: ConnectionApp, means: WayMeans): Promise<ControlAnswer>
  /** Revokes one token at the provider (RFC 7009, or the vendor's own). */
  revoke(app: ConnectionApp, token: HeldToken, means: WayMeans): Promise<RevokeAnswer>
  /** Looks whether a token lives without using or spending it (RFC 7662), where the provider can say. */
  look?(app: ConnectionApp, token: HeldToken, means: WayMeans): Promise<LookedAt>
  /** Counts the live tokens of one user and app, where the provider tells it to that user's token. */
  countLive?(
    app: ConnectionApp,
    identity: Identity,
    accessToken: Secret,
    means: WayMeans,
  ): Promise<number | null>
  /** Lists the live grants of one user and app, where the provider tells them to that user's token. */
  listLive?(
    app: ConnectionApp,
    identity: Identity,
    accessToken: Secret,
    means: WayMeans,
  ): Promise<readonly LiveGrant[] | null>
}

/** A grant of which no token is held here. */
export interface LiveGrant {
  /** Revoked as its refresh token would be. */
  readonly handle: Secret
  readonly createdAt: number
}

/** What a look at a token showed: `unclear` this time, `unable` as a rule. */
export type LookedAt = 'alive' | 'dead' | 'unclear' | 'unable'

/** Returns how the tokens of one registration behave. */
export function traitsOf(way: ConnectionWay, app: ConnectionApp): ConnectionTraits {
  return way.traitsFor?.(app) ?? way.traits
}

/** How a provider's tokens behave, as data, with the vendor's page beside each in the provider's file. */
export interface ConnectionTraits {
  /** Spent refresh tokens are refused; whether presenting one kills its successors. */
  readonly rotation: 'never' | 'may' | 'always'
  readonly replayKills: boolean
  /** How long the predecessor of a rotated refresh token may be presented again when the answer was lost. */
  readonly graceMs: number
  /** A refresh may name scopes (Salesforce refuses it). */
  readonly refreshTakesScope: boolean
  /** Live tokens of one user and app before the oldest dies; null where no limit is known. */
  readonly liveTokensMax: number | null
  /** What dies with an access token, and with a refresh token. */
  readonly revokeAccess: 'token' | 'grant'
  readonly revokeRefresh: 'token' | 'grant'
  /**
   * Each consent of a user is a grant of its own, which a revocation ends alone. Elsewhere it may end all
   * that the user granted to the app.
   */
  readonly grantsApart: boolean
  /** A second revocation of a dead token is refused: a free proof of death. */
  readonly revokesTwice: 'refused' | 'accepted'
  /** How long after its revocation an access token may still work. */
  readonly residualMs: number
}

/** Our registration at a provider. */
export interface ConnectionApp {
  /** The provider's issuer or host. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: Secret | null
  readonly redirectUri: string
  readonly scopes: readonly string[]
  /** The provider's own keys, checked by it. */
  readonly options: Readonly<Record<string, unknown>>
}

export interface WayMeans {
  readonly http: Http
  readonly signal?: AbortSignal | undefined
}

export interface AuthorizationRequest {
  readonly state: string
  readonly challenge: string
  /** Asks the person again, even where consent is remembered. */
  readonly force: boolean
}

export interface CodeGrant {
  readonly code: Secret
  readonly verifier: Secret
  /** `iss` of the callback, where it had one. @see RFC 9207 section 2.4 */
  readonly iss?: string | null | undefined
}

export interface HeldToken {
  readonly kind: 'access' | 'refresh'
  readonly token: Secret
  /** What the provider said beside its grant, where that is known: it tells whose word on the token counts. */
  readonly facts?: FreshTokens['facts'] | undefined
}

/** Who a grant belongs to at the provider: stable ids, never names alone. */
export interface Identity {
  readonly user: string
  /** The org, workspace or realm. */
  readonly org: string
  readonly name: string | null
}

/** What a token endpoint said, read and not judged. `status` is null when no answer came. */
export interface TokenAnswer {
  readonly status: number | null
  /** The tokens of a 2xx that holds an access token; null for everything else. */
  readonly tokens: FreshTokens | null
  /** `error` and a redacted `error_description`, where the body had them. */
  readonly error: string | null
  readonly description: string | null
  /** Without a status: whether the request may have been acted on. */
  readonly mayHaveActed: boolean
  readonly retryAfterMs: number | undefined
  /** What kind of body it was: a web page or a 200 with an error inside is neither life nor death. */
  readonly body: 'tokens' | 'oauth_error' | 'html' | 'malformed' | 'none'
}

export interface FreshTokens {
  readonly accessToken: Secret
  /** Null when the answer had none: the old one stays. */
  readonly refreshToken: Secret | null
  readonly expiresInS: number | null
  /** Null when the answer did not say: as asked for. */
  readonly scopes: readonly string[] | null
  readonly identity: Identity | null
  /** What is known beside: Salesforce's instance_url, and where a grant came from. Never a secret. */
  readonly facts: Readonly<Record<string, string>>
}

export type ProbeAnswer =
  | { readonly verdict: 'alive'; readonly status: number; readonly identity: Identity | null }
  /** The provider's own words that the token is dead. */
  | { readonly verdict: 'dead'; readonly status: number; readonly code: string }
  /** Refused for another reason: scope, IP, quota. It says nothing of the token's life. */
  | { readonly verdict: 'refused'; readonly status: number; readonly code: string }
  | { readonly verdict: 'unclear'; readonly status: number | null; readonly code: string }

export interface ControlAnswer {
  readonly ok: boolean
  readonly status: number | null
}

export interface RevokeAnswer {
  /** `yes`: the provider says that it is done; `no`: refused, the token may live; `unknown`: no answer. */
  readonly revoked: 'yes' | 'no' | 'unknown'
  /**
   * The provider knows no such token: it was dead before. With `unknown`, it may be a living one of
   * another organization.
   */
  readonly alreadyDead: boolean
  readonly status: number | null
  readonly code: string
  /** How long the provider asks to wait, where it does. */
  readonly retryAfterMs?: number | undefined
}
