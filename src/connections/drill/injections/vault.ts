import { formatCounted } from '../../../core/counts.ts'
import { underFaults } from '../emulator.ts'
import { countRefreshes, mostOf, until } from '../look.ts'
import type { Notice } from '../platform.ts'
import { failFirst } from '../step.ts'
import {
  attempt,
  CALL_MS,
  ifRotated,
  judgeDead,
  kill,
  look,
  missed,
  NEEDS_OWNER,
  need,
  noticesFromNow,
  onToken,
  type Row,
  revokeAccess,
  settled,
} from './row.ts'

const HOUR_MS = 3_600_000
const PARALLEL = 8
/** A receiver that was down is tried again after one to two seconds. */
const RETRY_MS_MAX = 15_000
const FIRST_RETRY_MS_MAX = 3_000
/** Beyond this a second notice of one death would not come by itself. */
const AGAIN_MS = 500

/** What goes wrong in our own vault. */
export const VAULT_FAULTS: readonly Row[] = [
  {
    name: 'store-write-fails',
    how: 'New tokens cannot be written, four times in a row.',
    mustEnd:
      'It fails closed: no token is given out, it is not shown as well; and it is well when writes work again.',
    only: {
      where: 'vault',
      why: 'The platform’s store is its own: no call lets a write of it fail.',
    },
    async run(context, { vault }) {
      const lab = need(vault)
      await revokeAccess(context)
      const before = lab.failedWrites()
      lab.failWrites(true)
      const during = await look(context)
      lab.failWrites(false)
      const struck = lab.failedWrites() - before
      const after = await settled(context)
      const judgement = failFirst(
        [
          missed(struck),
          during.call?.ok && 'A token that is not stored was given out.',
          during.state === 'connected' && 'It is shown as well, though its tokens are not stored.',
          NEEDS_OWNER.includes(during.state) &&
            `The owner is asked (${during.state}), though the tokens are there.`,
          !after.call?.ok &&
            `It is not well after writes work again (${after.call?.cause ?? after.state}).`,
        ],
        `${during.state} while nothing could be written, and well after.`,
      )
      return { seen: { struck, during, after }, judgement }
    },
  },
  {
    name: 'crash-before-commit',
    how: 'A process dies after its refresh was answered, before the tokens are written.',
    mustEnd:
      'Never a lost token that is shown as well: without rotation it heals, with it the owner is asked.',
    leaves: ifRotated,
    only: {
      where: 'vault',
      why: 'The platform’s processes are its own: none can be ended between an answer and its write.',
    },
    async run(context, { vault }) {
      const lab = need(vault)
      await revokeAccess(context)
      const since = context.clock.now()
      const hasDied = !(await attempt(() => lab.another({ isDying: true }).renew(lab.connection)))
      const refreshes = mostOf(await countRefreshes(context, since))
      const { state } = await context.platform.snapshot()
      const { rotation, replayKills } = context.rules.traits
      const isLost = rotation !== 'never' && replayKills
      const after = await settled(context, isLost ? 'told' : 'well')
      const judgement = failFirst(
        [
          (!hasDied || refreshes === 0) &&
            'The fault did not strike: no process died after its refresh was answered.',
          state === 'connected' && 'It is shown as well right after.',
          isLost &&
            !NEEDS_OWNER.includes(after.state) &&
            `The platform says ${after.state}, and not that the owner is needed.`,
          isLost &&
            after.call?.cause !== 'rotated_token_lost' &&
            `The cause is ${after.call?.cause ?? 'none'}, and not that a token was lost.`,
          !isLost && !after.call?.ok && `It does not heal (${after.call?.cause ?? after.state}).`,
        ],
        isLost
          ? 'The owner is asked: the rotated token went with the process.'
          : 'The next one refreshed anew.',
      )
      return { seen: { hasDied, refreshes, rightAfter: state, after }, judgement }
    },
  },
  {
    name: 'parallel-refreshes',
    how: `${PARALLEL} refreshes at once from each of two vaults on one store.`,
    mustEnd: 'Exactly one reaches the provider, and all get its tokens.',
    only: {
      where: 'vault',
      why: 'No page says whether calls at once share one refresh.',
    },
    async run(context, { vault }) {
      const lab = need(vault)
      const since = context.clock.now()
      const vaults = [lab.another(), lab.another()]
      const { version } = await vaults[0]!.get(lab.connection)
      const all = vaults.flatMap((one) =>
        Array.from({ length: PARALLEL }, () => one.renew(lab.connection, version)),
      )
      const ended = await Promise.allSettled(all)
      const given = ended.filter((one) => one.status === 'fulfilled').map(({ value }) => value)
      const failed = ended.length - given.length
      const tokens = new Set(given.map(({ accessFingerprint }) => accessFingerprint)).size
      const refreshes = mostOf(await countRefreshes(context, since))
      const after = await look(context)
      const judgement = failFirst(
        [
          refreshes !== 1 && `${refreshes} refreshes reached the provider.`,
          failed > 0 && `${failed} of ${all.length} callers got no token.`,
          tokens > 1 && `They got ${tokens} different tokens.`,
          !after.call?.ok && 'It does not work afterwards.',
        ],
        `One refresh for ${all.length} callers.`,
      )
      return { seen: { callers: all.length, failed, refreshes, tokens, after }, judgement }
    },
  },
  {
    name: 'lock-holder-outlives-ttl',
    how: 'The token endpoint takes longer than the lease of a refresh; another vault takes over.',
    mustEnd: 'The late answer is stored all the same: the connection is alive.',
    only: {
      where: 'vault',
      why: 'No page says how long the platform waits for a refresh of another process of its own.',
    },
    async run(context, { provider, vault }) {
      const lab = need(vault)
      const fault = onToken('slow', { ms: lab.leaseMs * 2 })
      const { outcome: isLateKept, struck } = await underFaults(provider, fault, async () => {
        const slow = attempt(() => lab.another().renew(lab.connection))
        await context.clock.sleep(CALL_MS, context.signal)
        await attempt(() => lab.another().renew(lab.connection))
        return slow
      })
      const after = await settled(context)
      const judgement = failFirst(
        [
          missed(struck),
          !isLateKept && 'The late answer was not kept.',
          !after.call?.ok && `It does not work afterwards (${after.call?.cause ?? after.state}).`,
        ],
        'The late answer was kept, and the connection is alive.',
      )
      return { seen: { struck, isLateKept, after }, judgement }
    },
  },
  {
    name: 'clock-skew',
    how: 'A vault whose clock is an hour ahead works on the connection, and one an hour behind.',
    mustEnd: 'It stays well.',
    only: {
      where: 'vault',
      why: 'The platform’s clock is its own: no call sets it.',
    },
    async run(context, { vault }) {
      const lab = need(vault)
      const since = context.clock.now()
      for (const clockOffsetMs of [HOUR_MS, -HOUR_MS]) {
        const other = lab.another({ clockOffsetMs })
        await other.renew(lab.connection)
        await other.accessToken(lab.connection)
      }
      const refreshes = mostOf(await countRefreshes(context, since))
      const after = await look(context)
      const judgement = failFirst(
        [
          refreshes !== 2 && `${refreshes} refreshes reached the provider, and two were asked for.`,
          !after.call?.ok && `Calls fail (${after.call?.cause}).`,
          after.state !== 'connected' && `It is ${after.state}.`,
        ],
        'Both refreshed it, and it is well.',
      )
      return { seen: { refreshes, after }, judgement }
    },
  },
  {
    name: 'receiver-down',
    how: 'The receiver of the webhooks is down when the connection dies.',
    mustEnd: 'The notice comes when it is up again: once.',
    only: {
      where: 'vault',
      why: 'The platform tells by mail, and not to a receiver that could be down.',
    },
    async run(context, { vault }) {
      const { inbox } = need(vault)
      const { platform, memory } = context
      const wish = { ms: RETRY_MS_MAX, everyMs: CALL_MS }
      // In order for each connection: what earlier faults left to be told would hold up this one's.
      const told = () => platform.notices(memory.startedAt)
      const backlog = await until(context, wish, told, (all) => all.every(hasCome))
      const noticed = await noticesFromNow(context)
      const deaths = async () =>
        (await noticed()).filter((one) => one.kind === 'needs_reauth' && hasCome(one)).length
      const refused = inbox.refused()
      inbox.setDown(true)
      await kill(context)
      const dead = await settled(context, 'told')
      const death = judgeDead(dead)
      const tried = async () => ({ came: await deaths(), struck: inbox.refused() - refused })
      const first = { ms: FIRST_RETRY_MS_MAX, everyMs: CALL_MS }
      const { came: whileDown, struck } = await until(
        context,
        first,
        tried,
        (one) => one.struck > 0,
      )
      inbox.setDown(false)
      await until(context, wish, deaths, (count) => count > 0)
      await context.clock.sleep(AGAIN_MS, context.signal)
      const count = await deaths()
      const waiting = backlog.filter((one) => !hasCome(one)).length
      const judgement = failFirst(
        [
          waiting > 0 && `${formatCounted(waiting, 'notice')} of earlier faults never came.`,
          death.verdict === 'fail' && death.why,
          whileDown > 0 && 'Something came while it was down.',
          count === 0 && 'The notice never came.',
          count > 1 && `${count} notices came.`,
          struck === 0 && 'The fault did not strike: nothing was sent while it was down.',
        ],
        'The notice came once, when the receiver was up again.',
      )
      return { seen: { waiting, dead, struck, whileDown, count }, judgement }
    },
  },
]

/** The receiver got it; what the history of our own vault alone has is not signed. */
function hasCome({ signatureGood }: Notice): boolean {
  return signatureGood !== null
}
