import type { Clock, Random } from '../core/clock.ts'
import { isRescindError, RescindError } from '../core/errors.ts'
import type { Http } from '../core/http.ts'
import {
  type ConnectionApp,
  type ConnectionTraits,
  type ConnectionWay,
  traitsOf,
} from '../providers/connection-way.ts'
import type { Provider, TenantConfig } from '../providers/provider.ts'
import { findProvider } from '../providers/registry.ts'
import type { ConnectionStore } from '../store/connections.ts'
import type { RevocationWait } from './disconnect.ts'
import type { LeaseWait } from './lease.ts'

/** What connections of one tenant are made and kept alive with. */
export interface ConnectionTenant {
  readonly name: string
  readonly provider: string
  readonly way: ConnectionWay
  readonly app: ConnectionApp
  readonly traits: ConnectionTraits
}

/** What every part of the vault is given. */
export interface VaultParts {
  readonly store: ConnectionStore
  readonly http: Http
  readonly clock: Clock
  readonly random: Random
  /** @throws RescindError `tenant_unknown`, `config_invalid`, `provider_unsupported` */
  readonly tenantOf: (name: string) => ConnectionTenant
  /** How long a refresh of another process is waited for before it is taken for cut off. */
  readonly leaseMs?: number | undefined
  /** Is told where that takes long. */
  readonly onWait?: ((wait: LeaseWait) => void) | undefined
  /** Is told where a provider takes long to answer a revocation. */
  readonly onSlowRevocation?: ((wait: RevocationWait) => void) | undefined
}

/**
 * Returns what a tenant's connections work with; null where it is configured no longer, or not in this
 * process, or is of a provider that has none.
 *
 * @throws RescindError `config_invalid`
 */
export function configuredTenant(
  { tenantOf }: Pick<VaultParts, 'tenantOf'>,
  name: string,
): ConnectionTenant | null {
  try {
    return tenantOf(name)
  } catch (error) {
    if (isRescindError(error, 'tenant_unknown', 'provider_unsupported')) return null
    throw error
  }
}

/**
 * Reads what connections need of a tenant's configuration.
 *
 * @throws RescindError `config_invalid`, `provider_unknown`, `provider_unsupported`
 */
export function connectionTenant(tenant: TenantConfig): ConnectionTenant {
  const { name, provider: id, app: settings } = tenant
  const { title, connection: way } = providerOf(name, id)
  if (!way) {
    const message = `${title}, the provider of tenant "${name}", has no connections: there is nobody's consent to renew. Use a tenant of oauth2 or salesforce.`
    throw new RescindError('provider_unsupported', message)
  }
  if (!settings) {
    const message = `Tenant "${name}" has no app. Add its clientId, clientSecret, redirectUri and scopes under app in rescind.yaml.`
    throw new RescindError('config_invalid', message)
  }
  const app: ConnectionApp = { ...settings, url: tenant.url }
  way.checkApp?.(name, app)
  return { name, provider: id, way, app, traits: traitsOf(way, app) }
}

function providerOf(tenant: string, id: string): Provider {
  try {
    return findProvider(id)
  } catch (cause) {
    if (!isRescindError(cause)) throw cause
    throw new RescindError(cause.code, `tenants.${tenant}.provider: ${cause.message}`, { cause })
  }
}
