import type { LoginOf } from './config.ts'
import type { Login, LoginMeans } from './login.ts'

/** Uses a session that somebody else opened; when it ends, nothing here can renew it. */
export function accessTokenLogin(login: LoginOf<'access_token'>, { tenant }: LoginMeans): Login {
  return {
    method: 'access_token',
    renewable: false,
    mint: async () => ({ accessToken: login.accessToken, instanceUrl: tenant.url }),
  }
}
