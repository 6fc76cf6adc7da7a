import { isRescindError, RescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { formerText } from './former-grant.ts'
import { type Instance, tokensOf } from './instance.ts'
import type { ReauthorizeMeans, ReauthorizeWish } from './reauthorize.ts'
import { grantsApart } from './revoke-at-provider.ts'
import type { Life } from './revoke-first.ts'

/** What a run that fails must tell of. */
export interface SoFar {
  /** The provider said that it revoked the grant. */
  isRevoked: boolean
  life: Life
  /** What must end, or must not be forgotten, once there is a new grant. */
  readonly formers: Secret[]
  /**
   * `code`: the platform was given one, whatever it made of it. `grant`: it has a new grant. `right`: that is not
   * refused. `end`: what is left was done, or said, but whether it works.
   */
  reached: 'before' | 'code' | 'grant' | 'right' | 'end'
  /** The instance with its new grant; from `grant` on. */
  after: Instance
}

/** Adds to an error what the run left behind: whoever threw it does not know. */
export async function orSayWhatIs<T>(
  soFar: SoFar,
  found: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isKnown = isRescindError(error)
    const left = await leftBy(error, soFar, found, wish, means)
    if (left === null) throw error
    if (isKnown) {
      const { code, message, detail } = error
      const details = detail === undefined ? {} : { detail }
      throw new RescindError(code, `${message} ${left}`, { cause: error, ...details })
    }
    wish.warn?.(left)
    throw error
  }
}

async function leftBy(
  error: unknown,
  soFar: SoFar,
  found: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<string | null> {
  const { reached } = soFar
  if (reached === 'before') {
    return leftBefore(soFar, found, wish, isRescindError(error, 'reconnect_refused'))
  }
  if (reached === 'code') return leftByCode(soFar, found, means)
  if (reached === 'end' && isRescindError(error)) return null
  const { id } = soFar.after
  const end = reached === 'end' ? null : formerText(soFar, found, means)
  const words =
    reached === 'grant'
      ? `Instance ${id} has a new grant, and whose it is was not looked at: run rescind open-connectors reauthorize ${id} again.`
      : `Instance ${id} has a new grant, and whether it works was not looked at: call through it before you rely on it.`
  return end === null ? words : `${words} ${end}`
}

function leftBefore(
  { isRevoked }: SoFar,
  { id }: Instance,
  { revoke }: ReauthorizeWish,
  isRefused: boolean,
): string | null {
  if (isRevoked) return deadSince(id)
  return isRefused && revoke === null ? `Nothing was changed in instance ${id}.` : null
}

function deadSince(id: number): string {
  return `Instance ${id} is dead since its grant was revoked: run rescind open-connectors reauthorize ${id}.`
}

/** A code may have left the instance as it was, without tokens, or with others. */
async function leftByCode(
  { isRevoked, formers }: SoFar,
  found: Instance,
  { client, formers: kept, signal }: ReauthorizeMeans,
): Promise<string | null> {
  const { id } = found
  const again = `run rescind open-connectors reauthorize ${id}`
  const mayLive = 'and its former grant may live on at the provider'
  const end = kept && grantsApart(found) ? `${again}, which ends it` : `end it there, and ${again}`
  const now = signal?.aborted ? null : await client.get(id, signal).catch(() => null)
  if (!now?.ok) {
    const what = `What instance ${id} holds now is not known`
    return isRevoked ? `${what}: ${again}.` : `${what}, ${mayLive}: ${end}.`
  }
  const { access, refresh } = tokensOf(now.value)
  const isSame = (token: Secret | null) => token?.reveal() === refresh?.reveal()
  if (refresh && formers.some(isSame)) await kept?.forget(client.settings.url, id, refresh)
  if (isSame(tokensOf(found).refresh)) return isRevoked ? deadSince(id) : null
  const what = access ? 'holds other tokens now' : 'holds no tokens any more, and does not work'
  if (formers.every(isSame)) return `Instance ${id} ${what}: ${again}.`
  const whose = access ? ' (whose the new one is was not looked at)' : ''
  return `Instance ${id} ${what}, ${mayLive}${whose}: ${end}.`
}
