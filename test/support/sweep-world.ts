import {
  type Fault,
  type SalesforceOptions,
  type SalesforceOrg,
  startSalesforce,
} from '../../emulators/index.ts'
import type { Clock } from '../../src/core/clock.ts'
import { seededRandom } from '../../src/core/clock.ts'
import { createHttp } from '../../src/core/http.ts'
import { type Fingerprint, Secret } from '../../src/core/secret.ts'
import type { ProviderSession, TenantConfig } from '../../src/providers/provider.ts'
import { salesforce } from '../../src/providers/salesforce/index.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import type { ApplyOptions, SweepEvent } from '../../src/sweep/engine.ts'
import { takeInventory } from '../../src/sweep/inventory.ts'
import { makePlan, type Plan } from '../../src/sweep/plan.ts'
import type { Policy } from '../../src/sweep/policy.ts'
import { scaledClock } from './scaled-clock.ts'
import { tempHome } from './temp-home.ts'

export interface WorldOptions extends SalesforceOptions {
  readonly seed: number
  /** How much faster than the machine's the clock of the sweep and of the org runs. */
  readonly times?: number
}

/** An emulated org, a store in a folder of its own, and a session between them. */
export interface World extends AsyncDisposable {
  readonly org: SalesforceOrg
  readonly store: Store
  readonly session: ProviderSession
  readonly clock: Clock
  readonly home: string
  readonly tenant: TenantConfig
  readonly events: SweepEvent[]
  /** Whether the org lists grants of external client apps with the others. */
  readonly ecaInOauthToken: boolean
  readonly plan: (policy: Policy) => Promise<Plan>
  readonly means: (more?: Partial<ApplyOptions>) => ApplyOptions
  /** The fingerprint of a grant's delete token. */
  readonly fingerprint: (deleteToken: string) => Fingerprint
  readonly open: () => Promise<ProviderSession>
  /** Sets how long an answer is waited for, by the machine's clock. */
  readonly giveUpAfter: (ms: number) => void
}

export const TENANT = 'acme'

/** A busy machine is slow, and what is slow is not lost. */
const PATIENT_MS = 60_000

/** Returns the tenant of an org, logged in to by its integration app. */
export function integrationTenant(org: SalesforceOrg): TenantConfig {
  const { clientId, clientSecret } = org.credentials.integration
  return {
    name: TENANT,
    provider: 'salesforce',
    url: org.url,
    login: {
      method: 'client_credentials',
      clientId,
      clientSecret: new Secret(clientSecret),
    },
    options: {},
  }
}

/** Starts a world; faults are set once the session is open. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const { seed, times = 20, faults = [], ...orgOptions } = options
  const clock = scaledClock(times)
  const home = tempHome()
  const org = await startSalesforce({ ...orgOptions, seed, now: clock.now })
  const store = await openStore({ home: home.path, clock })
  const patience = { clock, timeoutMs: PATIENT_MS }
  const http = createHttp(patience)
  const random = seededRandom(seed)
  const tenant = integrationTenant(org)
  const open = () =>
    salesforce.open(tenant, {
      http,
      clock,
      random,
      vault: store.credentials,
      fingerprint: store.fingerprint,
      env: {},
      notice: () => {},
    })
  const session = await open()
  org.setFaults(faults as readonly Fault[])
  const events: SweepEvent[] = []
  return {
    org,
    store,
    session,
    clock,
    home: home.path,
    tenant,
    events,
    ecaInOauthToken: options.switches?.ecaInOauthToken ?? true,
    open,
    giveUpAfter: (ms) => {
      patience.timeoutMs = ms
    },
    fingerprint: (deleteToken) => store.fingerprint(new Secret(`delete:${deleteToken}`)),
    plan: async (policy) => {
      const { inventories } = store
      const taken = { tenant: TENANT, provider: 'salesforce', session, inventories }
      const inventory = await takeInventory(taken)
      return makePlan({ store, inventory, policy, now: clock.now() })
    },
    means: (more = {}) => ({
      store,
      session,
      provider: 'salesforce',
      tenant: TENANT,
      actor: 'test@here',
      clock,
      random,
      signal: new AbortController().signal,
      tell: (event) => void events.push(event),
      concurrencyMax: 16,
      ...more,
    }),
    [Symbol.asyncDispose]: async () => {
      await store.close()
      await http.close()
      await org.close()
      home[Symbol.dispose]()
    },
  }
}
