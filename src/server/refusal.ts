/** The errors of RFC 6749 sections 4.1.2.1 and 5.2, RFC 7009 section 2.2.1. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'
  | 'unsupported_token_type'
  | 'access_denied'
  | 'temporarily_unavailable'
  | 'server_error'

/** A request that is refused: the wire's code, and a sentence that is safe to show. */
export interface Refusal {
  readonly error: OAuthErrorCode
  /** Printable ASCII without quotes, as RFC 6749 section 5.2 wants it. */
  readonly error_description: string
}

export function refuse(error: OAuthErrorCode, error_description: string): Refusal {
  return { error, error_description }
}

export function isRefusal(value: object): value is Refusal {
  return 'error' in value
}
