import { formatCounted } from '../../../core/counts.ts'
import type { HeldToken } from '../../../providers/connection-way.ts'
import type { CauseCode } from '../../connection.ts'
import type { DrillContext } from '../context.ts'
import { underFaults } from '../emulator.ts'
import { callThrough, countRefreshes, mostOf, probeDirectly } from '../look.ts'
import { fail, failFirst, skip } from '../step.ts'
import { countLive } from '../steps/before.ts'
import {
  grantAnew,
  ifRotated,
  judgeDead,
  look,
  missed,
  NEEDS_OWNER,
  noticesFromNow,
  onToken,
  type Row,
  revokeAccess,
  settled,
} from './row.ts'

/** Salesforce keeps five approvals of one user and app: so many more end the oldest. */
const MORE_GRANTS = 5

const HEALS = 'Never taken for dead: nobody is asked, and it works again when the fault is over.'

/** Causes that only a dead grant has. */
const DEAD: readonly (string | null | undefined)[] = ['revoked_or_expired', 'rotated_token_lost']
/** An emulated platform waits so long for the provider; in earnest, none says how long. */
const SIMULATED_TIMEOUT_MS = 1_000

/**
 * Trouble at the token endpoint that says nothing of the grant.
 *
 * @param cause what it is, where it must be known for that and no other
 */
function transient(name: string, how: string, faults: readonly object[], cause?: CauseCode): Row {
  return {
    name,
    how,
    mustEnd: HEALS,
    async run(context, { provider, account }) {
      const { deathNotices } = context.rules.habits
      const noticed = await noticesFromNow(context)
      await account?.tell('switches', { providerTimeoutMs: SIMULATED_TIMEOUT_MS })
      await revokeAccess(context)
      const { outcome: during, struck } = await underFaults(provider, faults, () => look(context))
      const after = await settled(context)
      const told = (await noticed()).filter(({ kind }) => deathNotices.includes(kind)).length
      const { call, state } = during
      const judgement = failFirst(
        [
          missed(struck),
          (NEEDS_OWNER.includes(state) || DEAD.includes(call?.cause)) &&
            `It was taken for dead: ${state} (${call?.cause ?? 'no cause'}).`,
          cause !== undefined &&
            call?.cause !== cause &&
            `The cause is ${call?.cause ?? 'none'}, and not ${cause}.`,
          !after.call?.ok &&
            `It does not work after the fault is over (${after.call?.cause ?? after.state}).`,
          told > 0 && `The owner was told of it: ${formatCounted(told, 'notice')}.`,
        ],
        `${state} while it lasted (${call?.ok ? 'and calls went well' : (call?.cause ?? 'no cause')}), well after it.`,
      )
      return { seen: { struck, during, after, told }, judgement }
    },
  }
}

/** What goes wrong at the provider. */
export const PROVIDER_FAULTS: readonly Row[] = [
  transient(
    'provider-5xx',
    'The token endpoint answers 500 once.',
    onToken('error_500_before_effect'),
  ),
  transient(
    'provider-timeout',
    'The token endpoint is silent once, for longer than it is waited for.',
    onToken('hang_before_effect'),
  ),
  transient(
    'rate-limited-429',
    'The token endpoint answers 429 once.',
    onToken('too_many_429', { retryAfterS: 1 }),
  ),
  transient('forbidden-403', 'The token endpoint answers 403 once.', onToken('forbidden_403')),
  transient(
    'html-error-page',
    'The token endpoint shows a web page with 200 once.',
    onToken('html_200'),
  ),
  transient(
    'error-in-200',
    'The token endpoint answers 200 with an error inside once.',
    onToken('error_in_200'),
  ),
  transient(
    'malformed-200',
    'The token endpoint answers 200 with half a JSON once.',
    onToken('malformed_200'),
  ),
  transient(
    'no-access-token-200',
    'The token endpoint answers 200 without a token once.',
    onToken('empty_200'),
  ),
  {
    ...transient(
      'invalid-client',
      'The token endpoint answers invalid_client once.',
      onToken('invalid_client_401'),
      'our_client_refused',
    ),
    mustEnd: 'Our own fault: the owner is never asked to reconnect for it.',
  },
  {
    name: 'lost-response-after-rotation',
    how: 'The connection breaks after the token endpoint has acted.',
    mustEnd:
      'Without rotation it heals. With it the new token is lost: the owner is asked, and the old token is never presented again.',
    leaves: ifRotated,
    async run(context, { provider, vault }) {
      const { rotation, replayKills } = context.rules.traits
      const isLost = rotation !== 'never' && replayKills
      if (isLost && vault === null) {
        return {
          seen: {},
          judgement: skip(
            'What the platform does with a rotated token that it never got is not documented.',
          ),
        }
      }
      await revokeAccess(context)
      const { outcome: during, struck } = await underFaults(
        provider,
        onToken('reset_after_effect'),
        () => look(context),
      )
      const since = context.clock.now()
      const after = await settled(context, isLost ? 'told' : 'well')
      const more = mostOf(await countRefreshes(context, since)) ?? 0
      const judgement = isLost
        ? failFirst(
            [
              missed(struck),
              after.call?.ok && 'It goes on as if nothing were lost.',
              after.state !== 'reconnect_needed' &&
                `The platform says ${after.state}, and not that the owner is needed.`,
              after.call?.cause !== 'rotated_token_lost' &&
                `The cause is ${after.call?.cause}, and not that a token was lost.`,
              more > 0 && `The old token was presented ${more} times more.`,
            ],
            'The owner is asked: the rotated token is lost, and the old one was not presented again.',
          )
        : failFirst(
            [
              missed(struck),
              !after.call?.ok && `It does not heal (${after.call?.cause ?? after.state}).`,
            ],
            'It healed by itself.',
          )
      return { seen: { struck, during, after, presentedAgain: more }, judgement }
    },
  },
  {
    name: 'omitted-refresh-token',
    how: 'The provider’s answer to a refresh holds no refresh token, as it is where nothing rotates.',
    mustEnd: 'The old one stays.',
    async run(context) {
      if (context.rules.traits.rotation !== 'never') {
        return { seen: {}, judgement: skip('The app rotates: each answer has a refresh token.') }
      }
      const before = await context.platform.tokens()
      const { call, refreshes } = await refreshOnce(context)
      const after = await context.platform.tokens()
      context.keepOut(before.access, before.refresh, after.access, after.refresh)
      const isKept = before.refresh?.reveal() === after.refresh?.reveal()
      const judgement = failFirst(
        [
          !call.ok && 'The refresh fails.',
          refreshes === 0 && NO_REFRESH,
          after.access.reveal() === before.access.reveal() && 'The refresh brought no new token.',
          after.refresh === null && 'The refresh token is gone.',
          !isKept && 'The refresh token is another.',
        ],
        'The old refresh token stayed.',
      )
      return { seen: { call, refreshes, isKept }, judgement }
    },
  },
  {
    name: 'refresh-with-scope',
    how: 'The provider refuses a refresh that names scopes, as Salesforce does.',
    mustEnd: 'None are named: the refresh works.',
    async run(context) {
      const { call, refreshes } = await refreshOnce(context)
      const judgement = failFirst(
        [!call.ok && `The refresh fails (${call.cause}).`, refreshes === 0 && NO_REFRESH],
        'The refresh named no scopes.',
      )
      return { seen: { call, refreshes }, judgement }
    },
  },
  {
    name: 'token-limit-eviction',
    how: `The same user approves the app ${MORE_GRANTS} times more: the provider ends the oldest grant.`,
    mustEnd: 'Noticed as dead; the owner is asked.',
    async run(context) {
      if (context.rules.traits.liveTokensMax === null) {
        return { seen: {}, judgement: skip('The provider is not known to limit tokens.') }
      }
      // The provider ends the oldest, whosever they are: another connection's would die with it.
      const live = await countLive(context)
      if (live !== 1) return { seen: { live }, judgement: skip(whyNotEvicted(live)) }
      const { access } = await context.platform.tokens()
      context.keepOut(access)
      const grants: HeldToken[] = []
      for (let count = 0; count < MORE_GRANTS; count += 1) grants.push(await grantAnew(context))
      const oldest = await probeDirectly(context, access)
      const after = await settled(context, 'told')
      for (const grant of grants)
        await context.direct.way.revoke(context.direct.app, grant, context.direct.means)
      const judgement =
        oldest.verdict === 'dead'
          ? judgeDead(after)
          : fail(`The fault did not strike: the oldest grant is ${oldest.verdict} at the provider.`)
      return { seen: { oldest, after }, judgement }
    },
  },
]

function whyNotEvicted(live: number | null): string {
  if (live === null) {
    return 'The provider cannot say whether the user and the app have other grants, which would be evicted.'
  }
  return `${formatCounted(live - 1, 'other grant')} of this user and app would be evicted.`
}

const NO_REFRESH = 'The fault did not strike: no refresh reached the provider.'

async function refreshOnce(context: DrillContext) {
  const since = context.clock.now()
  const call = await callThrough(context, (on) => context.platform.forceRefresh(on))
  return { call, refreshes: mostOf(await countRefreshes(context, since)) }
}
