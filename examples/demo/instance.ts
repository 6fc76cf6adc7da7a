import { randomBytes } from 'node:crypto'
import type { AccountProcess } from '../../emulators/open-connectors/spawn.ts'
import type { OrgProcess } from '../../emulators/salesforce/spawn.ts'

const CALLBACK = 'http://127.0.0.1:4711/callback'

/** Asks the account for its OAuth URL, and lets the user consent by the form of the login: gives the code. */
export async function askForCode(
  { credentials }: Pick<OrgProcess, 'credentials'>,
  { apiUrl }: Pick<AccountProcess, 'apiUrl'>,
): Promise<string> {
  const { connected, limited } = credentials
  const query = new URLSearchParams({
    apiKey: connected.clientId,
    apiSecret: connected.clientSecret,
    callbackUrl: CALLBACK,
    scope: 'api id refresh_token',
    state: randomBytes(16).toString('hex'),
  })
  const asked = await fetch(`${apiUrl}/elements/sfdc/oauth/url?${query}`)
  const { oauthUrl } = (await asked.json()) as { oauthUrl: string }
  const { origin, pathname, searchParams } = new URL(oauthUrl)
  const { username, password } = limited
  const login = Object.entries({ username, password, decision: 'allow' })
  const form = new URLSearchParams([...searchParams, ...login])
  const back = await fetch(origin + pathname, { method: 'POST', body: form, redirect: 'manual' })
  return new URL(back.headers.get('location') ?? CALLBACK).searchParams.get('code') ?? ''
}

/**
 * Makes an instance as anybody would: OAuth URL, consent, and the code posted.
 *
 * @see https://help.openconnectors.ext.hana.ondemand.com/home/authenticate-instance-api
 */
export async function makeInstance(
  org: Pick<OrgProcess, 'credentials'>,
  account: Pick<AccountProcess, 'apiUrl' | 'credentials'>,
): Promise<number> {
  const { connected } = org.credentials
  const code = await askForCode(org, account)
  const { userSecret, organizationSecret } = account.credentials
  const made = await fetch(`${account.apiUrl}/instances`, {
    method: 'POST',
    headers: {
      authorization: `User ${userSecret}, Organization ${organizationSecret}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      element: { key: 'sfdc' },
      name: 'Drill target',
      tags: ['drill-target'],
      providerData: { code },
      configuration: {
        'oauth.callback.url': CALLBACK,
        'oauth.api.key': connected.clientId,
        'oauth.api.secret': connected.clientSecret,
        'oauth.scope': 'api id refresh_token',
      },
    }),
  })
  const { id } = (await made.json()) as { id?: number }
  if (id === undefined) throw new Error(`the account answered ${made.status} to a new instance`)
  return id
}
