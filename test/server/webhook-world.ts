import { expect, vi } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import { type Authority, createAuthority } from '../../src/server/authority.ts'
import type { Webhook } from '../../src/server/webhook-endpoint.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { CALLBACK, ISSUER, KEY } from './core-world.ts'
import type { Receiver } from './webhook-receiver.ts'

export const SECRET = Buffer.alloc(32, 5).toString('base64')
export const secret = new Secret(`whsec_${SECRET}`)
/** So many seconds pass in one: backoff and leases are waited for in full, and soon over. */
export const SPEED = 100
export const EVENTS_MAX = 10_000
/** Far above what anything here takes: only what never comes runs out of it. */
const PATIENCE = { timeout: 30_000, interval: 10 }

/** An authority with one client, and more of them on the same store. */
export interface World extends AsyncDisposable {
  readonly store: AuthorityStore
  readonly trouble: string[]
  /** How many events were set aside, as a host's observer hears it. */
  readonly told: { setAside: number }
  open(webhooks: readonly Webhook[], store?: AuthorityStore): Promise<Authority>
  /** Makes some events, and returns the ids of all there are. */
  happen(count?: number): Promise<string[]>
}

export async function openWorld(
  given?: AuthorityStore | ((clock: Clock) => Promise<AuthorityStore>),
  clock = scaledClock(SPEED),
): Promise<World> {
  const store =
    typeof given === 'function'
      ? await given(clock)
      : (given ?? (await openSqliteAuthorityStore(':memory:', { clock })))
  const shared = { ...store, close: async () => {} }
  const trouble: string[] = []
  const told = { setAside: 0 }
  const observer = {
    revoked: () => {},
    issued: () => {},
    setAside: () => {
      told.setAside += 1
    },
  }
  const opened: Authority[] = []
  const open = async (webhooks: readonly Webhook[], given: AuthorityStore = shared) => {
    const onTrouble = (error: unknown) => trouble.push((error as Error).message)
    const options = { issuer: ISSUER, key: KEY, clock, store: given, onTrouble, webhooks, observer }
    const authority = await createAuthority(options)
    opened.push(authority)
    return authority
  }
  const maker = await open([])
  await maker.clients.add({ id: 'app', redirectUris: [CALLBACK], scope: 'read' })
  return {
    ...{ store: shared, trouble, told, open },
    async happen(count = 3) {
      for (let made = 0; made < count; made += 1) {
        await maker.issue({ clientId: 'app', userId: `user${made}`, scope: 'read' })
      }
      return (await store.readEvents(null, EVENTS_MAX)).map(({ id }) => id)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((authority) => authority.close()))
      await store.close()
    },
  }
}

export const until = (check: () => void | Promise<void>) => vi.waitFor(check, PATIENCE)

export async function takes(receiver: Receiver, ids: readonly string[]): Promise<void> {
  await until(() => expect(receiver.taken).toEqual(ids))
}

/** Waits until it is written down that the receiver has everything: no delivery is under way then. */
export async function settled({ store }: World, authority: Authority): Promise<void> {
  const last = (await store.readEvents(null, EVENTS_MAX)).at(-1)
  await until(async () => {
    expect((await authority.webhooks.status())[0]?.position).toBe(last?.position)
  })
}
