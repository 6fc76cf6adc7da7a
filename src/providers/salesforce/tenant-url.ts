import { RescindError } from '../../core/errors.ts'
import { parseEndpoint } from '../../core/url.ts'
import type { TenantConfig } from '../provider.ts'

/** Logins that ask no login address: where they lead is the org itself, which has no path. */
const LOGINS_WITHOUT_SITE: readonly unknown[] = ['access_token', 'sf']
/** What a browser shows when somebody is at work in an org; under these no client logs in. */
const PAGES =
  /^\/(lightning|setup|one|home|secur|apex|services|login|visualforce)(\/|$)|\.(jsp|app)$/i

/**
 * Checks a tenant's url. A path is kept where the login may go through an Experience Cloud site, and
 * refused where it would be dropped or is a page of the browser.
 *
 * @throws RescindError `url_invalid`
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_endpoints.htm
 */
export function checkTenantUrl({ name, url: text, login }: TenantConfig): void {
  const title = `The url of tenant "${name}"`
  // Plain HTTP is the way out's to refuse: it knows which risks were accepted.
  const url = parseEndpoint(text, title, ['plain-http'])
  // What stands behind the host is not repeated: people paste addresses that carry a session.
  if (url.search || url.hash) throw tooLong(title, url, 'a query or a fragment')
  const path = url.pathname.replace(/\/+$/, '')
  if (path === '') return
  if (PAGES.test(path)) throw tooLong(title, url, 'the path of a page')
  if (LOGINS_WITHOUT_SITE.includes(login.method)) throw tooLong(title, url, 'a path')
}

function tooLong(title: string, url: URL, what: string): RescindError {
  const message = `${title} has ${what} behind its host, which nothing here can use. Write it as ${url.origin}.`
  return new RescindError('url_invalid', message)
}
