import { formatCounted } from '../../../core/counts.ts'
import { isRescindError, RescindError } from '../../../core/errors.ts'
import type { Secret } from '../../../core/secret.ts'
import type { ConsentVisit, Decision } from '../consent/consent.ts'
import type { DrillContext, DrillRules } from '../context.ts'
import { claimGrant, GRANTS_APART_MS } from '../live-grants.ts'
import { probeDirectly, type SeenProbe } from '../look.ts'
import type { Applied, ReconnectLink } from '../platform.ts'
import { fail, failFirst, type Judgement, pass, type StepOf } from '../step.ts'

/** What a reconnect link says, without what is secret in it. */
export interface SeenLink {
  readonly host: string
  readonly path: string
  readonly clientId: string | null
  readonly redirectUri: string | null
  /** Keyed hash of the state; null where the link has none. */
  readonly state: string | null
  readonly stateIsOurs: boolean
  readonly pkce: boolean
  /** Names of secrets that stand in the link. */
  readonly secrets: readonly string[]
}

/** Step 8: where the owner is sent. */
export const linkStep: StepOf<SeenLink> = {
  no: 8,
  name: 'Re-auth URL',
  act: 'Ask the platform for a link at which the owner consents anew.',
  passOnlyIf:
    'Host and client are the expected ones, the callback is ours, the state is there, PKCE where the platform uses it, no secret.',
  async ask(context) {
    const link = await newLink(context)
    return lookAtLink(context, link)
  },
  judge: (seen, rules) => judgeLink(seen, rules),
}

/** An unused one before it, as of a drill that died, would hold the connection up for as long as it is good. */
async function newLink(context: DrillContext): Promise<ReconnectLink> {
  await endLink(context)
  const link = await context.platform.reconnectLink(context.signal)
  context.keepOut(link.state)
  context.secrets.link = link
  return link
}

async function endLink({ platform, secrets }: DrillContext): Promise<void> {
  if (secrets.link !== null) await platform.endLink(secrets.link)
  secrets.link = null
}

/** Reads a link as evidence may hold it. */
export function lookAtLink(
  { direct, secrets, fingerprint }: DrillContext,
  link: ReconnectLink,
): SeenLink {
  const url = new URL(link.url)
  const state = url.searchParams.get('state')
  const named: readonly (readonly [string, Secret | null | undefined])[] = [
    ['client secret', direct.app.clientSecret],
    ['access token', secrets.old?.access],
    ['refresh token', secrets.old?.refresh],
  ]
  const decoded = decodeLink(link)
  const isIn = (secret: Secret | null | undefined) =>
    secret !== null && secret !== undefined && decoded.includes(secret.reveal())
  return {
    host: url.host,
    path: url.pathname,
    clientId: url.searchParams.get('client_id'),
    redirectUri: url.searchParams.get('redirect_uri'),
    state: state === null ? null : fingerprint(link.state),
    stateIsOurs: state === link.state.reveal(),
    pkce: url.searchParams.get('code_challenge_method') === 'S256',
    secrets: named.filter(([, secret]) => isIn(secret)).map(([name]) => name),
  }
}

function decodeLink({ url }: ReconnectLink): string {
  try {
    return decodeURIComponent(url)
  } catch {
    const { host } = new URL(url)
    throw new RescindError(
      'answer_invalid',
      `The reconnect link to ${host} has a "%" that begins no escaped byte, so that what is in it cannot be looked at: mend the address that the platform makes it from.`,
    )
  }
}

function judgeLink(seen: SeenLink, rules: DrillRules): Judgement {
  return failFirst(
    [
      !rules.consentHosts.includes(seen.host) &&
        `The link leads to ${seen.host}, which is not expected.`,
      seen.clientId !== rules.clientId && 'The link asks for another client.',
      seen.redirectUri !== rules.redirectUri && 'The link comes back to another callback.',
      seen.state === null && 'The link has no state: any page could finish it.',
      !seen.stateIsOurs && 'The state in the link is not the one of this flow.',
      rules.habits.usesPkce && !seen.pkce && 'The link does not use PKCE with S256.',
      seen.secrets.length > 0 && `The link carries a secret: ${seen.secrets.join(', ')}.`,
    ],
    `The link leads to ${seen.host}, and comes back to us.`,
  )
}

export interface SeenConsent {
  readonly how: string
  /** Null where nobody is asked to deny first, or that could not be done. */
  readonly denial: SeenDenial | null
  /** Why the denial could not be walked; null where it was, or need not be. */
  readonly notDenied: string | null
  readonly at: number
  readonly pages: number
  readonly code: string | null
  readonly error: string | null
  readonly stateMatches: boolean
  readonly screenshot: string | null
  /** The callback is served by another process, which applied the code. */
  readonly elsewhere: boolean
}

export interface SeenDenial {
  readonly error: string | null
  readonly applied: boolean
  /** What the platform said of the connection before the denial, and after it. */
  readonly before: string
  readonly state: string
}

/** Step 9: the owner says no, and then yes. */
export const consentStep: StepOf<SeenConsent> = {
  no: 9,
  name: 'Consent',
  act: 'Walk the consent: first to a denial, then to an approval, each from a link of its own.',
  passOnlyIf: 'The denial changes nothing; the approval brings one code, with our state.',
  async ask(context) {
    const { consent, secrets, clock, fingerprint } = context
    const denied = consent.canDeny ? await tryToDeny(context) : null
    const notDenied = typeof denied === 'string' ? denied : null
    const denial = typeof denied === 'string' ? null : denied
    const link = denial === null && secrets.link !== null ? secrets.link : await newLink(context)
    const visit = await visitWith(context, link, 'allow')
    secrets.callback = visit.callback
    // A person may say no where nobody is asked to: the platform has to know, or it waits for them.
    if (visit.callback?.error) await apply(context, link, visit.callback)
    return {
      how: consent.how,
      denial,
      notDenied,
      at: clock.now(),
      pages: visit.pages,
      code: visit.callback?.code ? fingerprint(visit.callback.code) : null,
      error: visit.callback?.error ?? null,
      stateMatches: visit.callback === null || visit.callback.state === link.state.reveal(),
      screenshot: visit.screenshot,
      elsewhere: visit.callback === null,
    }
  },
  judge: ({ denial, notDenied, code, error, stateMatches, elsewhere, how, pages }) =>
    failFirst(
      [
        notDenied !== null && `The denial could not be walked: ${notDenied}`,
        denial?.applied && 'A denial was taken for a consent.',
        denial !== null &&
          denial.state === 'connected' &&
          denial.before !== 'connected' &&
          'A denial made the platform say that it is connected.',
        denial !== null && denial.error === null && 'A denial came back without an error.',
        error !== null && `The consent was refused: ${error}.`,
        !elsewhere && code === null && 'No code came back.',
        !stateMatches && 'What came back carries another state.',
      ],
      elsewhere
        ? 'The person has been there; the callback was served elsewhere.'
        : `One code, with our state, by ${how} over ${formatCounted(pages, 'page')}.`,
    ),
}

/** @param again why it is asked for once more */
async function visitWith(
  context: DrillContext,
  link: ReconnectLink,
  decision: Decision,
  again?: string,
): Promise<ConsentVisit> {
  try {
    const visit = await context.consent.visit(link, decision, context.signal, again)
    context.keepOut(visit.callback?.code ?? null)
    return visit
  } catch (error) {
    // Nobody takes what would come by it now, and whoever goes on has a new one.
    await endLink(context)
    throw error
  }
}

/** A denial that leads nowhere fails the step, and does not stop what brings the connection back. */
async function tryToDeny(context: DrillContext): Promise<SeenDenial | string> {
  try {
    return await deny(context)
  } catch (error) {
    if (!isRescindError(error, 'consent_failed')) throw error
    return error.message
  }
}

async function deny(context: DrillContext): Promise<SeenDenial> {
  const { platform, secrets, signal } = context
  const link = secrets.link ?? (await newLink(context))
  const before = (await platform.snapshot(signal)).state
  const { callback } = await visitWith(context, link, 'deny')
  secrets.link = null
  const applied = callback === null ? false : (await apply(context, link, callback)).ok
  return {
    error: callback?.error ?? null,
    applied,
    before,
    state: (await platform.snapshot(signal)).state,
  }
}

/** A refusal of the platform's is an answer here, whichever way it says it. */
async function apply(
  { platform, signal }: DrillContext,
  link: ReconnectLink,
  callback: NonNullable<ConsentVisit['callback']>,
): Promise<Applied> {
  try {
    return await platform.applyCallback(link, callback, signal)
  } catch (error) {
    if (!isRescindError(error)) throw error
    return { ok: false, route: error.code, cause: null, mayBeTaken: true }
  }
}

export interface SeenEnable {
  readonly before: string
  readonly answer: string
  readonly after: string
}

/** Step 10: the hidden step of platforms that disable by themselves. */
export const enableStep: StepOf<SeenEnable> = {
  no: 10,
  name: 'Enable',
  act: 'Enable the connection, where the platform disabled it.',
  passOnlyIf: 'It is not disabled any more.',
  async ask(context) {
    const { platform, signal } = context
    const before = (await platform.snapshot(signal)).state
    const answer = await enable(context)
    return { before, answer, after: (await platform.snapshot(signal)).state }
  },
  judge({ before, answer, after }) {
    if (after === 'disabled') return fail('It is still disabled.')
    return pass(answer === 'enabled' ? `Enabled: it was ${before}.` : 'It was not disabled.')
  },
}

/** Each lock of the platform's is told: that it may have been lifted is on the disk before it can come again. */
async function enable(context: DrillContext): Promise<SeenEnable['answer']> {
  const { memory, platform, signal } = context
  const { locksLifted = 0 } = memory
  memory.locksLifted = locksLifted + 1
  context.save()
  const answer = await platform.enable(signal)
  if (answer === 'not_needed') memory.locksLifted = locksLifted
  return answer
}

/** Enables what is disabled once more; a refusal is an answer here, given by its code. */
export async function enableAgain(context: DrillContext): Promise<string> {
  const { platform, signal } = context
  try {
    const { state } = await platform.snapshot(signal)
    return state === 'disabled' ? await enable(context) : 'not_needed'
  } catch (error) {
    if (!isRescindError(error)) throw error
    return error.code
  }
}

export interface SeenApply {
  readonly tries: readonly {
    readonly route: string
    readonly ok: boolean
    readonly cause: string | null
  }[]
  readonly ok: boolean
  readonly elsewhere: SeenElsewhere | null
}

/** What the platform holds after another process had the callback. */
export interface SeenElsewhere {
  readonly isNew: boolean
  /** The provider's own word on it. */
  readonly direct: SeenProbe
}

/** Step 11: the code becomes the new grant. */
export const applyStep: StepOf<SeenApply> = {
  no: 11,
  name: 'Apply',
  act: 'Give the platform the code; if it refuses, a fresh code, by its other way.',
  passOnlyIf: 'It takes a code; which way worked is written down.',
  async ask(context) {
    const { memory, secrets, clock, signal } = context
    const tries: { route: string; ok: boolean; cause: string | null }[] = []
    if (secrets.callback === null) {
      const elsewhere = await lookElsewhere(context)
      const ok = elsewhere.isNew && elsewhere.direct.verdict === 'alive'
      if (ok) await becomeReconnected(context, 'callback served elsewhere')
      return { tries, ok, elsewhere }
    }
    for (let attempt = 1; attempt <= APPLY_TRIES_MAX; attempt += 1) {
      const { link, callback } = secrets
      if (link === null || callback === null) break
      // An answer that never comes may have brought a grant: that is on the disk before it is asked for.
      if (memory.codesLost > 0) await clock.sleep(GRANTS_APART_MS, signal)
      memory.codesLost += 1
      if (callback.code !== null) secrets.codes = [...secrets.codes, callback.code]
      context.save()
      const { ok, route, cause, why, mayBeTaken } = await apply(context, link, callback)
      tries.push({ route, ok, cause })
      if (ok) {
        memory.codesLost -= 1
        await becomeReconnected(context, route)
        return { tries, ok, elsewhere: null }
      }
      if (!mayBeTaken) memory.codesRefused = (memory.codesRefused ?? 0) + 1
      context.save()
      // A code is good for one try: the next way takes another.
      const again = why ?? `The platform did not take it (${cause ?? route}).`
      if (attempt < APPLY_TRIES_MAX) await consentAgain(context, again)
    }
    return { tries, ok: false, elsewhere: null }
  },
  judge({ ok, tries, elsewhere }) {
    if (elsewhere !== null) return judgeElsewhere(elsewhere)
    const ways = tries.map(({ route }) => route).join(', then ')
    return ok
      ? pass(`Applied by ${ways}.`)
      : fail(
          `The platform did not take the code (${ways}; ${tries.at(-1)?.cause ?? 'no cause given'}).`,
        )
  },
}

async function lookElsewhere(context: DrillContext): Promise<SeenElsewhere> {
  const { platform, secrets, fingerprint, signal } = context
  const { access, refresh } = await platform.tokens(signal)
  context.keepOut(access, refresh)
  const isNew = secrets.old === null || fingerprint(access) !== fingerprint(secrets.old.access)
  return { isNew, direct: await probeDirectly(context, access) }
}

function judgeElsewhere({ isNew, direct }: SeenElsewhere): Judgement {
  return failFirst(
    [
      !isNew && 'Nobody has been there: the platform holds the tokens of before.',
      direct.verdict !== 'alive' &&
        `The platform holds new tokens, and the provider does not take them (${direct.code ?? direct.status}).`,
    ],
    'The process that serves the callback applied the code.',
  )
}

/** Writes down that the connection has a new grant, and which one it is. */
export async function becomeReconnected(context: DrillContext, by: string): Promise<void> {
  const { memory } = context
  memory.appliedBy = by
  memory.reconnected = true
  memory.seenWell = false
  await claimGrant(context)
}

/** PATCH, then PUT: there are two ways. */
const APPLY_TRIES_MAX = 2

async function consentAgain(context: DrillContext, again: string): Promise<void> {
  const link = await newLink(context)
  context.secrets.callback = (await visitWith(context, link, 'allow', again)).callback
  // While its owner was away the platform may have disabled it again.
  await enableAgain(context)
}
