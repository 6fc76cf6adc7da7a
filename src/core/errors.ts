/** The exit codes of the command line, named. */
export const EXIT = {
  /** All planned tokens are proven dead, or the command did what it was asked. */
  ok: 0,
  unexpected: 1,
  /** Usage or configuration. */
  usage: 2,
  /** Not permitted or not authenticated. */
  denied: 3,
  /** The plan was refused: stale, altered, another tenant's, over its limit. */
  planRefused: 4,
  /** Finished, and something is not proven: a token not dead, or a must of a server not kept. */
  notProven: 5,
  /** Stopped by the breaker or a signal; resumable. */
  stopped: 6,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/**
 * Every code that Rescind's errors carry, with the exit code that it gives the command line.
 * `docs/errors.md` explains each; a test holds the two lists equal.
 */
export const ERRORS = {
  unexpected: EXIT.unexpected,
  usage: EXIT.usage,
  config_invalid: EXIT.usage,
  config_missing: EXIT.usage,
  policy_invalid: EXIT.usage,
  tenant_unknown: EXIT.usage,
  tenant_exists: EXIT.usage,
  provider_unknown: EXIT.usage,
  provider_unsupported: EXIT.usage,
  inventory_unknown: EXIT.usage,
  plan_unknown: EXIT.usage,
  run_unknown: EXIT.usage,
  token_missing: EXIT.usage,
  url_invalid: EXIT.usage,
  url_plain_http: EXIT.usage,
  confirmation_missing: EXIT.usage,
  confirmation_wrong: EXIT.usage,
  key_invalid: EXIT.usage,
  key_missing: EXIT.usage,
  store_newer: EXIT.usage,
  store_unfit: EXIT.usage,
  issuer_mismatch: EXIT.usage,
  key_mismatch: EXIT.usage,
  brand_mismatch: EXIT.usage,
  client_unknown: EXIT.usage,
  request_stale: EXIT.denied,
  browser_missing: EXIT.usage,
  instance_unknown: EXIT.usage,
  secret_masked: EXIT.usage,
  connection_unknown: EXIT.usage,
  store_locked: EXIT.unexpected,
  store_down: EXIT.unexpected,
  store_closed: EXIT.unexpected,
  store_full: EXIT.unexpected,
  store_corrupt: EXIT.unexpected,
  store_unwritable: EXIT.usage,
  store_unsealable: EXIT.usage,
  not_authenticated: EXIT.denied,
  not_permitted: EXIT.denied,
  login_needed: EXIT.denied,
  reconnect_refused: EXIT.denied,
  reconnect_needed: EXIT.denied,
  connection_disabled: EXIT.denied,
  host_unreachable: EXIT.unexpected,
  tls_failed: EXIT.unexpected,
  http_timeout: EXIT.unexpected,
  http_reset: EXIT.unexpected,
  http_redirect: EXIT.unexpected,
  http_too_large: EXIT.unexpected,
  answer_invalid: EXIT.unexpected,
  provider_busy: EXIT.unexpected,
  webhook_refused: EXIT.unexpected,
  consent_failed: EXIT.notProven,
  nobody_consented: EXIT.stopped,
  evidence_altered: EXIT.notProven,
  drill_refused: EXIT.planRefused,
  drill_busy: EXIT.planRefused,
  reconnect_failed: EXIT.notProven,
  connection_unwell: EXIT.unexpected,
  plan_altered: EXIT.planRefused,
  plan_stale: EXIT.planRefused,
  plan_other_tenant: EXIT.planRefused,
  plan_over_limit: EXIT.planRefused,
  plan_kills_self: EXIT.planRefused,
  plan_applied: EXIT.planRefused,
  run_busy: EXIT.planRefused,
  stopped_by_breaker: EXIT.stopped,
  stopped_by_signal: EXIT.stopped,
  stopped_by_trouble: EXIT.stopped,
} as const satisfies Record<string, ExitCode>

export type ErrorCode = keyof typeof ERRORS

export interface ErrorDetails {
  readonly cause?: unknown
  /** More for a person who debugs; printed with `--debug` alone. Never holds a secret. */
  readonly detail?: string
}

/**
 * The one error class. `message` is a sentence that says what is wrong, where, and what to do
 * next; it is safe to print. `code` is stable.
 */
export class RescindError extends Error {
  readonly code: ErrorCode
  readonly detail: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'RescindError'
    this.code = code
    this.detail = details.detail
  }

  get exitCode(): ExitCode {
    return ERRORS[this.code]
  }
}

/** Says whether a value is a {@link RescindError}, of one of the codes when some are given. */
export function isRescindError(
  value: unknown,
  ...codes: readonly ErrorCode[]
): value is RescindError {
  return value instanceof RescindError && (codes.length === 0 || codes.includes(value.code))
}
