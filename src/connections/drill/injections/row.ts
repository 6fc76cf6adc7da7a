import { createHash, randomBytes } from 'node:crypto'
import { isRescindError, RescindError } from '../../../core/errors.ts'
import { Secret } from '../../../core/secret.ts'
import type { HeldToken } from '../../../providers/connection-way.ts'
import type { Consent } from '../consent/consent.ts'
import type { DrillContext, DrillLab } from '../context.ts'
import { callThrough, type SeenCall, until } from '../look.ts'
import type { Applied, Callback, ReconnectLink } from '../platform.ts'
import { failFirst, type Judgement } from '../step.ts'

/** How often it is looked at. */
export const CALL_MS = 200
export const NEEDS_OWNER: readonly string[] = ['reconnect_needed', 'reconnecting', 'disabled']

/** One fault of the emulated token endpoint, at its next call. */
export const onToken = (kind: string, more: object = {}) => [{ kind, on: 'token', nth: 1, ...more }]

/** A connection while a fault is in force, or after it. */
export interface Moment {
  readonly state: string
  readonly call: SeenCall | null
}

export interface Row {
  readonly name: string
  readonly how: string
  readonly mustEnd: string
  /** Where it can be injected; elsewhere it is skipped. */
  readonly only?: 'vault' | 'account'
  run(
    context: DrillContext,
    lab: DrillLab,
  ): Promise<{ readonly seen: object; readonly judgement: Judgement }>
}

export function need<Thing>(thing: Thing | null): Thing {
  if (thing === null) throw new Error('an injection ran where it cannot')
  return thing
}

/** A refresh is needed from now on. */
export async function revokeAccess({ direct, platform, keepOut }: DrillContext): Promise<void> {
  const { access } = await platform.tokens()
  keepOut(access)
  await direct.way.revoke(direct.app, { kind: 'access', token: access }, direct.means)
}

/** The grant is dead from now on. */
export async function kill({ direct, platform, keepOut }: DrillContext): Promise<void> {
  const { access, refresh } = await platform.tokens()
  keepOut(access, refresh)
  const token: HeldToken = refresh
    ? { kind: 'refresh', token: refresh }
    : { kind: 'access', token: access }
  await direct.way.revoke(direct.app, token, direct.means)
}

export async function look(context: DrillContext): Promise<Moment> {
  const call = await callThrough(context, (on) => context.platform.call(on))
  return { state: (await context.platform.snapshot()).state, call }
}

/** Calls until it works, or until it is known to be dead; gives the last look. */
export function settled(context: DrillContext, end: 'well' | 'dead' = 'well'): Promise<Moment> {
  const wish = { ms: context.rules.limits.detectMs, everyMs: CALL_MS }
  const isEnd = ({ call, state }: Moment) =>
    end === 'well'
      ? call?.ok === true
      : call?.ok === false && (call.providerRefused || NEEDS_OWNER.includes(state))
  return until(context, wish, () => look(context), isEnd)
}

export function judgeDead({ call, state }: Moment): Judgement {
  return failFirst(
    [
      call?.ok && 'It is not noticed: calls still go well.',
      call?.cause !== 'revoked_or_expired' && `The cause is ${call?.cause ?? 'none'}.`,
    ],
    `Noticed: ${state}.`,
  )
}

export async function newLink(context: DrillContext): Promise<ReconnectLink> {
  const link = await context.platform.reconnectLink(context.signal)
  context.keepOut(link.state)
  return link
}

export async function visit(
  context: DrillContext,
  by: Consent,
  link: ReconnectLink,
): Promise<Callback | null> {
  const { callback } = await by.visit(link, 'allow', context.signal)
  context.keepOut(callback?.code ?? null)
  return callback
}

export async function applied(
  { platform, signal }: DrillContext,
  link: ReconnectLink,
  callback: Callback | null,
): Promise<Applied> {
  if (callback === null) return { ok: false, route: 'none', cause: null }
  try {
    return await platform.applyCallback(link, callback, signal)
  } catch (error) {
    if (!isRescindError(error)) throw error
    return { ok: false, route: error.code, cause: null }
  }
}

export async function consentAndApply(context: DrillContext) {
  const link = await newLink(context)
  const callback = await visit(context, context.consent, link)
  return { link, callback, applied: await applied(context, link, callback) }
}

/** A consent that must not be taken: the grant is dead before, and dead it stays. */
export async function refusedConsent(
  context: DrillContext,
  come: (link: ReconnectLink) => Promise<Callback | null>,
) {
  await kill(context)
  const before = await settled(context, 'dead')
  const link = await newLink(context)
  const answer = await applied(context, link, await come(link))
  const after = await look(context)
  const judgement = failFirst(
    [
      answer.ok && 'It was taken.',
      after.call?.ok && 'Calls go well: something was kept of it.',
      after.state === 'connected' && before.state !== 'connected' && 'It is shown as well.',
    ],
    `Refused (${answer.route}${answer.cause === null ? '' : `, ${answer.cause}`}); still ${after.state}.`,
  )
  return { seen: { before, answer, after }, judgement }
}

/** One more approval of the app by the same user. */
export async function grantAnew({ direct, consent, keepOut }: DrillContext): Promise<HeldToken> {
  const { way, app, means } = direct
  const state = new Secret(randomBytes(32).toString('base64url'))
  const verifier = new Secret(randomBytes(32).toString('base64url'))
  const challenge = createHash('sha256').update(verifier.reveal()).digest('base64url')
  const url = await way.authorizationUrl(
    app,
    { state: state.reveal(), challenge, force: true },
    means,
  )
  const { callback } = await consent.visit({ url, state, redirectUri: app.redirectUri }, 'allow')
  const code = callback?.code ?? new Secret('')
  const { tokens } = await way.redeem(app, { code, verifier }, means)
  if (tokens === null)
    throw new RescindError('consent_failed', 'The provider gave no tokens for one more approval.')
  keepOut(tokens.accessToken, tokens.refreshToken)
  return tokens.refreshToken
    ? { kind: 'refresh', token: tokens.refreshToken }
    : { kind: 'access', token: tokens.accessToken }
}

/** Takes every fault away, and gives the connection a new grant where it needs one. */
export async function bringBack(
  context: DrillContext,
  { provider, account, vault }: DrillLab,
): Promise<void> {
  await provider.tell('faults', [])
  await account?.tell('faults', [])
  vault?.failWrites(false)
  vault?.inbox.setDown(false)
  const wish = { ms: context.rules.limits.detectMs, everyMs: CALL_MS }
  const isEnd = ({ call, state }: Moment) => call?.ok === true || NEEDS_OWNER.includes(state)
  const left = await until(context, wish, () => look(context), isEnd)
  if (left.call?.ok) return
  // A platform may disable it at any moment until the new grant is there.
  await context.platform.enable(context.signal)
  let { applied: answer } = await consentAndApply(context)
  // The platform's other way, with a fresh code.
  if (!answer.ok) answer = (await consentAndApply(context)).applied
  await context.platform.enable(context.signal)
  if (answer.ok && (await settled(context)).call?.ok) return
  throw new RescindError(
    'consent_failed',
    `The connection could not be brought back after the fault (${answer.route}).`,
  )
}

export async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isRescindError(error)) throw error
  }
}
