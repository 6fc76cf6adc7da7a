import type { ConnectionApp, TokenAnswer, WayMeans } from '../connection-way.ts'
import { lostTokenAnswer, otherIssuer, unsentTokenAnswer } from '../token-answer.ts'

/** They serve each other's people: who logs in at one may be led to the other, and come back from it. */
const LOGIN_HOST = /^https:\/\/(login|test)\.salesforce\.com$/
const MY_DOMAIN = /^https:\/\/[a-z\d-]+(\.[a-z\d-]+)*\.my\.salesforce\.com$/

/**
 * Refuses a code whose callback names an issuer that is none of this url's; null where it may be
 * presented. The vendor promises no `iss`, so none is no fault; its metadata is asked for where the url
 * alone does not tell.
 *
 * @see RFC 9207 section 2.4
 */
export async function refuseOtherIssuer(
  { url }: Pick<ConnectionApp, 'url'>,
  iss: string | null,
  { http, signal }: WayMeans,
): Promise<TokenAnswer | null> {
  if (iss === null || mayIssueFor(url, iss)) return null
  try {
    const answer = await http.send({
      ...{ method: 'GET', url: metadataUrl(url), signal },
      headers: { accept: 'application/json' },
    })
    const isBusy = answer.status >= 500 || answer.status === 429
    if (isBusy) return unsentTokenAnswer('metadata_busy', `It answered HTTP ${answer.status}.`)
    return issuerIn(answer.body) === iss ? null : otherIssuer(iss)
  } catch (error) {
    // The code was not sent, whatever became of the question for the metadata.
    return { ...lostTokenAnswer(error), mayHaveActed: false }
  }
}

/** Where an org, and a login host, describe themselves: nothing of it needs a grant. */
export function metadataUrl(url: string): string {
  return `${url.replace(/\/+$/, '')}/.well-known/openid-configuration`
}

/** Says whether an issuer is known to be right for a tenant's url without asking there. */
export function mayIssueFor(url: string, iss: string): boolean {
  const { origin } = new URL(url)
  if (iss === origin || iss === url.replace(/\/+$/, '')) return true
  const [there, back] = LOGIN_HOST.test(origin) ? [LOGIN_HOST, MY_DOMAIN] : [MY_DOMAIN, LOGIN_HOST]
  return there.test(origin) && back.test(iss)
}

function issuerIn(body: string): unknown {
  try {
    return (JSON.parse(body) as { readonly issuer?: unknown } | null)?.issuer
  } catch {
    return undefined
  }
}
