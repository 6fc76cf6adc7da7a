import * as oauth from 'oauth4webapi'

/** One request as it goes on the wire; the body is form-encoded. Holds secrets in the clear. */
export interface OAuthRequest {
  readonly method: 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a request to an authorization server goes out by. */
export interface Way {
  readonly fetch: typeof fetch
  readonly signal?: AbortSignal | undefined
}

/**
 * Returns the options that make oauth4webapi send through our one way out. Its own check for HTTPS
 * is off because the way out has a stricter one, which knows loopback and `--accept-risk`.
 */
export function wayOptions(way: Way) {
  return {
    [oauth.customFetch]: way.fetch as never,
    [oauth.allowInsecureRequests]: true as const,
    ...(way.signal && { signal: way.signal }),
  }
}

/** Runs a sender with a way out that keeps the request instead of sending it, and returns that. */
export async function captureRequest(
  sender: (way: Way) => Promise<Response>,
): Promise<OAuthRequest> {
  let captured: OAuthRequest | undefined
  const capture: typeof fetch = async (input, init) => {
    captured = {
      method: 'POST',
      url: String(input),
      headers: Object.fromEntries(new Headers(init?.headers)),
      body: String(init?.body ?? ''),
    }
    return new Response(null)
  }
  await sender({ fetch: capture })
  if (!captured) throw new Error('The sender sent nothing.')
  return captured
}
