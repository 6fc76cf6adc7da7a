export { type Clock, systemClock } from '../core/clock.ts'
export { ERRORS, type ErrorCode, RescindError } from '../core/errors.ts'
export { createHttp, type Http, type HttpOptions } from '../core/http.ts'
export { type Fingerprint, Secret } from '../core/secret.ts'
export type { ConnectionApp, ConnectionTraits, Identity } from '../providers/connection-way.ts'
export type { TenantConfig } from '../providers/provider.ts'
export type { ConnectionStore } from '../store/connections.ts'
export { openStore, type Store, type StoreOptions } from '../store/store.ts'
export { type ConnectionsApi, type ConnectionsApiOptions, createConnectionsApi } from './api.ts'
export type {
  Cause,
  CauseCode,
  Connection,
  ConnectionEvent,
  ConnectionState,
} from './connection.ts'
export type { Disconnected } from './disconnect.ts'
export {
  type EvidenceFault,
  type EvidenceRecord,
  type EvidenceSound,
  verifyEvidence,
} from './drill/evidence.ts'
export { GRANT_CHANGES, type GrantChange } from './grant-change.ts'
export { type Checked, createHealth, type Health } from './health.ts'
export { createNotices, type NoticeAside, type Notices } from './notices.ts'
export {
  type Connections,
  type OpenConnectionsOptions,
  openConnections,
  type TenantOptions,
} from './open.ts'
export type { Answer, Failure } from './open-connectors/answer.ts'
export {
  createOpenConnectorsClient,
  type OpenConnectorsClient,
} from './open-connectors/client.ts'
export type { Instance } from './open-connectors/instance.ts'
export {
  type Reauthorized,
  type ReauthorizeMeans,
  type ReauthorizeWish,
  reauthorizeInstance,
} from './open-connectors/reauthorize.ts'
export type { NewInstance } from './open-connectors/requests.ts'
export {
  DEFAULT_OPEN_CONNECTORS_SWITCHES,
  type ElementApp,
  type OpenConnectorsSettings,
  type OpenConnectorsSwitches,
} from './open-connectors/settings.ts'
export { type TracedCall, traceLine } from './open-connectors/trace.ts'
export type { OpenConnectorsMeans } from './open-connectors/traced-send.ts'
export {
  type CallbackAnswer,
  createReauthorizing,
  type Invitation,
  type PendingConnection,
  type ReauthorizeOptions,
  type Reauthorizing,
  type ReconnectOutcome,
} from './reauthorize.ts'
export { reconnectPage } from './reconnect-page.ts'
export { type AccessToken, createVault, type NewConnection, type Vault } from './vault.ts'
export { type ConnectionTenant, connectionTenant, type VaultParts } from './vault-parts.ts'
export { createWatch, type Watch } from './watch.ts'
