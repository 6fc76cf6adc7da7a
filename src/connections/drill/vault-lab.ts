import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import type { Http } from '../../core/http.ts'
import type { ConnectionChange, ConnectionStore } from '../../store/connections.ts'
import { createVault } from '../vault.ts'
import type { VaultParts } from '../vault-parts.ts'
import type { VaultLab } from './context.ts'
import type { NoticeInbox } from './notice-inbox.ts'

/**
 * How long a simulated vault waits for another's refresh before it takes it for cut off. In earnest it
 * is two minutes, which no fault is waited for.
 */
export const SIMULATED_LEASE_MS = 1_000
/**
 * How long it waits for a provider's answer: longer than one that comes after a lease, and in earnest
 * half a minute.
 */
const SIMULATED_TIMEOUT_MS = 3_000

/** Puts what fails on command between a vault and its store. */
export function openVaultLab(
  parts: VaultParts,
  { connection, inbox }: { readonly connection: string; readonly inbox: NoticeInbox },
): { readonly parts: VaultParts; readonly lab: VaultLab } {
  let isFailing = false
  let failed = 0
  const store = failing(parts.store, () => {
    if (isFailing) failed += 1
    return isFailing
  })
  const http = impatient(parts.http)
  const simulated: VaultParts = { ...parts, store, http, leaseMs: SIMULATED_LEASE_MS }
  const lab: VaultLab = {
    ...{ connection, inbox, leaseMs: SIMULATED_LEASE_MS },
    failWrites: (on) => {
      isFailing = on
    },
    failedWrites: () => failed,
    another: ({ clockOffsetMs = 0, isDying = false } = {}) =>
      createVault({
        ...simulated,
        store: isDying ? dying(parts.store) : store,
        clock: offset(parts.clock, clockOffsetMs),
      }),
  }
  return { parts: simulated, lab }
}

/** New tokens cannot be written; all else can. */
function failing(store: ConnectionStore, isFailing: () => boolean): ConnectionStore {
  return {
    ...store,
    update: (id, decide) =>
      store.update(id, (row) => {
        const change = decide(row)
        if (change?.tokens && isFailing()) throw full()
        return change
      }),
  }
}

/** The process is gone as soon as its refresh was answered: it writes its intent, and nothing after. */
function dying(store: ConnectionStore): ConnectionStore {
  let isDead = false
  const isIntent = (change: ConnectionChange | null) => change?.set?.intent === 'sent'
  return {
    ...store,
    update: (id, decide) =>
      store.update(id, (row) => {
        const change = isDead ? null : decide(row)
        if (isDead || (change !== null && !isIntent(change))) {
          isDead = true
          throw full()
        }
        return change
      }),
  }
}

function impatient(http: Http): Http {
  const send: Http['send'] = (request) => http.send({ ...request, timeoutMs: SIMULATED_TIMEOUT_MS })
  return { ...http, send }
}

function full(): RescindError {
  return new RescindError('store_full', 'The store takes no more: a fault that was injected.')
}

function offset(clock: Clock, ms: number): Clock {
  return ms === 0 ? clock : { now: () => clock.now() + ms, sleep: clock.sleep }
}
