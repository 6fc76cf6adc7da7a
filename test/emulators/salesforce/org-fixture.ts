import { onTestFinished } from 'vitest'
import {
  type GrantTruth,
  type SalesforceOptions,
  type SalesforceOrg,
  startSalesforce,
} from '../../../emulators/index.ts'

/** The clock at which the orgs of these tests stand still, unless a test moves it. */
export const NOW_MS = Date.UTC(2026, 5, 15, 12, 0, 0)

/** Starts an org that ends with the test. */
export async function startOrg(options: SalesforceOptions = {}): Promise<SalesforceOrg> {
  const org = await startSalesforce({
    seed: 11,
    size: { users: 60, apps: 16, tokens: 1_200 },
    now: () => NOW_MS,
    ...options,
  })
  onTestFinished(() => org.close())
  return org
}

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes.
  readonly json: any
}

/** Sends a request and reads the whole answer; redirects are not followed. */
export async function send(url: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(url, { redirect: 'manual', ...init })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: parsed(text) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Calls a resource of the REST API as the admin, or with another access token. */
export function rest(
  org: SalesforceOrg,
  path: string,
  init: RequestInit = {},
  accessToken = org.credentials.accessToken,
): Promise<Reply> {
  const headers = { authorization: `Bearer ${accessToken}`, ...init.headers }
  return send(`${org.url}/services/data/v62.0${path}`, { ...init, headers })
}

/** Runs one query and gives its first page. */
export function query(org: SalesforceOrg, soql: string, accessToken?: string): Promise<Reply> {
  return rest(org, `/query?q=${encodeURIComponent(soql)}`, {}, accessToken)
}

/** Runs a query through all its pages. */
export async function queryAllPages(
  org: SalesforceOrg,
  soql: string,
  accessToken?: string,
  // biome-ignore lint/suspicious/noExplicitAny: records of many objects.
): Promise<{ readonly totalSize: number; readonly records: any[]; readonly pages: number[] }> {
  let { json: page } = await query(org, soql, accessToken)
  const records = [...page.records]
  const pages = [page.records.length]
  while (page.nextRecordsUrl !== undefined) {
    const path = page.nextRecordsUrl.replace('/services/data/v62.0', '')
    page = (await rest(org, path, {}, accessToken)).json
    records.push(...page.records)
    pages.push(page.records.length)
  }
  return { totalSize: page.totalSize, records, pages }
}

/** Posts a form. */
export function post(
  org: SalesforceOrg,
  path: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return send(org.url + path, { method: 'POST', body: new URLSearchParams({ ...form }), headers })
}

/** Presents a token to the revoke endpoint. */
export function revoke(org: SalesforceOrg, token: string): Promise<Reply> {
  return post(org, '/services/oauth2/revoke', { token })
}

/** Exchanges a refresh token of an app. */
export function refresh(org: SalesforceOrg, grant: GrantTruth): Promise<Reply> {
  return post(org, '/services/oauth2/token', {
    grant_type: 'refresh_token',
    refresh_token: grant.refreshToken,
    ...clientOf(org, grant.appId),
  })
}

/** Gives the form fields of an app's client credentials; the secret is among the org's secrets. */
export function clientOf(org: SalesforceOrg, clientId: string): Record<string, string> {
  const app = org.truth.apps().find((entry) => entry.appId === clientId)
  return app?.clientSecret === undefined
    ? { client_id: clientId }
    : { client_id: clientId, client_secret: app.clientSecret }
}

/** Finds a living grant. */
export function grantWhere(
  org: SalesforceOrg,
  accepts: (grant: GrantTruth) => boolean,
): GrantTruth {
  for (const grant of org.truth.grants()) if (grant.alive && accepts(grant)) return grant
  throw new Error('the org of this test has no such grant')
}

/** A grant whose user and app may use it, and not the admin's: what most tests begin with. */
export function usableGrant(org: SalesforceOrg): GrantTruth {
  const { admin } = org.credentials
  return grantWhere(
    org,
    (grant) =>
      grant.app === 'Drift' &&
      grant.userIsActive &&
      !grant.userIsFrozen &&
      grant.userId !== admin.userId,
  )
}
