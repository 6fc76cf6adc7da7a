import { formatCounted } from '../../../core/counts.ts'
import { type EmulatorControl, underFaults } from '../emulator.ts'
import { callThrough, countRefreshes, mostOf, until } from '../look.ts'
import { failFirst, skip } from '../step.ts'
import {
  CALL_MS,
  consentAndApply,
  kill,
  missed,
  need,
  noticesFromNow,
  type Row,
  settled,
} from './row.ts'

const OF_ACCOUNT = { where: 'account', why: 'It is a fault of Open Connectors alone.' } as const

/** What goes wrong on the platform, where that is Open Connectors. */
export const ACCOUNT_FAULTS: readonly Row[] = [
  {
    name: 'five-failures',
    how: 'The grant is dead, and the platform refreshes until it gives up.',
    mustEnd: 'Disabled, with one mail; enabling and a new grant bring it back.',
    only: OF_ACCOUNT,
    async run(context) {
      const since = context.clock.now()
      const noticed = await noticesFromNow(context)
      await kill(context)
      await callThrough(context, (on) => context.platform.call(on))
      await context.platform.scheduledCheck(context.signal)
      const during = await until(
        context,
        { ms: context.rules.limits.detectMs, everyMs: CALL_MS },
        () => context.platform.snapshot(),
        ({ state }) => state === 'disabled',
      )
      const mails = (await noticed()).filter(({ kind }) => kind === 'disabled').length
      const refreshes = mostOf(await countRefreshes(context, since))
      const { refreshAttemptsMax } = context.rules.habits
      const enabled = await context.platform.enable(context.signal)
      const again = await consentAndApply(context)
      const after = await settled(context)
      const judgement = failFirst(
        [
          during.state !== 'disabled' && `It is ${during.state}.`,
          refreshes !== refreshAttemptsMax &&
            `${refreshes} refreshes reached the provider, and not ${refreshAttemptsMax}.`,
          mails !== 1 && `${mails} mails came.`,
          enabled !== 'enabled' && 'It could not be enabled.',
          !again.applied.ok && 'The code was refused.',
          !after.call?.ok && 'It does not work afterwards.',
        ],
        'Disabled with one mail, enabled, and well again.',
      )
      return {
        seen: { state: during.state, mails, refreshes, enabled, applied: again.applied, after },
        judgement,
      }
    },
  },
  {
    name: 'masked-secret-in-put',
    how: 'The platform shows secrets masked and stores what it is sent; PATCH fails, so that PUT must do it.',
    mustEnd: 'The mask is never sent back: refreshes work after the PUT.',
    only: OF_ACCOUNT,
    async run(context, { account }) {
      const control = need(account)
      await kill(context)
      await control.tell('switches', { secretsInAnswers: 'masked', maskedEcho: 'stored' })
      const fault = { kind: 'error_500_before_effect', on: 'patch' }
      const { outcome, struck } = await underFaults(control, [fault], async () => {
        await context.platform.enable(context.signal)
        const patch = await consentAndApply(context)
        return { patch, put: patch.applied.ok ? patch : await consentAndApply(context) }
      })
      const { patch, put } = outcome
      const since = context.clock.now()
      const refresh = await callThrough(context, (on) => context.platform.forceRefresh(on))
      const refreshes = mostOf(await countRefreshes(context, since))
      await control.tell('calm', {})
      const judgement = failFirst(
        [
          // Who goes by PUT alone has nothing to patch.
          patch.applied.route === 'PATCH' && missed(struck),
          !put.applied.ok && `The code was refused (${put.applied.route}).`,
          put.applied.route !== 'PUT' && `It went by ${put.applied.route}.`,
          !refresh.ok && 'The refresh after it fails: the mask was stored.',
          refreshes === 0 && 'No refresh reached the provider.',
        ],
        'Applied by PUT with the real secret: a refresh works.',
      )
      return {
        seen: { first: patch.applied, second: put.applied, struck, refresh, refreshes },
        judgement,
      }
    },
  },
  {
    name: 'second-page',
    how: 'The platform lists one instance a page.',
    mustEnd: 'All others are seen.',
    only: OF_ACCOUNT,
    async run(context, { account }) {
      const control = need(account)
      const { instances } = await control.ask<{ instances: number }>('counts')
      const others = instances - 1
      if (others === 0) {
        const why = 'The account has no other instance: none lies on a second page.'
        return { seen: { others }, judgement: skip(why) }
      }
      await control.tell('switches', { pageSize: 1 })
      const before = await listed(control)
      const paged = (await context.platform.others()).length
      const pages = (await listed(control)) - before
      await control.tell('calm', {})
      const judgement = failFirst(
        [
          paged !== others && `${paged} of ${others} others are seen.`,
          pages < instances && `${formatCounted(pages, 'page')} of ${instances} were asked for.`,
        ],
        `All others are seen: ${others}.`,
      )
      return { seen: { others, paged, pages }, judgement }
    },
  },
  {
    name: 'platform-refuses-us',
    how: 'The platform answers 401 to all, as after a reset of its secrets.',
    mustEnd: 'Our own fault: not the provider’s, and the owner is never asked.',
    only: OF_ACCOUNT,
    async run(context, { account }) {
      const fault = { kind: 'unauthorized_401', on: 'any' }
      const { outcome: call, struck } = await underFaults(need(account), [fault], () =>
        callThrough(context, (on) => context.platform.call(on)),
      )
      const after = await settled(context)
      const judgement = failFirst(
        [
          missed(struck),
          call.ok && 'The call went well.',
          call.providerRefused && 'The provider is blamed.',
          call.cause === 'revoked_or_expired' && 'The grant is taken for dead.',
          call.cause !== 'our_client_refused' &&
            `The cause is ${call.cause}, and not our own fault.`,
          !after.call?.ok && 'It does not work afterwards.',
        ],
        `The cause is ${call.cause}, and it is well afterwards.`,
      )
      return { seen: { call, struck, after }, judgement }
    },
  },
]

/** How many pages of the list of instances were ever asked for. */
async function listed(control: EmulatorControl): Promise<number> {
  const { counters } = await control.ask<{ counters: Record<string, number> }>('requests')
  return counters.list ?? 0
}
