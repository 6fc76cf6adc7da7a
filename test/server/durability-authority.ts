import { isRescindError } from '../../src/core/errors.ts'
import type { Client } from '../../src/server/client-settings.ts'
import { type Core, createCore } from '../../src/server/core.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { ISSUER, KEY } from './core-world.ts'

/** Nothing expires while a test runs. */
const DAY_S = 86_400

export interface Opened extends AsyncDisposable {
  readonly core: Core
  readonly client: Client
  readonly store: AuthorityStore
}

/**
 * Opens the authority whose durability is tried.
 *
 * @param place a path of an SQLite file, or a connection string of PostgreSQL
 * @param spoil breaks a promise of the store, to see that it is noticed
 */
export async function openAuthority(
  place: string,
  spoil: (store: AuthorityStore) => AuthorityStore = (store) => store,
): Promise<Opened> {
  const store = spoil(await openStore(place))
  const lifetimes = { accessToken: DAY_S }
  const core = await createCore({ issuer: ISSUER, key: KEY, store, lifetimes })
  try {
    await core.clients.add({ id: 'app', scope: 'read' })
  } catch (error) {
    // It is there already, from the time before.
    if (!isRescindError(error, 'usage')) throw error
  }
  const client = (await core.clients.get('app')) as Client
  return { core, client, store, [Symbol.asyncDispose]: () => store.close() }
}

function openStore(place: string): Promise<AuthorityStore> {
  return place.startsWith('postgres:')
    ? openPostgresAuthorityStore({ connectionString: place, deadlineMs: 10_000 })
    : openSqliteAuthorityStore(place)
}
