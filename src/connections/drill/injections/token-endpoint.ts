import type { HeldToken } from '../../../providers/connection-way.ts'
import { callThrough, countRefreshes, mostOf } from '../look.ts'
import { failFirst, skip } from '../step.ts'
import {
  grantAnew,
  judgeDead,
  look,
  NEEDS_OWNER,
  onToken,
  type Row,
  revokeAccess,
  settled,
} from './row.ts'

/** Salesforce keeps five approvals of one user and app: so many more end the oldest. */
const MORE_GRANTS = 5

const HEALS = 'Never taken for dead: nobody is asked, and it works again when the fault is over.'

/** Trouble at the token endpoint that says nothing of the grant. */
function transient(name: string, how: string, faults: readonly object[]): Row {
  return {
    name,
    how,
    mustEnd: HEALS,
    async run(context, { provider }) {
      await revokeAccess(context)
      await provider.tell('faults', faults)
      const during = await look(context)
      await provider.tell('faults', [])
      const after = await settled(context)
      const judgement = failFirst(
        [
          NEEDS_OWNER.includes(during.state) &&
            `It was taken for dead: ${during.state} (${during.call?.cause ?? 'no cause'}).`,
          !after.call?.ok &&
            `It does not work after the fault is over (${after.call?.cause ?? after.state}).`,
        ],
        `${during.state} while it lasted (${during.call?.ok ? 'and calls went well' : (during.call?.cause ?? 'no cause')}), well after it.`,
      )
      return { seen: { during, after }, judgement }
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
    'The token endpoint is silent, and cuts the connection.',
    onToken('reset_before_effect'),
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
    ),
    mustEnd: 'Our own fault: the owner is never asked to reconnect for it.',
  },
  {
    name: 'lost-response-after-rotation',
    how: 'The connection breaks after the token endpoint has acted.',
    mustEnd:
      'Without rotation it heals. With it the new token is lost: the owner is asked, and the old token is never presented again.',
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
      await provider.tell('faults', onToken('reset_after_effect'))
      const during = await look(context)
      await provider.tell('faults', [])
      const since = context.clock.now()
      const after = await settled(context, isLost ? 'dead' : 'well')
      const more = mostOf(await countRefreshes(context, since)) ?? 0
      const judgement = isLost
        ? failFirst(
            [
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
            [!after.call?.ok && `It does not heal (${after.call?.cause ?? after.state}).`],
            'It healed by itself.',
          )
      return { seen: { during, after, presentedAgain: more }, judgement }
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
      const call = await callThrough(context, (on) => context.platform.forceRefresh(on))
      const after = await context.platform.tokens()
      const isKept = before.refresh?.reveal() === after.refresh?.reveal()
      const judgement = failFirst(
        [
          !call.ok && 'The refresh fails.',
          after.refresh === null && 'The refresh token is gone.',
          !isKept && 'The refresh token is another.',
        ],
        'The old refresh token stayed.',
      )
      return { seen: { call, isKept }, judgement }
    },
  },
  {
    name: 'refresh-with-scope',
    how: 'The provider refuses a refresh that names scopes, as Salesforce does.',
    mustEnd: 'None are named: the refresh works.',
    async run(context) {
      const call = await callThrough(context, (on) => context.platform.forceRefresh(on))
      const judgement = failFirst(
        [!call.ok && `The refresh fails (${call.cause}).`],
        'The refresh named no scopes.',
      )
      return { seen: { call }, judgement }
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
      const grants: HeldToken[] = []
      for (let count = 0; count < MORE_GRANTS; count += 1) grants.push(await grantAnew(context))
      const after = await settled(context, 'dead')
      for (const grant of grants)
        await context.direct.way.revoke(context.direct.app, grant, context.direct.means)
      return { seen: { after }, judgement: judgeDead(after) }
    },
  },
]
