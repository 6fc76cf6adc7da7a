import type { LoginOf } from './config.ts'
import type { Login, LoginMeans } from './login.ts'
import { mintRepeatable } from './token-request.ts'

/**
 * Logs in as the user that the app runs as; works at the org's My Domain host only.
 *
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_client_credentials_flow.htm
 */
export function clientCredentialsLogin(
  login: LoginOf<'client_credentials'>,
  { tenant, means }: LoginMeans,
): Login {
  const form = async () => ({
    grant_type: 'client_credentials',
    client_id: login.clientId,
    client_secret: login.clientSecret.reveal(),
  })
  const grant = { form, secrets: [login.clientSecret] }
  return {
    method: 'client_credentials',
    renewable: true,
    mint: (signal) => mintRepeatable(means, tenant.url, grant, signal),
  }
}
