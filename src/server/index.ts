export type { Clock } from '../core/clock.ts'
export { ERRORS, type ErrorCode, RescindError } from '../core/errors.ts'
export { Secret } from '../core/secret.ts'
export type { Handle, WireAnswer, WireRequest } from '../core/wire.ts'
export type {
  AskedRows,
  AuthorityStore,
  Change,
  ClientRow,
  Committed,
  EventRow,
  GrantRow,
  GrantView,
  MarkRow,
  Marks,
  NewEvent,
  Note,
  Reach,
  ReachCount,
  TokenAsked,
  TokenEnd,
  TokenKind,
  TokenRow,
  TokenView,
} from '../store/authority/contract.ts'
export { isGrantDead, markKey, markKeysOf } from '../store/authority/contract.ts'
export { askInSteps } from '../store/authority/in-steps.ts'
export {
  openPostgresAuthorityStore,
  type PostgresAuthorityOptions,
} from '../store/authority/postgres.ts'
export {
  openSqliteAuthorityStore,
  type SqliteAuthorityOptions,
} from '../store/authority/sqlite.ts'
export { loadKey } from '../store/key.ts'
export {
  type Authority,
  type AuthorityOptions,
  createAuthority,
  type IssueRequest,
} from './authority.ts'
export type { Client, ClientAuthMethod, ClientSettings, GrantType } from './client-settings.ts'
export type { Clients, NewClient } from './clients.ts'
export type { Authorize, AuthorizeAsk, Authorized } from './endpoints/authorize.ts'
export type {
  GlobalRevocationCaller,
  GlobalRevocationOptions,
  SubjectIdentifier,
} from './endpoints/global-revocation.ts'
export type { EndpointPaths } from './endpoints/paths.ts'
export type { SigningCaller } from './endpoints/signed-caller.ts'
export { type Asked, type Cause, type EventType, eventOf, type Happened } from './events.ts'
export type { Explanation } from './explain.ts'
export { fingerprintOf } from './fingerprint.ts'
export type { TokenAnswer } from './grant.ts'
export type { ActiveToken, Introspection } from './introspect.ts'
export { type Death, deathOf } from './judge.ts'
export { behindProxy } from './mounts/behind-proxy.ts'
export { type ExpressRequest, mountExpress } from './mounts/express.ts'
export { type FastifyHost, mountFastify } from './mounts/fastify.ts'
export { type FetchContext, mountFetch } from './mounts/fetch.ts'
export { type HonoContext, type HonoMountOptions, mountHono } from './mounts/hono.ts'
export { mountNode } from './mounts/node.ts'
export { type EndpointName, onlyEndpoints } from './mounts/only.ts'
export type { Observer } from './observer.ts'
export type { AccessTokenCascade, Lifetimes } from './options.ts'
export type { OAuthErrorCode, Refusal } from './refusal.ts'
export type { Revoked, RevokeReach } from './revoke.ts'
export type { RotatedKey, SigningAlg, SigningKeyStatus } from './signing-keys.ts'
export { createTokenFormat, type ParsedToken, type TokenFormat } from './token-format.ts'
export type { SentAgain, WebhookAside, WebhookDesk, WebhookStatus } from './webhook-desk.ts'
export type { Webhook } from './webhook-endpoint.ts'
export type { CallerKey } from './wire/bearer.ts'
export type { CertificateHeader } from './wire/client-auth.ts'
