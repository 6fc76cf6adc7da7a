import { randomBytes } from 'node:crypto'
import type { Clock } from '../../../core/clock.ts'
import { isRescindError, RescindError } from '../../../core/errors.ts'
import type { Http } from '../../../core/http.ts'
import { formatDuration } from '../../../core/moments.ts'
import { Secret } from '../../../core/secret.ts'
import { type Door, isDoor, openDoor } from '../../../protocol/loopback-door.ts'
import { renderVisit } from '../../../protocol/loopback-page.ts'
import { reconnectPage } from '../../reconnect-page.ts'
import type { Callback, Platform, PlatformSnapshot, ReconnectLink } from '../platform.ts'
import type { Consent, ConsentVisit } from './consent.ts'

/** A person finds the mail, the password and the second factor within this. */
export const PERSON_MS_MAX = 15 * 60_000
/** How often the platform is asked whether the person has been there. */
const LOOK_MS = 1_000
/** Who has the callback is on this machine, and answers at once. */
const ASK_MS_MAX = 5_000
const STATE_BYTES = 32

export interface LinkMeans {
  readonly clock: Clock
  readonly http: Http
  readonly platform: Platform
  /** Where the provider sends the person's answer. */
  readonly redirectUri: string
  /** Shows the link to the person; and why once more, where there was one before it. */
  show(url: string, again: string | undefined): void
  readonly waitMs: number
}

/**
 * Gives a person the link and waits: for the answer at a loopback callback, which is the drill's own until
 * it is closed; or, where the platform itself serves the callback, until that holds other tokens.
 *
 * @throws RescindError `drill_refused` where something else has the callback, which would get the answer
 */
export async function linkConsent(means: LinkMeans): Promise<Consent> {
  const door = await openCallback(means)
  return {
    how: 'link',
    canDeny: false,
    visit: (link, _decision, signal, again) => visit(means, door, { link, signal, again }),
    close: async () => door?.close(),
  }
}

/** Gives no door where the platform serves the callback: elsewhere, or on this machine. */
async function openCallback(means: LinkMeans): Promise<Door | undefined> {
  const redirect = new URL(means.redirectUri)
  if (!isDoor(redirect)) return undefined
  try {
    return await openDoor(redirect)
  } catch (error) {
    if (!isRescindError(error, 'usage')) throw error
    if (await isPlatforms(means)) return undefined
    throw taken(redirect, await isDoorOfOurs(means), error)
  }
}

/** Who does not share the platform's memory cannot tell a state that was ended from one that never was. */
async function isPlatforms(means: LinkMeans): Promise<boolean> {
  const { platform } = means
  const link = await platform.reconnectLink()
  await platform.endLink(link)
  const never = new Secret(randomBytes(STATE_BYTES).toString('base64url'))
  const [ended, unknown] = [await askCallback(means, link.state), await askCallback(means, never)]
  return (
    ended?.status === reconnectPage({ kind: 'used' }).status &&
    unknown?.status === reconnectPage({ kind: 'forged' }).status
  )
}

/** Another drill, or a login, has the page of one. */
async function isDoorOfOurs(means: LinkMeans): Promise<boolean> {
  return (await askCallback(means))?.body === renderVisit('stranger').html
}

async function askCallback({ http, redirectUri }: LinkMeans, state?: Secret) {
  const url = new URL(redirectUri)
  if (state !== undefined) url.searchParams.set('state', state.reveal())
  try {
    return await http.send({ method: 'GET', url, timeoutMs: ASK_MS_MAX })
  } catch (error) {
    if (!isRescindError(error)) throw error
    return undefined
  }
}

function taken({ port }: URL, isOurs: boolean, cause: unknown): RescindError {
  const at = `Port ${port} of this machine, where the person’s answer arrives, is taken by`
  const other = '--consent browser or --consent form with the login of a test user'
  const message = isOurs
    ? `${at} another drill or login of Rescind, and they go one at a time. Run this again when that one has ended, or use ${other}.`
    : `${at} another program, which would get it. End that program and run this again, or use ${other}.`
  return new RescindError('drill_refused', message, { cause })
}

interface Wish {
  readonly link: ReconnectLink
  readonly signal: AbortSignal | undefined
  readonly again: string | undefined
}

async function visit(
  means: LinkMeans,
  door: Door | undefined,
  { link, signal, again }: Wish,
): Promise<ConsentVisit> {
  const done = new AbortController()
  const either = AbortSignal.any([done.signal, ...(signal === undefined ? [] : [signal])])
  const before = door === undefined ? await means.platform.snapshot(signal) : undefined
  const answer = door
    ?.answer(link.state.reveal(), link.mayLackState)
    .then((came) => callbackOf(came, link))
  means.show(link.url, again)
  try {
    const late = means.clock.sleep(means.waitMs, either).then(() => {
      const message = `Nobody consented within ${formatDuration(means.waitMs)}.`
      throw new RescindError('nobody_consented', message)
    })
    const renewed = before && untilRenewed(means, link, before, either)
    const ways = [late, answer, renewed].filter((way) => way !== undefined)
    for (const way of ways) way.catch(() => {})
    const callback = (await Promise.race(ways)) ?? null
    return { callback, pages: 0, screenshot: null }
  } finally {
    done.abort()
  }
}

function callbackOf(came: Awaited<ReturnType<Door['answer']>>, link: ReconnectLink): Callback {
  const state = link.state.reveal()
  return came.kind === 'code'
    ? { code: new Secret(came.code), state, error: null, iss: came.iss }
    : { code: null, state, error: came.error }
}

/**
 * A platform may say that it is connected all the while: what nobody can show without a consent is a new token.
 * Gives null then, and what came to the callback where the platform says that it was a no.
 */
async function untilRenewed(
  { platform, clock }: LinkMeans,
  link: ReconnectLink,
  before: PlatformSnapshot,
  signal: AbortSignal,
): Promise<Callback | null> {
  for (;;) {
    const { state, cause, accessFingerprint: token } = await platform.snapshot(signal)
    if (token !== null && token !== before.accessFingerprint) return null
    if (before.state === 'reconnecting' && state === 'reconnect_needed') {
      // A link that ran out is by the owner too, possibly.
      if (cause?.code === 'by_owner' && cause.confidence === 'certain') {
        return { code: null, state: link.state.reveal(), error: 'access_denied' }
      }
      const message =
        'What came to the callback was refused: rescind connection show has the reason.'
      throw new RescindError('nobody_consented', message)
    }
    await clock.sleep(LOOK_MS, signal)
  }
}
