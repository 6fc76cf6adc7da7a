import type { Secret } from '../../core/secret.ts'
import type { Means, TenantConfig } from '../provider.ts'
import { type LoginConfig, parseLogin, parseOptions, type SalesforceOptions } from './config.ts'
import { accessTokenLogin } from './login-access-token.ts'
import { clientCredentialsLogin } from './login-client-credentials.ts'
import { jwtLogin } from './login-jwt.ts'
import { passwordLogin } from './login-password.ts'
import { refreshTokenLogin, webLogin } from './login-refresh-token.ts'
import { sfLogin } from './login-sf.ts'

/** A session as a login gives it; the access token is kept in memory only. */
export interface Minted {
  readonly accessToken: Secret
  /** The host that answers for the org, as the vendor names it. */
  readonly instanceUrl: string
  /** Whose session it is, where the answer said so; else userinfo is asked. */
  readonly identity?: Identity | undefined
}

/** Ids as the vendor gave them. */
export interface Identity {
  readonly orgId: string
  readonly userId: string
}

/** A way to get sessions. */
export interface Login {
  readonly method: LoginConfig['method']
  /** Whether {@link Login.mint} gives a new session after the first one. */
  readonly renewable: boolean
  /** @throws RescindError `not_authenticated`, `login_needed`, `provider_busy`, or an HTTP code */
  mint(signal?: AbortSignal): Promise<Minted>
}

/** What a login method works with. */
export interface LoginMeans {
  readonly tenant: TenantConfig
  readonly options: SalesforceOptions
  readonly means: Means
}

/**
 * Chooses the tenant's way to log in; nothing is sent yet.
 *
 * @throws RescindError `config_invalid`
 */
export function openLogin(tenant: TenantConfig, means: Means): Login {
  const login = parseLogin(tenant)
  const loginMeans = { tenant, options: parseOptions(tenant), means }
  switch (login.method) {
    case 'jwt':
      return jwtLogin(login, loginMeans)
    case 'client_credentials':
      return clientCredentialsLogin(login, loginMeans)
    case 'refresh_token':
      return refreshTokenLogin(login, loginMeans)
    case 'password':
      return passwordLogin(login, loginMeans)
    case 'access_token':
      return accessTokenLogin(login, loginMeans)
    case 'sf':
      return sfLogin(login, loginMeans)
    case 'web':
      return webLogin(login, loginMeans)
  }
}
