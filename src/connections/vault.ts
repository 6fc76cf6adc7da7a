import { isRescindError, RescindError } from '../core/errors.ts'
import type { Secret } from '../core/secret.ts'
import type { FreshTokens, Identity } from '../providers/connection-way.ts'
import type { ConnectionFilter, ConnectionRow } from '../store/connections.ts'
import type { CodeExchange, ExchangeEnd } from '../store/reconnects.ts'
import { createAdopting } from './adopt.ts'
import { type Budget, createBudget } from './budget.ts'
import { nextCheckMs } from './check-times.ts'
import type { Cause, Connection, ConnectionEvent, ConnectionState } from './connection.ts'
import { createDisconnecting, type Disconnected } from './disconnect.ts'
import { checkNames } from './names.ts'
import { connectionUnknown, notUsable, tokenTaken, unwell } from './refusals.ts'
import { createRenewing, type Renewing, timesOf } from './renew.ts'
import { asConnection, asEvent, eventOf, moveTo } from './transitions.ts'
import { createUnderWay, type UnderWay } from './under-way.ts'
import type { VaultParts } from './vault-parts.ts'

/** Rows a page of a list. */
const PAGE_ROWS = 500

/** A connection to keep, from tokens that somebody got. One of the two tokens must be there. */
export interface NewConnection {
  readonly tenant: string
  /** Who it belongs to on our side. */
  readonly owner: string
  readonly tags?: readonly string[] | undefined
  readonly accessToken: Secret | null
  readonly refreshToken: Secret | null
  readonly expiresInS?: number | null | undefined
  /** As they were granted; without them they are not known until an answer says so. */
  readonly scopes?: readonly string[] | null | undefined
  readonly identity?: Identity | null | undefined
  readonly facts?: Readonly<Record<string, string>> | undefined
}

/** An access token that a job may work with. */
export interface AccessToken {
  readonly token: Secret
  /** To be given back as `refused` where the provider does not take the token. */
  readonly version: number
  readonly expiresAt: number | null
  /** What the provider said beside: Salesforce's instance_url. */
  readonly facts: Readonly<Record<string, string>>
}

/** Both tokens, for who must prove something at the provider itself; never printed. */
export interface HeldTokens {
  readonly access: Secret | null
  readonly refresh: Secret | null
}

/** Keeps connections: their tokens sealed, one refresh at a time, each transition told once. */
export interface Vault {
  /** @throws RescindError `usage`, `tenant_unknown`, `config_invalid` */
  create(wish: NewConnection): Promise<Connection>
  /** @throws RescindError `connection_unknown` */
  get(id: string): Promise<Connection>
  list(filter?: ConnectionFilter): AsyncIterable<Connection>
  /** What happened to a connection, oldest first, after an event. */
  events(id: string, after?: string): Promise<readonly ConnectionEvent[]>
  /**
   * Returns an access token to work with; renews it first where it ends soon, or where the caller says
   * that the provider refused it.
   *
   * @throws RescindError `connection_unknown`, `reconnect_needed`, `connection_disabled`,
   * `connection_unwell`, `not_authenticated`, or one of the store's
   */
  accessToken(id: string, options?: { readonly refused?: number }): Promise<AccessToken>
  /** Renews the tokens now, unless they are newer than `stale`, or there is nothing to renew them with. */
  renew(id: string, stale?: number): Promise<Connection>
  tokens(id: string): Promise<HeldTokens>
  /** Gives a connection a tag, or takes it away. @throws RescindError `connection_unknown`, `usage` */
  setTag(id: string, tag: string, isOn: boolean): Promise<Connection>
  disable(id: string): Promise<Connection>
  /** Ends a disabling: `degraded` until a check says more. */
  enable(id: string): Promise<Connection>
  /** The owner was sent to the provider. */
  beginReconnect(id: string): Promise<Connection>
  /**
   * The owner came back without a grant: refused, late, or as somebody else. It stands in the history,
   * whatever the state; receivers were told of the break itself. A code that was sent ends with it.
   */
  failReconnect(id: string, cause: Cause, end?: ExchangeEnd): Promise<Connection>
  /** Ends the wait for an owner who never came. */
  giveUpReconnect(id: string, cause: Cause): Promise<Connection>
  /** Replaces both tokens by those of a new grant, under the same id; its code's exchange is settled with it. */
  adopt(id: string, fresh: FreshTokens, settles?: CodeExchange): Promise<Connection>
  /** Ends it here, revokes it at the provider, and keeps a tombstone whatever that says. */
  disconnect(id: string): Promise<Disconnected>
  /** Tokens of grants that were replaced or refused and that may live: the disconnect revokes them too. */
  replaced(id: string): Promise<number>
  /** Live tokens of the connection's user and app, and how many there may be; null where nobody says. */
  budget(id: string): Promise<Budget | null>
  /** The connection as it is shown now, from its row. */
  readonly shown: (row: ConnectionRow) => Connection
  readonly renewing: Renewing
  readonly underWay: UnderWay
}

/** Opens the vault on a store. */
export function createVault(parts: VaultParts): Vault {
  const { store, clock } = parts
  const underWay = createUnderWay()
  const renewing = createRenewing(parts, underWay)
  const budget = createBudget(parts)
  const adopt = createAdopting(parts)
  const disconnecting = createDisconnecting(parts, underWay)
  const shown = (row: ConnectionRow) => asShown(row, parts, renewing)
  const read = async (id: string): Promise<ConnectionRow> => {
    const row = await store.read(id)
    if (!row) throw await connectionUnknown(store, id)
    return row
  }
  const update = async (id: string, decide: Parameters<typeof store.update>[1]) => {
    const updated = await store.update(id, decide)
    if (!updated) throw await connectionUnknown(store, id)
    return shown(updated.row)
  }
  const usable = async (id: string): Promise<AccessRow> => {
    const row = store.access(id)
    if (!row) throw await connectionUnknown(store, id)
    if (row.state !== 'connected' && row.state !== 'degraded') throw notUsable(await read(id))
    // Nobody is given the tokens of another person.
    if (row.cause === 'identity_changed')
      throw unwell(id, asConnection(await read(id)).cause as Cause)
    return row
  }
  return {
    ...{ shown, renewing, underWay },
    async create(wish) {
      const { tenant, owner, tags = [], accessToken, refreshToken, identity = null } = wish
      checkNames({ owner, tags })
      const { provider, traits } = parts.tenantOf(tenant)
      if (!accessToken && !refreshToken) {
        throw new RescindError('usage', 'A connection needs a refresh token or an access token.')
      }
      const now = clock.now()
      const times = timesOf(wish.expiresInS ?? null, now)
      const row = await store.add(
        {
          ...{ tenant, provider, owner, tags: JSON.stringify(tags), state: 'connected' },
          scopes: JSON.stringify(wish.scopes ?? []),
          identity: identity && JSON.stringify(identity),
          facts: JSON.stringify(wish.facts ?? {}),
          due_at: now + nextCheckMs(parts.random) * parts.random(),
        },
        { access: accessToken, refresh: refreshToken, ...times },
        { type: 'connection.created', to: 'connected', cause: null, notice: false },
        traits.rotation === 'never' ? undefined : tokenTaken,
      )
      return shown(await budget.warn(row))
    },
    get: async (id) => shown(await read(id)),
    async *list(filter = {}) {
      for (let after = 0; ; ) {
        const rows = await store.list(filter, after, PAGE_ROWS)
        yield* rows.map(shown)
        if (rows.length < PAGE_ROWS) return
        after = (rows.at(-1) as ConnectionRow).no
      }
    },
    async events(id, after = 'cev_0') {
      await read(id)
      return (await store.events(id, Number(after.slice('cev_'.length)))).map(asEvent)
    },
    async accessToken(id, { refused } = {}) {
      const row = await usable(id)
      if (isGood(row, refused, clock.now()) && !renewing.isUnstored(id)) return given(id, row)
      const { version } = row
      try {
        await renewing.renew(id, version)
      } catch (error) {
        // It is renewed ahead of its end: until then the old one is as good as before.
        const isStill = row.expiresAt !== null && row.expiresAt > clock.now()
        if (!isStill || refused === version || !(await isUsable(id))) throw error
      }
      const newest = await usable(id)
      if (refused === newest.version) throw await refusedLast(id, refused)
      return given(id, newest)
    },
    async renew(id, stale) {
      const { version } = await read(id)
      return shown(await renewing.renew(id, stale ?? version))
    },
    async tokens(id) {
      const { access, refresh } = await store.tokens(await read(id))
      return { access, refresh }
    },
    setTag: (id, tag, isOn) =>
      update(id, (row) => {
        const { owner, tags, state } = asConnection(row)
        const without = tags.filter((one) => one !== tag)
        const after = isOn ? [...without, tag] : without
        checkNames({ owner, tags: isOn ? after : [tag] })
        if (after.length === tags.length) return null
        const type = isOn ? 'connection.tagged' : 'connection.untagged'
        const event = eventOf(row, state, type, taggedByUs(tag, isOn))
        return { set: { tags: JSON.stringify(after) }, events: [event] }
      }),
    disable: (id) =>
      update(id, (row) => {
        if (row.state === 'revoked') throw notUsable(row)
        const move = moveTo(row, 'disabled', 'connection.disabled', BY_US)
        return { ...move, set: { ...move.set, due_at: null } }
      }),
    enable: (id) =>
      update(id, (row) => {
        if (row.state === 'revoked') throw notUsable(row)
        if (row.state !== 'disabled') return null
        // What was lost is not found by enabling: only a new grant helps.
        if (row.intent === 'lost') {
          return moveTo(row, 'reconnect_needed', 'connection.enabled', asConnection(row).cause)
        }
        const move = moveTo(row, 'degraded', 'connection.enabled', ENABLED)
        return { ...move, set: { ...move.set, due_at: clock.now(), failures: 0 } }
      }),
    beginReconnect: (id) =>
      update(id, (row) => {
        if (row.state === 'revoked') throw notUsable(row)
        if (row.state !== 'reconnect_needed') return null
        const { cause } = asConnection(row)
        return moveTo(row, 'reconnecting', 'connection.reconnecting', cause)
      }),
    failReconnect: (id, cause, end) =>
      update(id, (row) => {
        if (row.state === 'revoked') return end ?? null
        return { ...failedReconnect(row, cause), ...end }
      }),
    giveUpReconnect: (id, cause) =>
      update(id, (row) => (row.state === 'reconnecting' ? failedReconnect(row, cause) : null)),
    adopt: async (...given) => shown(await budget.warn(await adopt(...given))),
    disconnect: (id) =>
      underWay.run(async () => {
        // What is in memory alone lives, and would be passed over.
        await renewing.flush(id)
        return disconnecting.disconnect(await read(id))
      }),
    replaced: async (id) => (await store.superseded(await read(id))).length,
    budget: async (id) => budget.count(await read(id)),
  }

  /** There is no other token to give: whether this one lives is left to a check, which is made soon. */
  async function refusedLast(id: string, refused: number) {
    await store.update(id, ({ version, due_at }) =>
      version === refused && due_at !== null ? { set: { due_at: clock.now() } } : null,
    )
    return unwell(id, REFUSED)
  }

  async function isUsable(id: string): Promise<boolean> {
    const state = store.access(id)?.state as ConnectionState | undefined
    return (state === 'connected' || state === 'degraded') && !renewing.isUnstored(id)
  }

  function given(id: string, { access, version, expiresAt, facts }: AccessRow): AccessToken {
    if (access === null) throw unwell(id, NO_TOKEN)
    return { token: access, version, expiresAt, facts }
  }
}

type AccessRow = NonNullable<ReturnType<VaultParts['store']['access']>>

/** A token that ends soon is renewed; one that the provider refused is, whatever its time says. */
function isGood(row: AccessRow, refused: number | undefined, now: number): boolean {
  // While another process renews it, the old one is good to its end.
  const until = row.intent === 'sent' ? row.expiresAt : row.renewAt
  const isFresh = until === null || now < until
  return row.access !== null && isFresh && (refused === undefined || refused < row.version)
}

/**
 * What is not sure is not shown as well: a refresh that is under way elsewhere may have been cut off,
 * tokens that could not be stored are as good as lost, and where the configuration lacks the tenant nobody
 * checks. That last one is not stored: another process may have it.
 */
function asShown(row: ConnectionRow, parts: VaultParts, renewing: Renewing): Connection {
  const connection = asConnection(row)
  if (row.state !== 'connected') return connection
  if (renewing.isUnstored(row.id)) return { ...connection, state: 'degraded', cause: UNSTORED }
  if (!isConfigured(parts, row)) return { ...connection, state: 'degraded', cause: NOT_CONFIGURED }
  const isElsewhere = row.intent !== null && !renewing.isUnderWay(row.id)
  return isElsewhere ? { ...connection, state: 'degraded', cause: UNDER_WAY } : connection
}

function isConfigured({ tenantOf }: VaultParts, { tenant }: ConnectionRow): boolean {
  try {
    tenantOf(tenant)
    return true
  } catch (error) {
    if (!isRescindError(error)) throw error
    return false
  }
}

function failedReconnect(row: ConnectionRow, cause: Cause) {
  const type = 'connection.reconnect_failed'
  if (row.state === 'reconnecting') return moveTo(row, 'reconnect_needed', type, cause)
  return { events: [eventOf(row, row.state as ConnectionState, type, cause)] }
}

function taggedByUs(tag: string, isOn: boolean): Cause {
  const text = isOn ? `It was tagged ${tag} by us.` : `Its tag ${tag} was taken away by us.`
  return { code: 'by_us', confidence: 'certain', text }
}

const BY_US: Cause = { code: 'by_us', confidence: 'certain', text: 'It was disabled by us.' }

const ENABLED: Cause = {
  code: 'by_us',
  confidence: 'certain',
  text: 'It was enabled, and has not been checked since.',
}

const UNSTORED: Cause = {
  code: 'store_failed',
  confidence: 'certain',
  text: 'New tokens could not be stored. They are kept in memory and tried again.',
}

const NOT_CONFIGURED: Cause = {
  code: 'not_configured',
  confidence: 'certain',
  text: 'Its tenant is not in the configuration, or is wrong there: it can be neither checked nor renewed.',
}

const UNDER_WAY: Cause = {
  code: 'rotated_token_lost',
  confidence: 'possible',
  text: 'A refresh is under way in another process, or was cut off.',
}

const REFUSED: Cause = {
  code: 'no_refresh_token',
  confidence: 'possible',
  text: 'Its access token was refused to who used it, and there is no refresh token to get another with. Whether it lives, a check tells.',
}

const NO_TOKEN: Cause = {
  code: 'no_refresh_token',
  confidence: 'certain',
  text: 'There is no access token.',
}
