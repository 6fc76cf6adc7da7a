import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SalesforceOrg } from '../../../emulators/index.ts'
import { type Clock, seededRandom } from '../../../src/core/clock.ts'
import { createHttp, type Http } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import type {
  AppRow,
  InventoryPart,
  Means,
  ProviderSession,
  TenantConfig,
  TokenRow,
  UserRow,
} from '../../../src/providers/provider.ts'
import { salesforce } from '../../../src/providers/salesforce/index.ts'
import { openStore, type Store } from '../../../src/store/store.ts'

/** The machine's time, with waits that are noted and not made. */
export interface NotedClock extends Clock {
  readonly waits: readonly number[]
  /** Lets time pass. */
  advance(ms: number): void
}

/** What a provider works with in a test: a real store, a real way out, and no waiting. */
export interface Bench extends AsyncDisposable {
  readonly means: Means
  readonly store: Store
  readonly home: string
  readonly notices: readonly string[]
  readonly clock: NotedClock
  open(tenant: TenantConfig): Promise<ProviderSession>
}

export async function createBench(overrides: Partial<Means> = {}): Promise<Bench> {
  const home = mkdtempSync(join(tmpdir(), 'rescind-provider-'))
  const waits: number[] = []
  let ahead = 0
  const clock: NotedClock = {
    waits,
    advance: (ms) => {
      ahead += ms
    },
    now: () => Date.now() + ahead,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      waits.push(ms)
    },
  }
  const store = await openStore({ home, clock })
  const http: Http = createHttp()
  const notices: string[] = []
  const means: Means = {
    http,
    clock,
    random: seededRandom(7),
    vault: store.credentials,
    fingerprint: store.fingerprint,
    env: process.env,
    notice: (line) => void notices.push(line),
    ...overrides,
  }
  const open = (tenant: TenantConfig) => salesforce.open(tenant, means)
  const dispose = async () => {
    await http.close()
    await store.close()
    rmSync(home, { recursive: true, force: true })
  }
  return { means, store, home, notices, clock, open, [Symbol.asyncDispose]: dispose }
}

/** A tenant of an emulated org, logged in as the app's own user unless told. */
export function tenantOf(
  org: SalesforceOrg,
  login: Readonly<Record<string, unknown>> = passwordLogin(org),
  options: Readonly<Record<string, unknown>> = {},
): TenantConfig {
  return { name: 'acme', provider: 'salesforce', url: org.url, login, options }
}

export function passwordLogin(org: SalesforceOrg, who: 'admin' | 'limited' = 'admin') {
  const { tool } = org.credentials
  const { username, password, securityToken } = org.credentials[who]
  return {
    method: 'password',
    clientId: tool.clientId,
    clientSecret: new Secret(tool.clientSecret),
    username,
    password: new Secret(password),
    securityToken: new Secret(securityToken),
  }
}

/** An inventory as a consumer holds it in the end. */
export interface Taken {
  readonly users: readonly UserRow[]
  readonly apps: ReadonlyMap<string, AppRow>
  readonly tokens: readonly TokenRow[]
  readonly notes: readonly string[]
  readonly before: number | undefined
  readonly after: number | undefined
  readonly again: number
  readonly end: Extract<InventoryPart, { type: 'end' }>
}

/** Takes an inventory to its end, and checks that what tokens name came before them. */
export async function take(
  session: ProviderSession,
  during: (part: InventoryPart) => void | Promise<void> = () => {},
): Promise<Taken> {
  const users: UserRow[] = []
  const apps = new Map<string, AppRow>()
  const slices = new Map<number, readonly TokenRow[]>()
  const notes: string[] = []
  const counted: Record<'before' | 'after', number | undefined> = {
    before: undefined,
    after: undefined,
  }
  let again = 0
  let end: Taken['end'] | undefined
  for await (const part of session.inventory()) {
    if (end) throw new Error(`a part of type ${part.type} came after the end`)
    await during(part)
    switch (part.type) {
      case 'counted':
        counted[part.when] = part.count
        break
      case 'users':
        users.push(...part.users)
        break
      case 'apps':
        for (const app of part.apps) apps.set(app.id, app)
        break
      case 'tokens':
        for (const { appId } of part.tokens) {
          if (appId !== null && !apps.has(appId)) throw new Error(`app ${appId} came too late`)
        }
        slices.set(part.slice, [...(slices.get(part.slice) ?? []), ...part.tokens])
        break
      case 'slice_again':
        again += 1
        slices.delete(part.slice)
        break
      case 'note':
        notes.push(part.text)
        break
      case 'end':
        end = part
    }
  }
  if (!end) throw new Error('the inventory has no end')
  return { users, apps, tokens: [...slices.values()].flat(), notes, ...counted, again, end }
}

/** The vendor's handle of a listed token. */
export function rawHandle(token: Pick<TokenRow, 'handle'>): string {
  const text = token.handle.reveal()
  return text.slice(text.indexOf(':') + 1)
}
