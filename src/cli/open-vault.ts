import type { RevocationWait } from '../connections/disconnect.ts'
import type { LeaseWait } from '../connections/lease.ts'
import { type ConnectionParts, createConnectionParts } from '../connections/open.ts'
import {
  type ConnectionTenant,
  connectionTenant,
  type VaultParts,
} from '../connections/vault-parts.ts'
import { parseEndpoint, type Risk } from '../core/url.ts'
import type { Context } from './context.ts'

/** The connections of a command's configuration, and what is done with them. */
export interface OpenVault extends ConnectionParts {
  readonly parts: VaultParts
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
    onWait: (wait) => output.note(waitNote(wait)),
    onSlowRevocation: (wait) => output.note(slowNote(wait)),
    tenantOf(name) {
      const known = tenants.get(name) ?? connectionTenant(tenant(name))
      tenants.set(name, known)
      return known
    },
  }
  const receivers = config.receivers()
  const accept = config.connections()?.acceptChanges
  const opened = createConnectionParts(parts, { accept, receivers, signal })
  const { stop } = opened.vault.underWay
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  context.atClose(async () => {
    for (const { message } of (await opened.land()).values()) output.note(message)
  })
  return { parts, ...opened }
}

/**
 * Refuses a configuration with a tenant whose connections could not be kept: what runs for long says so at
 * its start, and not at the first connection that is due.
 *
 * @throws RescindError `config_invalid`, `provider_unknown`, `provider_unsupported`, `url_invalid`,
 * `url_plain_http`
 */
export function checkTenants({ config }: Context, risks: readonly Risk[] = []): void {
  for (const [name, tenant] of config.tenants) {
    if (!tenant.app) continue
    const { app } = connectionTenant(tenant)
    parseEndpoint(app.url, `tenants.${name}.url`, risks)
    parseEndpoint(app.redirectUri, `tenants.${name}.app.redirectUri`, risks)
  }
}

function waitNote({ id, what, until }: LeaseWait): string {
  const end = new Date(until).toISOString()
  const then =
    what === 'refresh' ? 'what became of its token is looked at then' : 'it is gone on with then'
  return `Another process began a ${what} of ${id} and has not ended it: waiting for it until ${end} at the latest. It may have died; ${then}.`
}

function slowNote({ id, tenant, until }: RevocationWait): string {
  const end = new Date(until).toISOString()
  return `The provider of ${tenant} was asked to revoke ${id} and has not answered: it has time until ${end}.`
}
