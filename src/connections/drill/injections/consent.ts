import { randomBytes } from 'node:crypto'
import { Secret } from '../../../core/secret.ts'
import { failFirst, skip } from '../step.ts'
import {
  applied,
  consentAndApply,
  kill,
  newLink,
  type Row,
  refusedConsent,
  settled,
  visit,
} from './row.ts'

/** What goes wrong when the owner consents. */
export const CONSENT_FAULTS: readonly Row[] = [
  {
    name: 'wrong-person',
    how: 'Another person consents at the link.',
    mustEnd: 'Refused: the grant is not kept.',
    only: 'vault',
    async run(context, { stranger }) {
      if (stranger === null) {
        return {
          seen: {},
          judgement: skip('No other person is known: add drill.consent.stranger to rescind.yaml.'),
        }
      }
      return refusedConsent(context, async (link) => visit(context, stranger, link))
    },
  },
  {
    name: 'fewer-scopes',
    how: 'The owner grants fewer scopes than before.',
    mustEnd: 'Refused: the grant is not kept.',
    only: 'vault',
    run: (context) =>
      refusedConsent(context, async (link) => {
        const url = new URL(link.url)
        const scopes = (url.searchParams.get('scope') ?? '').split(' ')
        url.searchParams.set('scope', scopes.filter((scope) => scope !== 'api').join(' '))
        return visit(context, context.consent, { ...link, url: url.href })
      }),
  },
  {
    name: 'owner-denies',
    how: 'The owner says no.',
    mustEnd: 'Nothing changes: the owner is still needed.',
    run: (context) =>
      refusedConsent(context, async (link) => {
        const { callback } = await context.consent.visit(link, 'deny', context.signal)
        return callback
      }),
  },
  {
    name: 'code-expired',
    how: 'The code that comes is one that the provider does not know any more.',
    mustEnd: 'Refused: the owner is still needed.',
    run: (context) =>
      refusedConsent(context, async ({ state }) => ({
        code: new Secret(`aPrx${randomBytes(30).toString('hex')}`),
        state: state.reveal(),
        error: null,
      })),
  },
  {
    name: 'state-forged',
    how: 'A good code comes with a state that nobody made.',
    mustEnd: 'Refused: the owner is still needed.',
    run: (context) =>
      refusedConsent(context, async (link) => {
        const callback = await visit(context, context.consent, link)
        return callback && { ...callback, state: 'forged' }
      }),
  },
  {
    name: 'code-replayed',
    how: 'A code that was used comes once more, with a good state.',
    mustEnd: 'Refused; what the first one brought stays.',
    async run(context) {
      await kill(context)
      const first = await consentAndApply(context)
      const link = await newLink(context)
      const second = await applied(context, link, {
        code: first.callback?.code ?? null,
        state: link.state.reveal(),
        error: null,
      })
      const after = await settled(context)
      const judgement = failFirst(
        [
          !first.applied.ok && 'The first use was refused.',
          second.ok && 'The code was taken twice.',
          !after.call?.ok && 'What the first one brought is gone.',
        ],
        `Refused (${second.route}), and the connection is well.`,
      )
      return { seen: { first: first.applied, second, after }, judgement }
    },
  },
  {
    name: 'callback-twice',
    how: 'The same callback comes twice.',
    mustEnd: 'The second is refused; what the first one brought stays.',
    only: 'vault',
    async run(context) {
      await kill(context)
      const first = await consentAndApply(context)
      const second = await applied(context, first.link, first.callback)
      const after = await settled(context)
      const judgement = failFirst(
        [
          !first.applied.ok && 'The first was refused.',
          second.ok && 'It was taken twice.',
          !after.call?.ok && 'What the first one brought is gone.',
        ],
        `The second is refused (${second.route}), and the connection is well.`,
      )
      return { seen: { first: first.applied, second, after }, judgement }
    },
  },
]
