import { countRefreshes, mostOf, until } from '../look.ts'
import { failFirst } from '../step.ts'
import {
  attempt,
  CALL_MS,
  kill,
  look,
  NEEDS_OWNER,
  need,
  onToken,
  type Row,
  revokeAccess,
  settled,
} from './row.ts'

const HOUR_MS = 3_600_000
const PARALLEL = 8
/** A receiver that was down is tried again after one to two seconds. */
const RETRY_MS_MAX = 15_000

/** What goes wrong in our own vault. */
export const VAULT_FAULTS: readonly Row[] = [
  {
    name: 'store-write-fails',
    how: 'New tokens cannot be written, four times in a row.',
    mustEnd:
      'It fails closed: no token is given out, it is not shown as well; and it is well when writes work again.',
    only: 'vault',
    async run(context, { vault }) {
      const lab = need(vault)
      await revokeAccess(context)
      lab.failWrites(true)
      const during = await look(context)
      lab.failWrites(false)
      const after = await settled(context)
      const judgement = failFirst(
        [
          during.call?.ok && 'A token that is not stored was given out.',
          during.state === 'connected' && 'It is shown as well, though its tokens are not stored.',
          NEEDS_OWNER.includes(during.state) &&
            `The owner is asked (${during.state}), though the tokens are there.`,
          !after.call?.ok &&
            `It is not well after writes work again (${after.call?.cause ?? after.state}).`,
        ],
        `${during.state} while nothing could be written, and well after.`,
      )
      return { seen: { during, after }, judgement }
    },
  },
  {
    name: 'crash-before-commit',
    how: 'A process dies after its refresh was answered, before the tokens are written.',
    mustEnd:
      'Never a lost token that is shown as well: without rotation it heals, with it the owner is asked.',
    only: 'vault',
    async run(context, { vault }) {
      const lab = need(vault)
      await revokeAccess(context)
      await attempt(() => lab.another({ isDying: true }).renew(lab.connection))
      const { state } = await context.platform.snapshot()
      const { rotation, replayKills } = context.rules.traits
      const isLost = rotation !== 'never' && replayKills
      const after = await settled(context, isLost ? 'dead' : 'well')
      const judgement = failFirst(
        [
          state === 'connected' && 'It is shown as well right after.',
          isLost &&
            after.call?.cause !== 'rotated_token_lost' &&
            `The cause is ${after.call?.cause ?? 'none'}, and not that a token was lost.`,
          !isLost && !after.call?.ok && `It does not heal (${after.call?.cause ?? after.state}).`,
        ],
        isLost
          ? 'The owner is asked: the rotated token went with the process.'
          : 'The next one refreshed anew.',
      )
      return { seen: { rightAfter: state, after }, judgement }
    },
  },
  {
    name: 'parallel-refreshes',
    how: `${PARALLEL} refreshes at once from each of two vaults on one store.`,
    mustEnd: 'Exactly one reaches the provider, and all get its tokens.',
    only: 'vault',
    async run(context, { vault }) {
      const lab = need(vault)
      const since = context.clock.now()
      const vaults = [lab.another(), lab.another()]
      const { version } = await vaults[0]!.get(lab.connection)
      const all = vaults.flatMap((one) =>
        Array.from({ length: PARALLEL }, () => one.renew(lab.connection, version)),
      )
      const failed = (await Promise.allSettled(all)).filter(
        ({ status }) => status === 'rejected',
      ).length
      const refreshes = mostOf(await countRefreshes(context, since))
      const after = await look(context)
      const judgement = failFirst(
        [
          refreshes !== 1 && `${refreshes} refreshes reached the provider.`,
          failed > 0 && `${failed} of ${all.length} callers got no token.`,
          !after.call?.ok && 'It does not work afterwards.',
        ],
        `One refresh for ${all.length} callers.`,
      )
      return { seen: { callers: all.length, failed, refreshes, after }, judgement }
    },
  },
  {
    name: 'lock-holder-outlives-ttl',
    how: 'The token endpoint takes longer than the lease of a refresh; another vault takes over.',
    mustEnd: 'The late answer is stored all the same: the connection is alive.',
    only: 'vault',
    async run(context, { provider, vault }) {
      const lab = need(vault)
      await provider.tell('faults', onToken('slow', { ms: lab.leaseMs * 3 }))
      const slow = attempt(() => lab.another().renew(lab.connection))
      await context.clock.sleep(CALL_MS, context.signal)
      await attempt(() => lab.another().renew(lab.connection))
      await slow
      await provider.tell('faults', [])
      const after = await settled(context)
      const judgement = failFirst(
        [!after.call?.ok && `It does not work afterwards (${after.call?.cause ?? after.state}).`],
        'The late answer was kept, and the connection is alive.',
      )
      return { seen: { after }, judgement }
    },
  },
  {
    name: 'clock-skew',
    how: 'A vault whose clock is an hour ahead works on the connection, and one an hour behind.',
    mustEnd: 'It stays well.',
    only: 'vault',
    async run(context, { vault }) {
      const lab = need(vault)
      for (const clockOffsetMs of [HOUR_MS, -HOUR_MS]) {
        const other = lab.another({ clockOffsetMs })
        await other.renew(lab.connection)
        await other.accessToken(lab.connection)
      }
      const after = await look(context)
      const judgement = failFirst(
        [
          !after.call?.ok && `Calls fail (${after.call?.cause}).`,
          after.state !== 'connected' && `It is ${after.state}.`,
        ],
        'Both refreshed it, and it is well.',
      )
      return { seen: { after }, judgement }
    },
  },
  {
    name: 'receiver-down',
    how: 'The receiver of the webhooks is down when the connection dies.',
    mustEnd: 'The notice comes when it is up again: once.',
    only: 'vault',
    async run(context, { vault }) {
      const { inbox, connection } = need(vault)
      // What earlier faults left to be told is told before.
      await context.platform.notices(context.clock.now())
      const since = context.clock.now()
      inbox.setDown(true)
      await kill(context)
      await settled(context, 'dead')
      await context.platform.notices(since)
      const whileDown = inbox.since(connection, since).length
      inbox.setDown(false)
      const came = async () => {
        await context.platform.notices(since)
        return inbox.since(connection, since).filter(({ kind }) => kind === 'needs_reauth').length
      }
      const count = await until(context, { ms: RETRY_MS_MAX, everyMs: CALL_MS }, came, (n) => n > 0)
      const judgement = failFirst(
        [
          whileDown > 0 && 'Something came while it was down.',
          count === 0 && 'The notice never came.',
          count > 1 && `${count} notices came.`,
        ],
        'The notice came once, when the receiver was up again.',
      )
      return { seen: { whileDown, count }, judgement }
    },
  },
]
