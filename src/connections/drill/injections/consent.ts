import { codesPresented } from '../emulator.ts'
import type { ReconnectLink } from '../platform.ts'
import { failFirst, skip } from '../step.ts'
import {
  applied,
  consentAndApply,
  kill,
  newLink,
  type Row,
  refusalText,
  refusedConsent,
  refusedElse,
  settled,
  visit,
} from './row.ts'

/** Longer than any code lives: RFC 6749 section 4.1.2 advises ten minutes at most. */
const HOUR_MS = 3_600_000
/** What our vault, and Open Connectors, say of a code that the provider refuses. */
const CODE_REFUSED = [
  'code_refused, revoked_or_expired',
  'PATCH, malformed_answer',
  'PUT, malformed_answer',
]
const USED = ['used']
const NOT_USED =
  'Refused: the grant is not kept, or the connection disabled where the platform has taken it.'

/** What goes wrong when the owner consents. */
export const CONSENT_FAULTS: readonly Row[] = [
  {
    name: 'wrong-person',
    how: 'Another person consents at the link.',
    mustEnd: NOT_USED,
    async run(context, lab) {
      const { stranger } = lab
      if (stranger === null) {
        return {
          seen: {},
          judgement: skip('No other person is known: add drill.consent.stranger to rescind.yaml.'),
        }
      }
      const come = (link: ReconnectLink) => visit(context, stranger, link)
      return refusedConsent(context, lab, {
        ...{ as: ['changed, identity_changed'], isCompared: true, come },
      })
    },
  },
  {
    name: 'fewer-scopes',
    how: 'The owner grants fewer scopes than before.',
    mustEnd: NOT_USED,
    // Elsewhere the grant that is refused is not revoked, for the connection of the same person might die of it.
    leaves: ({ grantsApart }) => (grantsApart ? 0 : 1),
    run: (context, lab) =>
      refusedConsent(context, lab, {
        as: ['changed, scopes_lost'],
        isCompared: true,
        come(link) {
          const url = new URL(link.url)
          const scopes = (url.searchParams.get('scope') ?? '').split(' ')
          url.searchParams.set('scope', scopes.filter((scope) => scope !== 'api').join(' '))
          return visit(context, context.consent, { ...link, url: url.href })
        },
      }),
  },
  {
    name: 'owner-denies',
    how: 'The owner says no.',
    mustEnd: 'Nothing changes: the owner is still needed.',
    async run(context, lab) {
      const { consent, signal } = context
      if (!consent.canDeny) {
        return { seen: {}, judgement: skip('A person is not asked to say no: use --consent form.') }
      }
      return refusedConsent(context, lab, {
        as: ['denied, by_owner', 'callback, by_owner'],
        isPresented: false,
        come: async (link) => (await consent.visit(link, 'deny', signal)).callback,
      })
    },
  },
  {
    name: 'code-expired',
    how: 'The code comes when its time is up.',
    mustEnd: 'The provider refuses it: the owner is still needed.',
    run: (context, lab) =>
      refusedConsent(context, lab, {
        as: CODE_REFUSED,
        isPresented: true,
        async come(link) {
          const callback = await visit(context, context.consent, link)
          await lab.provider.tell('age-codes', { ms: HOUR_MS })
          return callback
        },
      }),
  },
  {
    name: 'state-forged',
    how: 'A good code comes with a state that nobody made.',
    mustEnd: 'Refused: the owner is still needed.',
    run: (context, lab) =>
      refusedConsent(context, lab, {
        as: ['forged', 'reconnect_refused'],
        isPresented: false,
        async come(link) {
          const callback = await visit(context, context.consent, link)
          return callback && { ...callback, state: 'forged' }
        },
      }),
  },
  {
    name: 'code-replayed',
    how: 'A code that was used comes once more, with a good state.',
    mustEnd: 'Refused; what the first one brought stays.',
    async run(context, { provider }) {
      await kill(context)
      const first = await consentAndApply(context)
      const link = await newLink(context)
      const since = context.clock.now()
      const second = await applied(context, link, {
        code: first.callback?.code ?? null,
        state: link.state.reveal(),
        error: null,
        iss: first.callback?.iss ?? null,
      })
      const presented = await codesPresented(provider, since)
      const after = await settled(context)
      const judgement = failFirst(
        [
          !first.applied.ok && 'The first use was refused.',
          second.ok && 'The code was taken twice.',
          presented.length === 0 && 'The code was not presented again: the fault did not strike.',
          !CODE_REFUSED.includes(refusalText(second)) && refusedElse(second, CODE_REFUSED),
          !after.call?.ok && 'What the first one brought is gone.',
        ],
        `Refused (${second.route}), and the connection is well.`,
      )
      return { seen: { first: first.applied, second, presented, after }, judgement }
    },
  },
  {
    name: 'callback-twice',
    how: 'The same callback comes twice.',
    mustEnd: 'The second is refused; what the first one brought stays.',
    async run(context, { vault }) {
      // Who keeps no list of states has the provider refuse the code.
      const as = vault === null ? CODE_REFUSED : USED
      await kill(context)
      const first = await consentAndApply(context)
      const second = await applied(context, first.link, first.callback)
      const after = await settled(context)
      const judgement = failFirst(
        [
          !first.applied.ok && 'The first was refused.',
          second.ok && 'It was taken twice.',
          !as.includes(refusalText(second)) && refusedElse(second, as),
          !after.call?.ok && 'What the first one brought is gone.',
        ],
        `The second is refused (${second.route}), and the connection is well.`,
      )
      return { seen: { first: first.applied, second, after }, judgement }
    },
  },
]
