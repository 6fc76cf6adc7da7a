import { callThrough, until } from '../look.ts'
import { failFirst } from '../step.ts'
import { CALL_MS, consentAndApply, kill, need, type Row, settled } from './row.ts'

/** What goes wrong on the platform, where that is Open Connectors. */
export const ACCOUNT_FAULTS: readonly Row[] = [
  {
    name: 'five-failures',
    how: 'The grant is dead, and the platform refreshes until it gives up.',
    mustEnd: 'Disabled, with one mail; enabling and a new grant bring it back.',
    only: 'account',
    async run(context) {
      const since = context.clock.now()
      await kill(context)
      await callThrough(context, (on) => context.platform.call(on))
      await context.platform.scheduledCheck(context.signal)
      const during = await until(
        context,
        { ms: context.rules.limits.detectMs, everyMs: CALL_MS },
        () => context.platform.snapshot(),
        ({ state }) => state === 'disabled',
      )
      const mails = (await context.platform.notices(since)).filter(
        ({ kind }) => kind === 'disabled',
      ).length
      const enabled = await context.platform.enable(context.signal)
      const again = await consentAndApply(context)
      const after = await settled(context)
      const judgement = failFirst(
        [
          during.state !== 'disabled' && `It is ${during.state}.`,
          mails !== 1 && `${mails} mails came.`,
          enabled !== 'enabled' && 'It could not be enabled.',
          !again.applied.ok && 'The code was refused.',
          !after.call?.ok && 'It does not work afterwards.',
        ],
        'Disabled with one mail, enabled, and well again.',
      )
      return {
        seen: { state: during.state, mails, enabled, applied: again.applied, after },
        judgement,
      }
    },
  },
  {
    name: 'masked-secret-in-put',
    how: 'The platform shows secrets masked and stores what it is sent; PATCH fails, so that PUT must do it.',
    mustEnd: 'The mask is never sent back: refreshes work after the PUT.',
    only: 'account',
    async run(context, { account }) {
      const control = need(account)
      await kill(context)
      await control.tell('switches', { secretsInAnswers: 'masked', maskedEcho: 'stored' })
      await control.tell('faults', [{ kind: 'error_500_before_effect', on: 'patch' }])
      await context.platform.enable(context.signal)
      const patch = await consentAndApply(context)
      const put = patch.applied.ok ? patch : await consentAndApply(context)
      await control.tell('faults', [])
      const refresh = await callThrough(context, (on) => context.platform.forceRefresh(on))
      await control.tell('switches', { secretsInAnswers: 'clear' })
      const judgement = failFirst(
        [
          !put.applied.ok && `The code was refused (${put.applied.route}).`,
          put.applied.route !== 'PUT' && `It went by ${put.applied.route}.`,
          !refresh.ok && 'The refresh after it fails: the mask was stored.',
        ],
        'Applied by PUT with the real secret: a refresh works.',
      )
      return { seen: { first: patch.applied, second: put.applied, refresh }, judgement }
    },
  },
  {
    name: 'second-page',
    how: 'The platform lists one instance a page.',
    mustEnd: 'All others are seen.',
    only: 'account',
    async run(context, { account }) {
      const before = (await context.platform.others()).length
      await need(account).tell('switches', { pageSize: 1 })
      const paged = (await context.platform.others()).length
      await need(account).tell('switches', { pageSize: 200 })
      const judgement = failFirst(
        [paged !== before && `${paged} of ${before} others are seen.`],
        `All ${before} others are seen.`,
      )
      return { seen: { before, paged }, judgement }
    },
  },
  {
    name: 'platform-refuses-us',
    how: 'The platform answers 401 to all, as after a reset of its secrets.',
    mustEnd: 'Our own fault: not the provider’s, and the owner is never asked.',
    only: 'account',
    async run(context, { account }) {
      await need(account).tell('faults', [{ kind: 'unauthorized_401', on: 'any' }])
      const call = await callThrough(context, (on) => context.platform.call(on))
      await need(account).tell('faults', [])
      const after = await settled(context)
      const judgement = failFirst(
        [
          call.ok && 'The call went well.',
          call.providerRefused && 'The provider is blamed.',
          call.cause === 'revoked_or_expired' && 'The grant is taken for dead.',
          !after.call?.ok && 'It does not work afterwards.',
        ],
        `The cause is ${call.cause}, and it is well afterwards.`,
      )
      return { seen: { call, after }, judgement }
    },
  },
]
