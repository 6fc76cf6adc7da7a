import { createHash, randomBytes } from 'node:crypto'
import { isRescindError, RescindError } from '../../../core/errors.ts'
import { Secret } from '../../../core/secret.ts'
import type { ConnectionTraits, HeldToken } from '../../../providers/connection-way.ts'
import type { Consent } from '../consent/consent.ts'
import type { DrillContext, DrillLab, Reauthorize } from '../context.ts'
import { codesPresented } from '../emulator.ts'
import { callThrough, isAnothers, type SeenCall, until } from '../look.ts'
import type { Applied, Callback, Notice, PlatformSnapshot, ReconnectLink } from '../platform.ts'
import { failFirst, type Judgement } from '../step.ts'

/** How often it is looked at. */
export const CALL_MS = 200
export const NEEDS_OWNER: readonly string[] = ['reconnect_needed', 'reconnecting', 'disabled']

/** Where tokens rotate, the grant of an answer that was lost lives on, and its owner makes another. */
export const ifRotated = ({ rotation }: ConnectionTraits) => (rotation === 'never' ? 0 : 1)

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
  /** How many grants nobody holds afterwards, at most; none without it. */
  readonly leaves?: (traits: ConnectionTraits) => number
  /** Where it can be injected; elsewhere it is skipped, and that is why. */
  readonly only?: { readonly where: 'vault' | 'account'; readonly why: string }
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
export async function revokeAccess(context: DrillContext): Promise<void> {
  const { access } = await context.platform.tokens()
  context.keepOut(access)
  await revoke(context, { kind: 'access', token: access })
}

/** The grant is dead from now on. */
export async function kill(context: DrillContext): Promise<void> {
  const { access, refresh } = await context.platform.tokens()
  context.keepOut(access, refresh)
  await revoke(
    context,
    refresh ? { kind: 'refresh', token: refresh } : { kind: 'access', token: access },
  )
}

async function revoke({ direct }: DrillContext, held: HeldToken): Promise<void> {
  const { revoked, alreadyDead, code } = await direct.way.revoke(direct.app, held, direct.means)
  if (revoked === 'yes' && !alreadyDead) return
  const what = alreadyDead
    ? 'was dead already: the platform holds another than the provider gave.'
    : `was not revoked by the provider (${code}).`
  throw new RescindError('connection_unwell', `The ${held.kind} token ${what}`)
}

/** What a fault that struck nothing is complained of with. */
export function missed(struck: number): string | false {
  return struck === 0 && 'The fault did not strike: nobody asked for what it would have broken.'
}

/** Reads the notices of what happens from now on, each once: those of earlier faults may still come. */
export async function noticesFromNow({
  platform,
}: DrillContext): Promise<() => Promise<readonly Notice[]>> {
  // From the first on: one that was told late is as old as what it tells.
  const told = () => platform.notices(0)
  const before = new Set((await told()).map(({ id }) => id))
  return async () => {
    const fresh = (await told()).filter(({ id }) => !before.has(id))
    return [...new Map(fresh.map((notice) => [notice.id, notice])).values()]
  }
}

export async function look(context: DrillContext): Promise<Moment> {
  const call = await callThrough(context, (on) => context.platform.call(on))
  return { state: (await context.platform.snapshot()).state, call }
}

/** What a moment is waited for: that it works, that calls fail for good, that the owner is asked too. */
const ENDS = {
  well: ({ call }: Moment) => call?.ok === true,
  dead: ({ call, state }: Moment) =>
    call?.ok === false && (call.providerRefused || NEEDS_OWNER.includes(state)),
  told: ({ call, state }: Moment) => call?.ok === false && NEEDS_OWNER.includes(state),
} as const

/** Calls until it works, or until it is known to be dead; gives the last look. */
export function settled(context: DrillContext, end: keyof typeof ENDS = 'well'): Promise<Moment> {
  const wish = { ms: context.rules.limits.detectMs, everyMs: CALL_MS }
  return until(context, wish, () => look(context), ENDS[end])
}

export function judgeDead({ call, state }: Moment): Judgement {
  return failFirst(
    [
      call?.ok && 'It is not noticed: calls still go well.',
      call?.cause !== 'revoked_or_expired' && `The cause is ${call?.cause ?? 'none'}.`,
      !NEEDS_OWNER.includes(state) && `The platform says ${state}: the owner is not asked.`,
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

/** What was said of a consent that was not taken, in words: `denied, by_owner`. */
export function refusalText({ route, cause }: Applied): string {
  return cause === null ? route : `${route}, ${cause}`
}

export function refusedElse(answer: Applied, as: readonly string[]): string {
  return `It was refused as ${refusalText(answer)}, and not as ${as.join(' or ')}.`
}

export interface RefusedConsent {
  /** What a platform may call the refusal. */
  readonly as: readonly string[]
  /** Whether the code reaches the provider, and is refused there. */
  readonly isPresented?: boolean
  /** The grant itself must be refused, which a platform may have taken before it is compared. */
  readonly isCompared?: boolean
  /** What comes to the callback. */
  come(link: ReconnectLink): Promise<Callback | null>
}

/** A consent that must not be taken: the grant is dead before, and dead it stays. */
export async function refusedConsent(
  context: DrillContext,
  lab: DrillLab,
  { as, isPresented, isCompared = false, come }: RefusedConsent,
) {
  const { platform, clock } = context
  await kill(context)
  const before = await settled(context, 'dead')
  const held = await platform.snapshot()
  const since = clock.now()
  const { callback, answer } =
    isCompared && lab.reauthorize
      ? await applyCompared(context, lab.reauthorize, { instance: held.id, come })
      : await applyPlainly(context, come)
  const presented = await codesPresented(lab.provider, since)
  const after = await look(context)
  const holds = holdsOthers(held, await platform.snapshot())
  const isPutAway = isCompared && lab.reauthorize !== null && after.state === 'disabled'
  const isKept = holds && !isPutAway
  // What nobody uses must not live on.
  if (holds && isPutAway) await kill(context)
  const said = refusalText(answer)
  const judgement = failFirst(
    [
      !ENDS.dead(before) && 'Calls went well before it: the grant was not known to be dead.',
      callback === null && 'Nothing came to the callback: the fault did not strike.',
      answer.ok && 'It was taken.',
      !as.includes(said) && refusedElse(answer, as),
      isPresented === true && presented.length === 0 && 'The code was never presented.',
      isPresented === true &&
        presented.some((status) => status < 400) &&
        'The provider took the code: the fault did not strike.',
      isPresented === false && presented.length > 0 && 'The code was presented all the same.',
      (after.call?.ok || isKept) && 'Something was kept of it.',
      after.call?.cause !== before.call?.cause &&
        after.call?.cause !== answer.cause &&
        `The cause is ${after.call?.cause ?? 'none'} afterwards.`,
      NEEDS_OWNER.includes(before.state) &&
        !NEEDS_OWNER.includes(after.state) &&
        `It was ${before.state}, and is shown as ${after.state}.`,
    ],
    `Refused (${said}); still ${after.state}.`,
  )
  return { seen: { before, answer, presented, after }, judgement }
}

type Come = RefusedConsent['come']

async function applyPlainly(context: DrillContext, come: Come) {
  const link = await newLink(context)
  const callback = await come(link)
  return { callback, answer: await applied(context, link, callback) }
}

/** By the command of the platform, which compares what it has taken with what was before. */
async function applyCompared(
  { keepOut, signal }: DrillContext,
  reauthorize: Reauthorize,
  { instance, come }: { readonly instance: string; readonly come: Come },
) {
  let callback: Callback | null = null
  const visit = async (link: ReconnectLink) => {
    keepOut(link.state)
    callback = await come(link)
    return callback ?? { code: null, state: null, error: 'no_answer' }
  }
  const answer = await reauthorize(instance, visit, signal)
  return { callback: callback as Callback | null, answer }
}

function holdsOthers(before: PlatformSnapshot, after: PlatformSnapshot): boolean {
  const isNew = (was: string | null, is: string | null) => is !== null && is !== was
  return (
    isNew(before.accessFingerprint, after.accessFingerprint) ||
    isNew(before.refreshFingerprint, after.refreshFingerprint)
  )
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
  const { tokens } = await way.redeem(app, { code, verifier, iss: callback?.iss ?? null }, means)
  if (tokens === null)
    throw new RescindError('consent_failed', 'The provider gave no tokens for one more approval.')
  keepOut(tokens.accessToken, tokens.refreshToken)
  return tokens.refreshToken
    ? { kind: 'refresh', token: tokens.refreshToken }
    : { kind: 'access', token: tokens.accessToken }
}

/** Takes everything away that faults leave on: those of this process, and of one that died. */
export async function calm({ provider, account, vault }: DrillLab): Promise<void> {
  await provider.tell('faults', [])
  await account?.tell('calm', {})
  vault?.failWrites(false)
  vault?.inbox.setDown(false)
}

/** Takes every fault away, and gives the connection a new grant where it needs one, or holds somebody else's. */
export async function bringBack(context: DrillContext, lab: DrillLab): Promise<void> {
  await calm(lab)
  const isWrong = await isAnothers(context)
  // Nobody is to work with it until its owner is back, nor is it to live on; it may be dead by now.
  if (isWrong) await attempt(() => kill(context))
  const wish = { ms: context.rules.limits.detectMs, everyMs: CALL_MS }
  const isEnd = ({ call, state }: Moment) => call?.ok === true || NEEDS_OWNER.includes(state)
  const left = await until(context, wish, () => look(context), isEnd)
  if (left.call?.ok && !isWrong) return
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

/** Does what may be refused; says whether it was done. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (!isRescindError(error)) throw error
    return false
  }
}
