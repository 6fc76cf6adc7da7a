export type { Email } from './open-connectors/account.ts'
export {
  type Fault as OpenConnectorsFault,
  type FaultKind as OpenConnectorsFaultKind,
  OPEN_CONNECTORS_FAULT_KINDS,
  OPEN_CONNECTORS_ROUTE_NAMES,
  type RouteName as OpenConnectorsRouteName,
} from './open-connectors/faults.ts'
export {
  DEFAULT_OPEN_CONNECTORS_SWITCHES,
  type OpenConnectorsOptions,
  type OpenConnectorsSwitches,
} from './open-connectors/options.ts'
export type { ProviderCall, Trigger } from './open-connectors/provider.ts'
export type { Night } from './open-connectors/refresh.ts'
export type { RequestRecord as OpenConnectorsRequestRecord } from './open-connectors/request-log.ts'
export {
  type AccountControls,
  type AccountCredentials,
  createOpenConnectors,
  type OpenConnectorsAccount,
  type OpenConnectorsEstate,
  startOpenConnectors,
} from './open-connectors/start.ts'
export type { AccountTruth, InstanceTruth } from './open-connectors/truth.ts'
export type { AddedGrant, AddGrant } from './salesforce/added-grant.ts'
export type { App, AppKind } from './salesforce/apps.ts'
export type { PasswordCredentials, SalesforceCredentials } from './salesforce/credentials.ts'
export {
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  ROUTE_NAMES,
  type RouteName,
} from './salesforce/faults.ts'
export type { Cause } from './salesforce/grants.ts'
export {
  DEFAULT_SIZE,
  DEFAULT_SWITCHES,
  type OrgSize,
  type OrgSkew,
  type SalesforceOptions,
  type SalesforceSwitches,
} from './salesforce/options.ts'
export type { RequestRecord } from './salesforce/request-log.ts'
export {
  createSalesforce,
  type OrgControls,
  type SalesforceEstate,
  type SalesforceOrg,
  startSalesforce,
} from './salesforce/start.ts'
export type {
  AppTruth,
  GrantTruth,
  GroundTruth,
  SessionTruth,
  TruthCounts,
  UserTruth,
} from './salesforce/truth.ts'
