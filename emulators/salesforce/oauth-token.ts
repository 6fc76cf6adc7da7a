import type { Answer } from '../answer.ts'
import { oauthError } from './answer.ts'
import { type Call, formOf } from './call.ts'
import { answerCode, type CodeDesk } from './oauth-code.ts'
import { answerDevice, answerDeviceStart } from './oauth-device.ts'
import {
  answerClientCredentials,
  answerJwtBearer,
  answerPassword,
  answerTokenExchange,
} from './oauth-machine.ts'
import { answerRefresh } from './oauth-refresh.ts'

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/**
 * Answers the token endpoint by the grant that is asked for.
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
 */
export function answerToken(call: Call, desks: CodeDesk): Answer {
  if (call.method !== 'POST') return oauthError('invalid_request', 'must use HTTP POST')
  const form = formOf(call)
  if (form.get('response_type') === 'device_code') {
    return answerDeviceStart(call, form, desks.oauth)
  }
  switch (form.get('grant_type')) {
    case 'authorization_code':
      return answerCode(call, form, desks)
    case 'device':
    case DEVICE_CODE:
      return answerDevice(call, form, desks)
    case 'refresh_token':
      return answerRefresh(call, form)
    case 'password':
      return answerPassword(call, form)
    case 'client_credentials':
      return answerClientCredentials(call, form)
    case JWT_BEARER:
      return answerJwtBearer(call, form, desks.keys)
    case TOKEN_EXCHANGE:
      return answerTokenExchange(call, form)
    case null:
      return oauthError('invalid_request', 'missing required parameter: grant_type')
    default:
      return oauthError('unsupported_grant_type', 'grant type not supported')
  }
}
