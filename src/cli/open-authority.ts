import { dirname, join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import { makeFolder } from '../core/folder.ts'
import { checkKeyless } from '../server/check-store.ts'
import { type Core, type CoreOptions, createCore } from '../server/core.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../store/authority/sqlite.ts'
import { findKey } from '../store/key.ts'
import { openHomeKey } from '../store/store.ts'
import type { AuthorityConfig } from './authority-config.ts'
import type { Context } from './context.ts'

/** Name of the key file in the home; the same that the store of the tenants uses. */
const KEY_FILE = 'key'

/**
 * Opens the authority of a command's configuration, without its endpoints, and closes it at the end.
 *
 * @throws RescindError `config_missing`, and what opening a store throws
 */
export async function withAuthority(
  context: Context,
  work: (core: Core, config: AuthorityConfig) => Promise<void>,
): Promise<void> {
  const config = context.config.authority()
  const onTrouble = () => context.output.note('rescind: The store is in trouble.')
  const store = await openAuthorityStore(config, context.io.clock, onTrouble)
  try {
    const options = await coreOptions(context, config, store)
    const core = await createCore({ ...options, onTrouble }, true)
    await work(core, config)
  } finally {
    await store.close()
  }
}

/** Returns what an authority is made of, as the configuration and the environment say. */
export async function coreOptions(
  context: Pick<Context, 'io' | 'config'>,
  config: AuthorityConfig,
  store: AuthorityStore,
): Promise<CoreOptions> {
  const { issuer, lifetimes, accessTokenCascade, signingAlg, tokenBrand } = config
  return {
    ...{ issuer, lifetimes, accessTokenCascade, signingAlg, tokenBrand, store },
    key: await authorityKey(context, store),
    clock: context.io.clock,
  }
}

/** A key that is made where another is due would be refused a moment later, and stay for the next to find. */
async function authorityKey(
  { io, config: { home } }: Pick<Context, 'io' | 'config'>,
  store: AuthorityStore,
): Promise<Uint8Array> {
  const given = io.env.RESCIND_KEY
  const find = () => findKey(join(home, KEY_FILE), given)
  const found = find()
  if (found) return found
  try {
    await checkKeyless(store)
  } catch (error) {
    // Another process may have started for the first time meanwhile: it makes the key before its note.
    const made = find()
    if (made) return made
    throw error
  }
  return openHomeKey({ home, key: given })
}

/**
 * Opens the store that a configuration names.
 *
 * @param onTrouble is told what went wrong where nobody waits for an answer
 */
export async function openAuthorityStore(
  { place, eventsKeptMs }: Pick<AuthorityConfig, 'place' | 'eventsKeptMs'>,
  clock: Clock,
  onTrouble: (error: unknown) => void,
): Promise<AuthorityStore> {
  switch (place.type) {
    case 'sqlite':
      makeHome(dirname(place.path))
      return openSqliteAuthorityStore(place.path, { clock, eventsKeptMs })
    case 'postgres': {
      // Loaded here alone: who has a file needs no driver.
      const { openPostgresAuthorityStore } = await import('../store/authority/postgres.ts')
      return openPostgresAuthorityStore({
        ...{ connectionString: place.url, eventsKeptMs, clock, onTrouble },
      })
    }
  }
}

function makeHome(folder: string): void {
  try {
    makeFolder(folder)
  } catch (error) {
    throw new RescindError(
      'store_unwritable',
      `The folder ${folder} cannot be made. Check its permissions, or set RESCIND_HOME.`,
      { cause: error },
    )
  }
}
