import type { Callback, ReconnectLink } from '../../connections/drill/platform.ts'
import { callbackIn } from '../../connections/open-connectors/consent.ts'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import { isDoor, openDoor } from '../../protocol/loopback-door.ts'
import type { Context } from '../context.ts'
import { readSecretInput } from '../secret-input.ts'
import { openBrowser } from './open-browser.ts'

/** A person finds the password and the second factor within this; then the door is closed. */
const WAIT_MS = 5 * 60_000

/**
 * Shows the owner the link, and waits for what comes back: at the loopback address that the callback
 * is, else pasted by the person from the address line of the browser.
 *
 * @throws RescindError `reconnect_refused` when nobody came
 */
export async function askPerson(
  { url, state, redirectUri, mayLackState }: ReconnectLink,
  context: Context,
  { mayOpenBrowser }: { readonly mayOpenBrowser: boolean },
): Promise<Callback> {
  const { io, output } = context
  const door = isDoor(new URL(redirectUri)) ? await openDoor(new URL(redirectUri)) : undefined
  try {
    const answer = door?.answer(state.reveal(), mayLackState)
    output.note(`Open this address, and consent:\n${url}`)
    if (mayOpenBrowser) openBrowser(url)
    if (answer === undefined) {
      const pasted = await readSecretInput(io, 'address that the browser was sent to')
      return callbackIn(pasted.reveal())
    }
    const visit = await within(answer, context)
    return visit.kind === 'code'
      ? { code: new Secret(visit.code), state: state.reveal(), error: null }
      : { code: null, state: state.reveal(), error: visit.error }
  } finally {
    door?.close()
  }
}

/**
 * Looks whether this machine could listen at a callback.
 *
 * @throws RescindError `usage` where its port is taken
 */
export async function checkDoor(redirectUri: string): Promise<void> {
  if (!URL.canParse(redirectUri) || !isDoor(new URL(redirectUri))) return
  const door = await openDoor(new URL(redirectUri))
  door.close()
}

async function within<T>(visit: Promise<T>, { io }: Context): Promise<T> {
  const done = new AbortController()
  const late = io.clock.sleep(WAIT_MS, AbortSignal.any([io.signal, done.signal])).then(() => {
    throw new RescindError(
      'reconnect_refused',
      'Nobody consented within five minutes. Run the command again.',
    )
  })
  try {
    return await Promise.race([visit, late])
  } finally {
    late.catch(() => {})
    done.abort()
  }
}
