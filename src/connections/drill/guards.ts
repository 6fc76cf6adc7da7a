import { formatCounted } from '../../core/counts.ts'
import { isRescindError, RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import { isLoopback } from '../../core/url.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { missingScopes } from '../grant-change.ts'
import type { DrillContext, Mode } from './context.ts'
import { emulatorControl, isEmulator } from './emulator.ts'
import { callThrough, identityText, whoseGrant } from './look.ts'
import type { Platform, PlatformHabits } from './platform.ts'
import { mayBeDead } from './standing.ts'
import { countLive } from './steps/before.ts'
import { lookAtLink } from './steps/reconnect.ts'

/** A refusal; what ends with a command keeps its line to itself, so that it can be pasted. */
export function refusedBy(what: string, refusal: string, stands: string): RescindError {
  const gap = refusal.endsWith('.') ? ' ' : '\n'
  return new RescindError('drill_refused', `${what} ${refusal}${gap}${stands}`)
}

/** The tag without which nothing is ever drilled. */
export const DRILL_TAG = 'drill-target'
/** A reconnect may make one more token before the old one is gone, and one is left for a mistake. */
const LIVE_TOKENS_SPARE = 2

/** What a person says before a drill. */
export interface DrillPermission {
  readonly mode: Mode
  /** Provider users who may be drilled: `org/user`, or the user alone. */
  readonly allowedUsers: readonly string[]
  /** Who owns the connection and agreed; a canary in production needs it. */
  readonly ownerConsent: string | null
}

export interface GuardResult {
  readonly name: string
  readonly ok: boolean
  /** One sentence: what shows it, or why the drill does not begin. */
  readonly said: string
}

export interface Guard {
  readonly name: string
  /** What it asks may be another thing by then: it must hold as well when a drill is gone on with. */
  readonly again?: true
  check(context: DrillContext, permission: DrillPermission): Promise<Omit<GuardResult, 'name'>>
}

const good = (said: string) => ({ ok: true, said })
const bad = (said: string) => ({ ok: false, said })

/**
 * What must hold before anything is touched. Those that only look come first, and before all the mode: the
 * others may fail for what a drill that died left on, which is taken away where it is sure to be an emulator.
 */
export const GUARDS: readonly Guard[] = [
  {
    name: 'mode',
    again: true,
    async check(context, { mode, ownerConsent }) {
      const real = mode === 'simulated' ? await whyNotSimulated(context) : undefined
      if (real !== undefined) return bad(real)
      const agreed = ownerConsent?.trim() || null
      if (mode === 'canary' && agreed === null) {
        return bad(
          'A canary is drilled only with its owner’s consent: name who agreed with --owner-consent.',
        )
      }
      return good(
        agreed === null ? `The mode is ${mode}.` : `The mode is ${mode}; ${agreed} agreed.`,
      )
    },
  },
  {
    name: 'depth',
    async check({ rules: { depth, traits } }) {
      return depth === 'access' && traits.revokeAccess === 'grant'
        ? bad(
            'The provider ends the whole grant with an access token (revokeAccess: grant), and no refresh heals that: use --depth grant.',
          )
        : good(`The depth is ${depth}.`)
    },
  },
  {
    name: 'tagged',
    again: true,
    async check({ platform, signal }) {
      const { id, tags } = await platform.snapshot(signal)
      return tags.includes(DRILL_TAG)
        ? good(`The connection ${id} is tagged ${DRILL_TAG}.`)
        : bad(
            `The connection ${id} is not tagged ${DRILL_TAG}: only what was set apart for it is ever drilled.${howToTag(platform.habits, id)}`,
          )
    },
  },
  {
    name: 'provider',
    async check({ direct }) {
      const { ok, status } = await direct.way.control(direct.app, direct.means)
      const { host } = new URL(direct.app.url)
      return ok
        ? good(`${host} answers.`)
        : bad(
            `The provider ${host} is not well, or cannot be reached (${status ?? 'no answer'}): try again when it is.`,
          )
    },
  },
  {
    // With a token that nobody has: a refresh of the connection's own would change its state.
    name: 'client',
    async check({ platform, direct }) {
      const { way, app, means } = direct
      const { error } = await way.refresh(app, new Secret('asked-by-a-drill-of-rescind'), means)
      if (error !== null && CLIENT_REFUSED.test(error)) throw clientRefused(platform, error)
      return good('Our client is not refused.')
    },
  },
  {
    name: 'state',
    async check({ platform, signal }) {
      const { state } = await platform.snapshot(signal)
      return state === 'connected'
        ? good('It is connected, and nobody works on it.')
        : bad(`The connection is ${state}: a drill begins with one that is well.`)
    },
  },
  {
    // What merely ended is renewed by it: with what is dead, nothing below could be asked.
    name: 'works',
    async check(context) {
      const { ok, cause, status } = await callThrough(context, (on) => context.platform.call(on))
      return ok
        ? good('A call through the platform goes well.')
        : bad(
            `A call through the platform fails (${cause ?? status ?? 'no answer'}), though it says that the connection is well: bring it back first, then drill.`,
          )
    },
  },
  {
    name: 'user',
    again: true,
    async check(context, { allowedUsers }) {
      const { hurt, before } = context.memory
      const ours = before?.identity ?? null
      // A fault may have put somebody else there; of a dead connection nobody else may know it.
      const identity = (hurt && ours) ?? (await whoseGrant(context)) ?? ours
      const text = identityText(identity)
      if (ours !== null && text !== identityText(ours)) {
        return bad(
          `The connection holds a grant of the provider user ${text} now, and was drilled as ${identityText(ours)}.`,
        )
      }
      return isAllowed(identity, allowedUsers)
        ? good(`The provider user ${text} is on the list.`)
        : bad(
            `The provider user ${text ?? '(unknown)'} is not on the list of users who may be drilled: add it to drill.users in rescind.yaml.`,
          )
    },
  },
  { name: 'token budget', check: checkBudget },
  {
    name: 'own grant',
    again: true,
    async check({ platform, memory, signal }) {
      if (mayBeDead(memory)) return good('It was revoked before.')
      const { refresh } = await platform.tokens(signal)
      if (refresh === null)
        return bad('The connection has no refresh token: there is nothing to come back to.')
      const sharing = await platform.sharing(signal)
      return sharing.length === 0
        ? good('Nobody else lives on the same grant.')
        : bad(
            `The grant is shared with ${sharing.join(', ')}, which would die with it: drill one that has a grant of its own.`,
          )
    },
  },
  {
    name: 'way back',
    async check(context) {
      const { platform, rules, signal } = context
      const link = await platform.reconnectLink(signal)
      context.keepOut(link.state)
      await platform.endLink(link)
      const { host } = lookAtLink(context, link)
      const asked = new URL(link.url).searchParams.get('scope')?.split(/[\s,]+/)
      const { scopes } = await platform.snapshot(signal)
      const lost = asked === undefined ? [] : missingScopes(scopes, asked)
      if (lost.length > 0) {
        return bad(
          `The reconnect link asks for fewer scopes than the connection has (without ${lost.join(', ')}): the new grant would be refused. Mend the scopes of the app first.`,
        )
      }
      return rules.consentHosts.includes(host)
        ? good(`A reconnect link to ${host} is issued.`)
        : bad(
            `The reconnect link leads to ${host}, which is not expected: there would be no way back.`,
          )
    },
  },
  {
    // An app whose policy ends refresh tokens at once has a grant that no refresh survives.
    name: 'refresh policy',
    async check(context) {
      const { ok, cause, status } = await callThrough(context, (on) =>
        context.platform.forceRefresh(on),
      )
      // Some providers look at the token first.
      if (cause === 'our_client_refused') throw clientRefused(context.platform, cause)
      return ok
        ? good('A refresh works: the app’s policy does not end refresh tokens at once.')
        : bad(
            `A refresh does not work now (${cause ?? status ?? 'no answer'}): check the app’s refresh token policy.`,
          )
    },
  },
]

/** `invalid_client` (RFC 6749 section 5.2), and Salesforce's `invalid_client_id`. */
const CLIENT_REFUSED = /^invalid_client/

function clientRefused({ name }: Platform, error: string): RescindError {
  const where = name === 'rescind' ? 'app.clientSecret of the tenant' : 'apiSecret of the element'
  return new RescindError(
    'not_authenticated',
    `The provider refuses our client (${error}): its secret is wrong, or its id. Check ${where} in rescind.yaml.`,
  )
}

function howToTag({ tagCommand }: PlatformHabits, id: string): string {
  return tagCommand === null ? '' : ` Tag it: ${tagCommand} ${id} ${DRILL_TAG}`
}

/** A real server may have an address of this machine, as by a tunnel: it is asked whether it is an emulator. */
async function whyNotSimulated({ direct, lab }: DrillContext): Promise<string | undefined> {
  const { app, means } = direct
  const { host } = new URL(app.url)
  const not = (what: string) =>
    `A simulated drill takes an emulator on this machine, and ${what}: use --mode sandbox.`
  if (!isLoopback(new URL(app.url))) return not('the provider is elsewhere')
  const asked = [
    { what: `the provider ${host}`, control: emulatorControl(app.url, means.http) },
    ...(lab?.account ? [{ what: 'the account of Open Connectors', control: lab.account }] : []),
  ]
  for (const { what, control } of asked) {
    const is = await isEmulator(control)
    if (is === null) {
      return `Of ${what} it is not known whether it is an emulator, for it cannot be reached (no answer): try again when it is well.`
    }
    if (!is) return not(`${what} does not answer as one`)
  }
  return undefined
}

async function checkBudget(context: DrillContext) {
  const max = context.rules.traits.liveTokensMax
  if (max === null)
    return good('The provider is not known to limit the tokens of one user and app.')
  const count = await countLive(context)
  if (count === null) {
    return bad(
      `The provider keeps ${max} tokens of one user and app, and does not say how many there are, so that the drill could end somebody’s: check options.appName of the tenant’s app.`,
    )
  }
  return count <= max - LIVE_TOKENS_SPARE
    ? good(`${formatCounted(count, 'live token')}, of at most ${max}.`)
    : bad(
        `The user has ${formatCounted(count, 'live token')} of at most ${max} for this app, and ${LIVE_TOKENS_SPARE} must be free: one more consent could end the oldest. End at the provider what nobody needs, or drill as another user.`,
      )
}

function isAllowed(identity: Identity | null, allowed: readonly string[]): boolean {
  if (identity === null) return false
  return [identity.user, identity.name, identityText(identity)].some(
    (one) => one !== null && allowed.includes(one),
  )
}

/**
 * Checks all guards, in order, up to the first that does not hold; `again`, those that must hold as well
 * when a drill is gone on with. A guard that cannot be asked does not hold.
 *
 * @throws RescindError `not_authenticated` when our own credentials are refused
 * @param whenModeHolds is done before the others are asked
 */
export async function checkGuards(
  context: DrillContext,
  permission: DrillPermission,
  which: 'all' | 'again',
  whenModeHolds: () => Promise<void>,
): Promise<readonly GuardResult[]> {
  const results: GuardResult[] = []
  for (const { name, check } of GUARDS.filter(({ again }) => which === 'all' || again)) {
    const result = await check(context, permission).catch((error: unknown) => {
      if (!isRescindError(error) || error.code === 'not_authenticated') throw error
      return bad(error.message)
    })
    results.push({ name, ...result })
    if (!result.ok) break
    if (name === 'mode') await whenModeHolds()
  }
  return results
}

/** Returns the sentence of the guard that does not hold; undefined where all do. */
export function refusalOf(results: readonly GuardResult[]): string | undefined {
  return results.find(({ ok }) => !ok)?.said
}
