import { hash, timingSafeEqual } from 'node:crypto'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import { vendorText } from '../../core/vendor-text.ts'
import type { Callback } from '../drill/platform.ts'
import type { OpenConnectorsSwitches } from './settings.ts'

/**
 * Refuses an answer that is not of the login we started.
 *
 * @throws RescindError `reconnect_refused`
 * @see RFC 6749 section 10.12
 */
export function checkState(
  { state }: Callback,
  expected: Secret,
  switches: OpenConnectorsSwitches,
): void {
  if (state === null && switches.state === 'if-echoed') return
  if (isSame(state ?? '', expected.reveal())) return
  throw refused('The answer at the callback does not have our state: it is of another login.')
}

/**
 * Reads the code that came to the callback.
 *
 * @throws RescindError `reconnect_refused` for a state that is not ours, for a denial, and for no code
 * @see RFC 6749 section 4.1.2.1
 */
export function codeIn(
  callback: Callback,
  expected: Secret,
  switches: OpenConnectorsSwitches,
): Secret {
  checkState(callback, expected, switches)
  const { code, error } = callback
  if (error !== null) throw refused(`The owner, or the provider, refused: ${vendorText(error)}.`)
  if (code === null || code.isEmpty) throw refused('The answer at the callback holds no code.')
  return code
}

/** Reads the address that a browser was sent to, for a person who pastes it. */
export function callbackIn(address: string): Callback {
  const query = URL.canParse(address) ? new URL(address).searchParams : new URLSearchParams()
  const code = query.get('code')
  return {
    code: code === null ? null : new Secret(code),
    state: query.get('state'),
    error: query.get('error'),
  }
}

function refused(what: string): RescindError {
  return new RescindError('reconnect_refused', `${what} Ask for a new link.`)
}

function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => hash('sha256', text, 'buffer')
  return timingSafeEqual(digest(given), digest(expected))
}
