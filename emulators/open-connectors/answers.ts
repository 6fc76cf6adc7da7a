import { type Answer, jsonAnswer } from '../answer.ts'
import type { Call } from './call.ts'
import type { ProviderAnswer } from './provider.ts'

/** An error of the platform's own: it has no `providerMessage`. */
export function platformError(call: Call, status: number, message: string): Answer {
  return jsonAnswer(status, { requestId: call.requestId, message })
}

/** The one answer to a wrong, missing or dead user, organization or Element secret. */
export function unauthorized(call: Call): Answer {
  const message = 'Invalid Organization or User Secret, or invalid Element Instance token provided.'
  return platformError(call, 401, message)
}

/** The normalized statuses; what a provider answers beside them becomes 502. */
const NORMALIZED = new Set([400, 401, 403, 404, 405, 406, 409, 415, 429])

/** An error of the provider, normalized, with its own words. */
export function providerError(
  call: Call,
  provider: ProviderAnswer,
  message: string,
  status = normalize(provider.status),
): Answer {
  const { requestId, account } = call
  const { text, body } = provider
  const providerMessage = account.switches.providerMessage === 'body' ? body : text
  // Who did not answer has no words.
  if (provider.status === null) return platformError(call, status, message)
  return jsonAnswer(status, { requestId, message, providerMessage })
}

function normalize(status: number | null): number {
  return status !== null && NORMALIZED.has(status) ? status : 502
}
