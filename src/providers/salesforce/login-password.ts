import { Secret } from '../../core/secret.ts'
import type { LoginOf } from './config.ts'
import type { Login, LoginMeans } from './login.ts'
import { mintRepeatable } from './token-request.ts'

/**
 * Logs in by user name and password, the security token joined to the password.
 *
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_username_password_flow.htm
 */
export function passwordLogin(login: LoginOf<'password'>, { tenant, means }: LoginMeans): Login {
  const { clientSecret, password, securityToken } = login
  const joined = new Secret(password.reveal() + (securityToken?.reveal() ?? ''))
  const form = async () => ({
    grant_type: 'password',
    client_id: login.clientId,
    client_secret: clientSecret.reveal(),
    username: login.username,
    password: joined.reveal(),
  })
  const secrets = [joined, clientSecret, password, ...(securityToken ? [securityToken] : [])]
  const grant = { form, secrets }
  return {
    method: 'password',
    renewable: true,
    mint: (signal) => mintRepeatable(means, tenant.url, grant, signal),
  }
}
