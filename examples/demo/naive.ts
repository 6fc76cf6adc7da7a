import type { OrgProcess } from '../../emulators/salesforce/spawn.ts'

const QUERY = 'SELECT Id, AppName, UserId, DeleteToken, LastUsedDate FROM OauthToken'

interface Page {
  readonly records: readonly unknown[]
  readonly nextRecordsUrl?: string
}

/**
 * Counts the tokens as most scripts do: log in, query once, follow every page to the last. Salesforce
 * ends such a query at 2,500 rows, and says nothing.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_oauthtoken.htm
 */
export async function countNaively(org: OrgProcess, signal: AbortSignal): Promise<number> {
  const headers = { authorization: `Bearer ${await logIn(org, signal)}` }
  let next: string | undefined = `/services/data/v64.0/query?q=${encodeURIComponent(QUERY)}`
  let rows = 0
  while (next !== undefined) {
    const page: Page = await readJson(`${org.url}${next}`, { headers, signal })
    rows += page.records.length
    next = page.nextRecordsUrl
  }
  return rows
}

async function logIn(org: OrgProcess, signal: AbortSignal): Promise<string> {
  const { clientId, clientSecret } = org.credentials.integration
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
  })
  const url = `${org.url}/services/oauth2/token`
  const answer = await readJson<{ access_token: string }>(url, { method: 'POST', body, signal })
  return answer.access_token
}

/** Such a script is run again by hand when a call fails; here, three times at most. */
async function readJson<Answer>(url: string, init: RequestInit, tries = 3): Promise<Answer> {
  try {
    const answer = await fetch(url, init)
    if (answer.ok) return (await answer.json()) as Answer
    throw new Error(`the org answered ${answer.status}`)
  } catch (error) {
    if (tries <= 1 || init.signal?.aborted) throw error
    return readJson(url, init, tries - 1)
  }
}
