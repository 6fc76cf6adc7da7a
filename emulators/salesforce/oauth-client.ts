import type { Answer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import { type Call, clientOf } from './call.ts'

/** A client that was found, or the answer that turns it away. */
export type ClientCheck = { readonly app: App } | { readonly refused: Answer }

/**
 * Finds the app of a token request and judges its credentials: by Basic or in the form, the secret only where
 * the app must present one. A wrong secret is refused even where none is needed.
 */
export function checkClient(call: Call, form: URLSearchParams): ClientCheck {
  const { id, secret } = clientOf(call, form)
  const app = call.org.appByClientId.get(id)
  if (app === undefined) {
    return { refused: oauthError('invalid_client_id', 'client identifier invalid') }
  }
  if (secret === '' ? app.secretRequired : secret !== app.clientSecret) {
    return { refused: oauthError('invalid_client', 'invalid client credentials') }
  }
  return { app }
}
