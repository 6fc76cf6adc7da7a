import { isRescindError, RescindError } from '../../core/errors.ts'
import type { ConnectionWay } from '../../providers/connection-way.ts'
import type { Cause, CauseCode, Connection } from '../connection.ts'
import type { Health } from '../health.ts'
import type { Reauthorizing, ReconnectOutcome } from '../reauthorize.ts'
import { tenantsOfApp } from '../superseded.ts'
import type { Vault } from '../vault.ts'
import type { ConnectionTenant, VaultParts } from '../vault-parts.ts'
import { kindOf, type NoticeInbox } from './notice-inbox.ts'
import type {
  Applied,
  Notice,
  OtherConnection,
  Platform,
  PlatformCall,
  PlatformHabits,
  PlatformSnapshot,
} from './platform.ts'

export interface RescindPlatformOptions {
  readonly connection: string
  readonly parts: VaultParts
  readonly vault: Vault
  readonly health: Health
  readonly reauthorizing: Reauthorizing
  readonly inbox: NoticeInbox
  /** Sends what stands in the outbox, to the inbox too. */
  readonly sendNotices: () => Promise<void>
  /** When each refresh of this process was sent. */
  readonly refreshes: readonly number[]
}

/** One refresh, and no more: then the owner is asked. */
const HABITS: PlatformHabits = {
  tagCommand: 'rescind connection tag',
  refreshAttemptsMax: 1,
  refreshesOfCheck: 0,
  signsNotices: true,
  deathNotices: ['needs_reauth', 'disabled'],
  tellsHealing: true,
  usesPkce: true,
  tellsCause: true,
}

/** Puts a counter between the vault and a provider: when each refresh was sent. */
export function countingRefreshes(
  way: ConnectionWay,
  sentAt: (at: number) => void,
  now: () => number,
): ConnectionWay {
  return {
    ...way,
    refresh: (app, token, means) => {
      sentAt(now())
      return way.refresh(app, token, means)
    },
  }
}

/** A connection of our own vault as a drill sees it. */
export function rescindPlatform(options: RescindPlatformOptions): Platform {
  const { connection: id, parts, vault, health, reauthorizing, inbox, sendNotices } = options
  const tenantOf = async (of = id): Promise<ConnectionTenant> =>
    parts.tenantOf((await vault.get(of)).tenant)
  const read = async (work: () => Promise<PlatformCall>, of = id): Promise<PlatformCall> => {
    try {
      return await work()
    } catch (error) {
      return refused(error, await vault.get(of))
    }
  }
  /** As a job does: with the token that it is given; once more where the provider refuses it. */
  const call = (of: string) =>
    read(async () => {
      const { way, app } = await tenantOf(of)
      const first = await vault.accessToken(of)
      const probe = await way.probe(app, first.token, { http: parts.http })
      if (probe.verdict !== 'dead') return answered(probe)
      const second = await vault.accessToken(of, { refused: first.version })
      return answered(await way.probe(app, second.token, { http: parts.http }))
    }, of)
  return {
    name: 'rescind',
    habits: HABITS,
    receiver: 'of_process',
    snapshot: async () => snapshotOf(await vault.get(id)),
    call: () => call(id),
    async control() {
      // Our store answers: there are no other credentials of the platform's.
      await vault.get(id)
      return true
    },
    async scheduledCheck() {
      await health.check(id)
      await sendNotices()
    },
    async notices(since) {
      await sendNotices()
      const came = inbox.since(id, since)
      const told = (await vault.events(id)).filter(({ at }) => at >= since)
      // Another process may have sent them, to other receivers: then only the event shows it.
      return [
        ...came,
        ...told
          .filter(isTold)
          .filter(({ id: one }) => !came.some((notice) => notice.id === one))
          .map(asNotice),
      ]
    },
    reconnectLink: () => reauthorizing.link(id),
    // A state is good once: whoever takes it ends it.
    async endLink({ state }) {
      await parts.store.takeReconnect(state)
      await vault.giveUpReconnect(id, LINK_ENDED)
    },
    async applyCallback(_link, { code, state, error, iss = null }) {
      return appliedOf(await reauthorizing.callback({ code, state, error, iss }))
    },
    async enable() {
      if ((await vault.get(id)).state !== 'disabled') return 'not_needed'
      await vault.enable(id)
      return 'enabled'
    },
    forceRefresh: () =>
      read(async () => {
        await vault.renew(id)
        const { way, app } = await tenantOf()
        const { token } = await vault.accessToken(id)
        return answered(await way.probe(app, token, { http: parts.http }))
      }),
    async tokens() {
      const { access, refresh } = await vault.tokens(id)
      if (access) return { access, refresh }
      throw new RescindError(
        'connection_unwell',
        `The connection ${id} has no access token. Check it with: rescind connection check ${id}`,
      )
    },
    async refreshes(since) {
      return options.refreshes.filter((at) => at >= since).length
    },
    async sharing() {
      const tenant = await tenantOf()
      const row = await parts.store.read(id)
      if (row === undefined) return []
      const sharing = [...(await parts.store.sharing(row))]
      // All grants of a user to an app are one there.
      const isOne = !tenant.traits.grantsApart && row.identity !== null
      for (const name of isOne ? await tenantsOfApp(parts, tenant) : []) {
        sharing.push(...(await parts.store.grantsOf(name, row.identity ?? '')))
      }
      return [...new Set(sharing.map((other) => other.id))].filter((other) => other !== id)
    },
    async others() {
      const others: OtherConnection[] = []
      for (const name of await tenantsOfApp(parts, await tenantOf())) {
        for await (const { id: other, state, identity } of vault.list({ tenant: name })) {
          if (other !== id && state !== 'revoked') others.push({ id: other, state, identity })
        }
      }
      return others
    },
    callOther: call,
  }
}

function snapshotOf(connection: Connection): PlatformSnapshot {
  const { id, tags, state, accessFingerprint, refreshFingerprint, identity, scopes } = connection
  const { version, owner, tenant, cause } = connection
  const facts = { tenant, owner, version: String(version) }
  const prints = { accessFingerprint, refreshFingerprint }
  return { id, tags, state, cause, ...prints, identity, scopes, facts }
}

function answered(probe: Awaited<ReturnType<ConnectionWay['probe']>>): PlatformCall {
  const { verdict, status } = probe
  return {
    ok: verdict === 'alive',
    status,
    identity: probe.verdict === 'alive' ? probe.identity : null,
    providerRefused: verdict === 'dead',
    cause: verdict === 'alive' ? null : CAUSES[verdict],
    requestId: null,
  }
}

const CAUSES = {
  dead: 'revoked_or_expired',
  refused: 'forbidden',
  unclear: 'provider_down',
} as const satisfies Record<string, CauseCode>

/** What the vault refuses with has its cause at the connection. */
function refused(error: unknown, { cause, state }: Connection): PlatformCall {
  if (!isRescindError(error)) throw error
  const needsOwner = state === 'reconnect_needed' || state === 'reconnecting'
  return {
    ...{ ok: false, status: null, identity: null, requestId: null },
    providerRefused: needsOwner && cause?.code === 'revoked_or_expired',
    cause: cause?.code ?? null,
  }
}

const TOLD = ['needs_reauth', 'healed', 'disabled'] as const

function isTold({ type, from }: { readonly type: string; readonly from: string | null }): boolean {
  const kind = kindOf(type)
  // What heals alone is no news.
  if (type === 'connection.healed') return from !== 'degraded'
  return TOLD.some((one) => one === kind)
}

function asNotice({
  id,
  at,
  type,
  cause,
}: {
  readonly id: string
  readonly at: number
  readonly type: string
  readonly cause: { readonly code: string } | null
}): Notice {
  return { id, at, kind: kindOf(type), signatureGood: null, cause: cause?.code ?? null }
}

const LINK_ENDED: Cause = {
  code: 'by_us',
  confidence: 'certain',
  text: 'The drill ended the link that nobody had come back by.',
}

function appliedOf(outcome: ReconnectOutcome): Applied {
  if (outcome.kind === 'reconnected') return { ok: true, route: 'callback', cause: null }
  const cause = 'cause' in outcome ? outcome.cause : null
  return { ok: false, route: outcome.kind, cause: cause?.code ?? null, why: cause?.text }
}
