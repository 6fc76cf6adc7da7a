import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/core/clock.ts'
import { createHttp, type Http } from '../src/core/http.ts'
import { Secret } from '../src/core/secret.ts'
import type { ProviderSession } from '../src/providers/provider.ts'
import { salesforce } from '../src/providers/salesforce/index.ts'
import { openStore, type Store } from '../src/store/store.ts'

/** What a client process is given, in the environment variable BENCH_INPUT. */
export interface ClientInput {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
}

/** What the command line would open: a store of its own on disk, HTTP, a session. */
export interface Client extends AsyncDisposable {
  readonly store: Store
  readonly session: ProviderSession
}

export const TENANT = 'bench'

/** Opens the client; `watch` may wrap its way out. */
export async function openClient(watch: (http: Http) => Http = (http) => http): Promise<Client> {
  const input = JSON.parse(process.env.BENCH_INPUT ?? '') as ClientInput
  const { url, clientId } = input
  const home = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
  const store = await openStore({ home })
  const http = createHttp()
  const clientSecret = new Secret(input.clientSecret)
  const login = { method: 'client_credentials', clientId, clientSecret }
  const session = await salesforce.open(
    { name: TENANT, provider: 'salesforce', url, login, options: {} },
    {
      http: watch(http),
      clock: systemClock,
      random: Math.random,
      vault: store.credentials,
      fingerprint: store.fingerprint,
      env: {},
      notice: (text) => console.error(text),
    },
  )
  return {
    store,
    session,
    async [Symbol.asyncDispose]() {
      await session.close()
      await http.close()
      await store.close()
      rmSync(home, { recursive: true })
    },
  }
}
