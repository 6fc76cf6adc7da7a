import type { Secret } from '../../core/secret.ts'
import type { OpenConnectorsSettings } from './settings.ts'

/**
 * Writes the one header of the platform: `User …, Organization …`, and `Element …` for a call through an
 * instance. Not Basic and not Bearer, whatever the vendor's table of headers says.
 *
 * @see https://help.openconnectors.ext.hana.ondemand.com/home/disabling-and-enabling-instances
 */
export function authorizationHeader(
  { userSecret, organizationSecret, switches }: OpenConnectorsSettings,
  elementToken?: Secret,
): string {
  const user = `User ${userSecret.reveal()}`
  const organization = `Organization ${organizationSecret.reveal()}`
  if (elementToken === undefined) return `${user}, ${organization}`
  const element = `Element ${elementToken.reveal()}`
  switch (switches.elementHeader) {
    case 'user-organization-element':
      return `${user}, ${organization}, ${element}`
    case 'user-element':
      return `${user}, ${element}`
  }
}
