import { type ConnectionTenant, connectionTenant } from '../connections/vault-parts.ts'
import { isRescindError } from '../core/errors.ts'
import type { TenantConfig } from '../providers/provider.ts'
import type { Config } from './config.ts'

/** Returns the tenants whose app has this client id: the providers behind an element of Open Connectors. */
export function tenantsOfClient(
  { tenants }: Pick<Config, 'tenants'>,
  clientId: string,
): readonly TenantConfig[] {
  return [...tenants.values()].filter((tenant) => clientIdOf(tenant) === clientId)
}

/**
 * Returns those of them that may be asked of a grant: the provider of another one has no connections.
 *
 * @throws RescindError `config_invalid`, `provider_unknown`
 */
export function connectionTenantsOf(
  config: Pick<Config, 'tenants'>,
  clientId: string,
): readonly ConnectionTenant[] {
  return tenantsOfClient(config, clientId).flatMap((tenant) => {
    try {
      return [connectionTenant(tenant)]
    } catch (error) {
      if (isRescindError(error, 'provider_unsupported')) return []
      throw error
    }
  })
}

/** A tenant whose variables are not set here cannot be asked, and stops nobody who asks another. */
function clientIdOf(tenant: TenantConfig): string | undefined {
  try {
    return tenant.app?.clientId
  } catch (error) {
    if (isRescindError(error)) return undefined
    throw error
  }
}
