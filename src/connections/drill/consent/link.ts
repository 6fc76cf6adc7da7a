import type { Clock } from '../../../core/clock.ts'
import { RescindError } from '../../../core/errors.ts'
import { formatDuration } from '../../../core/moments.ts'
import { Secret } from '../../../core/secret.ts'
import { isDoor, openDoor } from '../../../protocol/loopback-door.ts'
import type { Platform, ReconnectLink } from '../platform.ts'
import type { Consent, ConsentVisit } from './consent.ts'

/** A person finds the mail, the password and the second factor within this. */
export const PERSON_MS_MAX = 15 * 60_000
/** How often the platform is asked whether the person has been there. */
const LOOK_MS = 1_000

export interface LinkMeans {
  readonly clock: Clock
  readonly platform: Platform
  /** Shows the link to the person. */
  show(url: string): void
  readonly waitMs: number
}

/**
 * Gives a person the link and waits: for the answer at a loopback callback, or, where somebody else
 * serves the callback, until the platform says that the connection is well.
 */
export function linkConsent(means: LinkMeans): Consent {
  return {
    how: 'link',
    canDeny: false,
    visit: (link, _decision, signal) => wait(means, link, signal),
    close: async () => {},
  }
}

async function wait(
  means: LinkMeans,
  link: ReconnectLink,
  signal: AbortSignal | undefined,
): Promise<ConsentVisit> {
  const redirect = new URL(link.redirectUri)
  const door = isDoor(redirect)
    ? await openDoor(redirect, link.state.reveal()).catch(() => undefined)
    : undefined
  const done = new AbortController()
  const either = AbortSignal.any([done.signal, ...(signal === undefined ? [] : [signal])])
  means.show(link.url)
  try {
    const late = means.clock.sleep(means.waitMs, either).then(() => {
      const message = `Nobody consented within ${formatDuration(means.waitMs)}.`
      throw new RescindError('nobody_consented', message)
    })
    const state = link.state.reveal()
    const came = door?.visit.then((visit) =>
      visit.kind === 'code'
        ? { code: new Secret(visit.code), state, error: null, iss: visit.iss }
        : { code: null, state, error: visit.error },
    )
    const applied = door === undefined ? untilConnected(means, either).then(() => null) : undefined
    const ways = [late, came, applied].filter((way) => way !== undefined)
    for (const way of ways) way.catch(() => {})
    const callback = (await Promise.race(ways)) ?? null
    return { callback, pages: 0, screenshot: null }
  } finally {
    done.abort()
    door?.close()
  }
}

async function untilConnected({ platform, clock }: LinkMeans, signal: AbortSignal): Promise<void> {
  while ((await platform.snapshot(signal)).state !== 'connected') await clock.sleep(LOOK_MS, signal)
}
