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

/** A tenant whose variables are not set here cannot be asked, and stops nobody who asks another. */
function clientIdOf(tenant: TenantConfig): string | undefined {
  try {
    return tenant.app?.clientId
  } catch (error) {
    if (isRescindError(error)) return undefined
    throw error
  }
}
