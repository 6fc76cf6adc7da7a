import { RescindError } from './errors.ts'

/** The named hatches of `--accept-risk`. */
export const RISKS = ['plain-http'] as const
export type Risk = (typeof RISKS)[number]

/**
 * Parses a URL that a credential may be sent to: https, or http to a loopback host. User and
 * password in a URL are refused, for they would be printed with it.
 *
 * @throws RescindError `url_invalid` or `url_plain_http`
 */
export function parseEndpoint(text: string, name: string, acceptRisk: readonly Risk[] = []): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new RescindError(
      'url_invalid',
      `${name} is not a web address: "${withoutUserInfo(text).slice(0, 200)}". Write it whole, like https://login.example.com.`,
    )
  }
  if (url.username || url.password) {
    throw new RescindError(
      'url_invalid',
      `${name} carries a user name or a password. Take them out: credentials never stand in a URL.`,
    )
  }
  if (url.protocol === 'http:' && !isLoopback(url) && !acceptRisk.includes('plain-http')) {
    throw new RescindError(
      'url_plain_http',
      `${name} is plain HTTP to ${url.host}, where anybody on the way can read the token. Use https, or accept it with --accept-risk=plain-http.`,
    )
  }
  return url
}

/** People paste user and password along: what stands before an @ is not repeated. */
function withoutUserInfo(text: string): string {
  return text.replace(/^([a-z][\w+.-]*:\/*)?.*@/is, '$1…@')
}

/** Says whether a URL's host is this machine: localhost, 127.0.0.0/8 or ::1. */
export function isLoopback(url: URL): boolean {
  const host = url.hostname
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(host)
  )
}

/** Returns a URL as it may be printed: origin and path, without query and fragment. */
export function printableUrl(url: URL | string): string {
  const parsed = new URL(url)
  return parsed.origin + parsed.pathname
}
