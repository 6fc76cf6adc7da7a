import type { RevocationWait } from '../connections/disconnect.ts'
import { createHealth, type Health } from '../connections/health.ts'
import { createNotices, type Notices } from '../connections/notices.ts'
import { createReauthorizing, type Reauthorizing } from '../connections/reauthorize.ts'
import { createVault, type Vault } from '../connections/vault.ts'
import {
  type ConnectionTenant,
  connectionTenant,
  type VaultParts,
} from '../connections/vault-parts.ts'
import { createWatch, type Watch } from '../connections/watch.ts'
import type { Context } from './context.ts'

/** The connections of a command's configuration, and what is done with them. */
export interface OpenVault {
  readonly parts: VaultParts
  readonly vault: Vault
  readonly health: Health
  readonly watch: Watch
  readonly notices: Notices
  readonly reauthorizing: Reauthorizing
}

/**
 * Opens the connections on a command's store; they are closed with the context.
 *
 * @throws RescindError what opening a store throws, `config_invalid`
 */
export async function openVault(context: Context): Promise<OpenVault> {
  const { io, config, http, store, tenant, output } = context
  const { connections } = await store()
  const { clock, random, signal } = io
  const tenants = new Map<string, ConnectionTenant>()
  const parts: VaultParts = {
    ...{ store: connections, http, clock, random },
    onWait: ({ id, until }) => output.note(waitNote(id, until)),
    onSlowRevocation: (wait) => output.note(slowNote(wait)),
    tenantOf(name) {
      const known = tenants.get(name) ?? connectionTenant(tenant(name))
      tenants.set(name, known)
      return known
    },
  }
  const vault = createVault(parts)
  const health = createHealth(parts, vault)
  const receivers = config.receivers()
  const accept = config.connections()?.acceptChanges
  return {
    reauthorizing: createReauthorizing(parts, vault, { accept }),
    ...{ parts, vault, health, watch: createWatch(parts, health) },
    notices: createNotices({ store: connections, http, clock, random, receivers, signal }),
  }
}

function waitNote(id: string, until: number): string {
  const end = new Date(until).toISOString()
  return `Another process began a refresh of ${id} and has not ended it: waiting for it until ${end} at the latest. It may have died; what became of its token is looked at then.`
}

function slowNote({ id, tenant, until }: RevocationWait): string {
  const end = new Date(until).toISOString()
  return `The provider of ${tenant} was asked to revoke ${id} and has not answered: it has time until ${end}.`
}
