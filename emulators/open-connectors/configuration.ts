/** An instance's configuration: a flat map in which numbers and booleans are texts, and unset is null or empty. */
export type Configuration = Record<string, string | null>

/** What masked secrets look like, whatever their length. */
export const MASK = '********'

/** The values that answers may mask: passwords and client secrets, never the OAuth tokens. */
const MASKED_KEYS = ['oauth.api.secret', 'sfdc.api.secret', 'sfdc.password', 'sfdc.security.token']

/** The configuration of a Salesforce instance before its own values. */
export function defaultConfiguration(loginUrl: string): Configuration {
  return {
    'base.url': '',
    'oauth.user.token': null,
    'oauth.user.refresh_token': null,
    'oauth.user.refresh_interval': '3600',
    'oauth.user.refresh_time': null,
    'oauth.api.key': null,
    'oauth.api.secret': null,
    'oauth.callback.url': null,
    'oauth.scope': 'full refresh_token',
    'oauth.basic.header': 'true',
    'authentication.type': 'oauth2',
    'authentication.time': null,
    'sfdc.revoke.url': `${loginUrl}/services/oauth2/revoke`,
    'sfdc.token.url': `${loginUrl}/services/oauth2/token`,
    'sfdc.user.id.url': '',
    'sfdc.user.id': '',
    'sfdc.username': '',
    'sfdc.password': '',
    'sfdc.security.token': '',
    'sfdc.user.display.name': '',
    'sfdc.api.key': '',
    'sfdc.api.secret': '',
    'sfdc.session.signature': '',
    'sfdc.session.instance.url': '',
    'sfdc.session.api.version.uri': '',
    'session.id': '',
    'crm.session.refresh.time': '',
    'crm.session.refresh.interval': '',
    'event.notification.enabled': 'false',
    'event.notification.callback.url': null,
    'event.notification.signature.key': null,
    'event.notification.subscription.id': null,
    'event.vendor.type': 'polling',
    'event.poller.refresh_interval': '15',
    'event.poller.urls': '',
    'event.poller.configuration': null,
    'event.helper.key': '',
    'filter.response.nulls': 'true',
    'pagination.max': '100',
    'pagination.type': 'offset',
    'bulk.query.field_name': 'CreatedDate',
    'bulk.query.operator': '>',
    'bulk.query.download_format': 'JSON',
  }
}

/** Reads a configuration that somebody sent: booleans and numbers become texts. Gives undefined where it is no map. */
export function readConfiguration(value: unknown): Configuration | undefined {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, entry === null ? null : String(entry)]),
  )
}

/** Gives the names that are missing or blank. */
export function missingKeys(given: Configuration, required: readonly string[]): readonly string[] {
  return required.filter((key) => (given[key] ?? '') === '')
}

/** Gives a configuration with asterisks in place of its secrets. */
export function maskSecrets(configuration: Configuration): Configuration {
  const masked = { ...configuration }
  for (const key of MASKED_KEYS) if ((masked[key] ?? '') !== '') masked[key] = MASK
  return masked
}

/** Gives a configuration without the entries that are only asterisks. */
export function dropMasks(configuration: Configuration): Configuration {
  return Object.fromEntries(
    Object.entries(configuration).filter(([, value]) => value === null || !/^\*+$/.test(value)),
  )
}

/** Gives the secrets that a configuration holds, for a search of outputs that must not have one. */
export function secretsOf(configuration: Configuration): readonly string[] {
  const keys = [...MASKED_KEYS, 'oauth.user.token', 'oauth.user.refresh_token']
  return keys.map((key) => configuration[key] ?? '').filter((value) => value !== '')
}
