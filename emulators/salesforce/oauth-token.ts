import { type Answer, oauthError } from './answer.ts'
import { type Call, formOf } from './call.ts'
import {
  answerClientCredentials,
  answerJwtBearer,
  answerPassword,
  answerTokenExchange,
} from './oauth-machine.ts'
import { answerRefresh } from './oauth-refresh.ts'
import type { SigningKeys } from './signing-keys.ts'

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/**
 * Answers the token endpoint by the grant that is asked for.
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
 */
export function answerToken(call: Call, keys: SigningKeys): Answer {
  if (call.method !== 'POST') return oauthError('invalid_request', 'must use HTTP POST')
  const form = formOf(call)
  switch (form.get('grant_type')) {
    case 'refresh_token':
      return answerRefresh(call, form)
    case 'password':
      return answerPassword(call, form)
    case 'client_credentials':
      return answerClientCredentials(call, form)
    case JWT_BEARER:
      return answerJwtBearer(call, form, keys)
    case TOKEN_EXCHANGE:
      return answerTokenExchange(call, form)
    case null:
      return oauthError('invalid_request', 'missing required parameter: grant_type')
    default:
      return oauthError('unsupported_grant_type', 'grant type not supported')
  }
}
