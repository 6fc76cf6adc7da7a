import { importPKCS8, SignJWT } from 'jose'
import { RescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import type { LoginOf } from './config.ts'
import type { Login, LoginMeans } from './login.ts'
import { mintRepeatable } from './token-request.ts'

/** Salesforce wants an assertion that expires within minutes; this allows for clocks that differ. */
const ASSERTION_LIFE_S = 180
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const ALGORITHM = 'RS256'

/**
 * Logs in by a signed assertion; each session is minted anew, without a refresh token.
 *
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm
 */
export function jwtLogin(login: LoginOf<'jwt'>, { tenant, means }: LoginMeans): Login {
  const key = importKey(login.privateKey, tenant.name)
  // The failure is thrown by mint; until then it must not end the process.
  key.catch(() => {})
  const form = async () => {
    const now = Math.floor(means.clock.now() / 1000)
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg: ALGORITHM })
      .setIssuer(login.clientId)
      .setSubject(login.username)
      .setAudience(login.audience ?? audienceOf(tenant.url))
      .setExpirationTime(now + ASSERTION_LIFE_S)
      .sign(await key)
    return { grant_type: GRANT, assertion }
  }
  const grant = { form, secrets: [login.privateKey] }
  return {
    method: 'jwt',
    renewable: true,
    mint: (signal) => mintRepeatable(means, tenant.url, grant, signal),
  }
}

/** A site with a path is its own audience; anything else is known by its host. */
function audienceOf(loginUrl: string): string {
  const { origin, pathname } = new URL(loginUrl)
  return pathname === '/' ? origin : (origin + pathname).replace(/\/+$/, '')
}

async function importKey(privateKey: Secret, tenant: string) {
  try {
    return await importPKCS8(privateKey.reveal().trim(), ALGORITHM)
  } catch {
    // The cause is dropped: a parser's message may quote the key.
    throw new RescindError(
      'config_invalid',
      `The privateKey of tenant "${tenant}" is not a PKCS #8 RSA key in PEM form. Convert it with: openssl pkcs8 -topk8 -nocrypt -in key.pem.`,
    )
  }
}
