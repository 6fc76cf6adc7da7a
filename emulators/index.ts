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
