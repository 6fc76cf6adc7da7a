export {
  type ConformanceConfig,
  conformanceSchema,
  readConformanceConfig,
} from './conformance/config.ts'
export {
  type CaseResult,
  type ConformanceOptions,
  type ConformanceReport,
  hasFailed,
  type RunStart,
  runConformance,
  undecidedMusts,
} from './conformance/conformance.ts'
export { ERRORS, type ErrorCode, EXIT, type ExitCode, RescindError } from './core/errors.ts'
export { createHttp, type Http, type HttpOptions } from './core/http.ts'
export { Secret } from './core/secret.ts'
export type { ClientAuthMethod, OAuthClient } from './protocol/client-auth.ts'
export { discoverServer, type ServerMetadata } from './protocol/discovery.ts'
export type { Evidence } from './protocol/exchange.ts'
export type { LifeSign } from './protocol/introspect.ts'
export type { OAuthRequest, Way } from './protocol/oauth-request.ts'
export {
  type HeldToken,
  type Look,
  type RevocationTarget,
  type Rfc7009TargetOptions,
  rfc7009Target,
} from './protocol/revocation-target.ts'
export {
  processRevocationResponse,
  type RevocationAnswer,
  type TokenTypeHint,
} from './protocol/revoke.ts'
export { type Revocation, type RevokeTokenOptions, revokeToken } from './protocol/revoke-token.ts'
export {
  lookAtToken,
  type Sighting,
  type Verification,
  type VerifyOptions,
  verifyDead,
} from './protocol/verify-dead.ts'
export {
  type SalesforceTargetOptions,
  salesforceTarget,
} from './providers/salesforce/revoke-token.ts'
