import type { App } from './apps.ts'
import { defineOauthToken } from './oauth-token-object.ts'
import { type AuditRecord, isPermitted, type LoginRecord, loginTypeOf, type Org } from './org.ts'
import { PREFIX, recordId } from './record-id.ts'
import { isSessionAlive, type Session } from './sessions.ts'
import {
  countBySelect,
  defineFields,
  defineRelations,
  type FieldRecipe,
  type SObject,
} from './soql-object.ts'
import { compileWhere } from './soql-predicate.ts'
import { ALL_PERMISSIONS, type Profile, type User } from './users.ts'

/** Rows of one page and of one query, for every object but OauthToken. */
const PAGE_ROWS = 2_000
const QUERY_ROWS_MAX = 50_000
const OFFSET_MAX = 2_000
const EPOCH_MS = Date.UTC(2019, 2, 4)

/** The objects of an org, by lower-case name. */
export type Schema = ReadonlyMap<string, SObject>

interface ObjectRecipe<Row> {
  readonly name: string
  readonly keyPrefix: string
  readonly fields: Readonly<Record<string, FieldRecipe<Row>>>
  readonly relations?: SObject['relations']
  readonly rows: (caller: Session) => Iterable<Row>
}

function defineObject<Row>(recipe: ObjectRecipe<Row>): SObject {
  const select: SObject['select'] = (caller, where, visit) => {
    const accepts = where === undefined ? () => true : compileWhere(object, where, caller)
    for (const row of recipe.rows(caller)) if (accepts(row)) visit(row)
  }
  const object: SObject = {
    name: recipe.name,
    keyPrefix: recipe.keyPrefix,
    fields: defineFields(recipe.fields),
    relations: recipe.relations ?? new Map(),
    select,
    count: countBySelect(select),
    pageRows: PAGE_ROWS,
    rowsMax: QUERY_ROWS_MAX,
    offsetMax: OFFSET_MAX,
    groups: true,
  }
  return object
}

/** Defines every object that this org can be asked about; OauthToken with its dead rows where told. */
export function defineSchema(org: Org, withRevoked: boolean): Schema {
  const schema = new Map<string, SObject>()
  const object = (name: string) => (): SObject => schema.get(name)!
  const all = [
    defineOauthToken(
      org,
      { user: object('user'), appMenuItem: object('appmenuitem') },
      withRevoked,
    ),
    defineUser(org, object),
    defineProfile(org),
    defineAccount(),
    defineUserLogin(org, object),
    defineAuthSession(org, object),
    defineLoginHistory(org, object),
    defineAppMenuItem(org),
    defineConnectedApplication(org),
    defineOrganization(org),
    defineSetupEntityAccess(org),
    defineSetupAuditTrail(org, object),
    ...(org.switches.userPermissionAccess === 'supported' ? [definePermissionAccess(org)] : []),
    ...(org.switches.ecaObjects === 'queryable' ? [defineEca(org), defineEcaPolicy(org)] : []),
  ]
  for (const entry of all) schema.set(entry.name.toLowerCase(), entry)
  return schema
}

type ObjectByName = (name: string) => () => SObject

function defineUser(org: Org, object: ObjectByName): SObject {
  return defineObject<User>({
    name: 'User',
    keyPrefix: PREFIX.user,
    fields: {
      Id: ['id', (user) => user.id],
      Username: ['text', (user) => user.username],
      Name: ['text', (user) => user.name],
      FirstName: ['text', (user) => user.firstName],
      LastName: ['text', (user) => user.lastName],
      Email: ['text', (user) => user.email],
      Alias: ['text', (user) => user.lastName.slice(0, 8).toLowerCase()],
      IsActive: ['boolean', (user) => user.isActive],
      UserType: ['text', (user) => user.userType],
      ProfileId: ['id', (user) => user.profile.id],
      LastLoginDate: ['datetime', (user) => user.lastLoginMs],
      CreatedDate: ['datetime', (user) => user.createdMs],
      LastModifiedDate: ['datetime', (user) => user.createdMs],
    },
    relations: defineRelations<User>({ Profile: [object('profile'), (user) => user.profile] }),
    rows: () => org.users,
  })
}

/** Records for a client that reads some business data; which ones does not matter. */
const ACCOUNTS = ['Acme', 'Globex', 'Initech', 'Umbrella', 'Hooli'].map((name, at) => ({
  id: recordId(PREFIX.account, at + 1),
  name,
}))

function defineAccount(): SObject {
  return defineObject<(typeof ACCOUNTS)[number]>({
    name: 'Account',
    keyPrefix: PREFIX.account,
    fields: {
      Id: ['id', (account) => account.id],
      Name: ['text', (account) => account.name],
      CreatedDate: ['datetime', () => EPOCH_MS],
    },
    rows: () => ACCOUNTS,
  })
}

function defineProfile(org: Org): SObject {
  return defineObject<Profile>({
    name: 'Profile',
    keyPrefix: PREFIX.profile,
    fields: {
      Id: ['id', (profile) => profile.id],
      Name: ['text', (profile) => profile.name],
      ...permissionFields<Profile>((profile) => profile),
    },
    rows: () => new Set(org.users.map((user) => user.profile)),
  })
}

function permissionFields<Row>(profileOf: (row: Row) => Profile): Record<string, FieldRecipe<Row>> {
  return Object.fromEntries(
    ALL_PERMISSIONS.map((permission) => [
      `Permissions${permission}`,
      ['boolean', (row: Row) => profileOf(row).permissions.has(permission)] as FieldRecipe<Row>,
    ]),
  )
}

/** One row, for the asking user himself, as the vendor defines this object. */
function definePermissionAccess(org: Org): SObject {
  return defineObject<User>({
    name: 'UserPermissionAccess',
    keyPrefix: '',
    fields: {
      Id: ['id', () => '000000000000000AAA'],
      ...permissionFields<User>((user) => user.profile),
    },
    rows: (caller) => [org.users[caller.user]!],
  })
}

function defineUserLogin(org: Org, object: ObjectByName): SObject {
  return defineObject<User>({
    name: 'UserLogin',
    keyPrefix: PREFIX.userLogin,
    fields: {
      Id: ['id', (user) => user.userLoginId],
      UserId: ['id', (user) => user.id],
      IsFrozen: ['boolean', (user) => user.isFrozen],
      IsPasswordLocked: ['boolean', () => false],
      LastModifiedDate: ['datetime', (user) => user.createdMs],
    },
    relations: defineRelations<User>({ User: [object('user'), (user) => user] }),
    rows: (caller) => (isPermitted(org, caller, 'ManageUsers') ? org.users : []),
  })
}

function defineAuthSession(org: Org, object: ObjectByName): SObject {
  return defineObject<Session>({
    name: 'AuthSession',
    keyPrefix: PREFIX.authSession,
    fields: {
      Id: ['id', (session) => session.id],
      UsersId: ['id', (session) => org.users[session.user]!.id],
      CreatedDate: ['datetime', (session) => session.createdMs],
      LastModifiedDate: ['datetime', (session) => session.lastModifiedMs],
      NumSecondsValid: ['int', (session) => session.numSecondsValid],
      UserType: ['text', (session) => org.users[session.user]!.userType],
      SourceIp: ['text', (session) => session.sourceIp],
      LoginType: ['text', loginTypeOf],
      SessionType: ['text', (session) => sessionTypeOf(session)],
      SessionSecurityLevel: ['text', () => 'STANDARD'],
      ParentId: ['id', () => null],
      LogoutUrl: ['text', () => null],
      LoginHistoryId: ['id', (session) => org.loginHistory.get(session.ordinal)?.id ?? null],
      IsCurrent: ['boolean', (session, caller) => session.id === caller.id],
    },
    relations: defineRelations<Session>({
      Users: [object('user'), (session) => org.users[session.user]],
      LoginHistory: [object('loginhistory'), (session) => org.loginHistory.get(session.ordinal)],
    }),
    rows: (caller) => visibleSessions(org, caller),
  })
}

function sessionTypeOf(session: Session): string {
  if (session.origin === 'Ui') return 'UI'
  return session.origin === 'SoapLogin' ? 'API' : 'Oauth2'
}

function* visibleSessions(org: Org, caller: Session): Iterable<Session> {
  const everyone = isPermitted(org, caller, 'ManageUsers')
  const now = org.now()
  for (const session of org.sessions.byToken.values()) {
    if (isSessionAlive(session, now) && (everyone || session.user === caller.user)) yield session
  }
}

function defineLoginHistory(org: Org, object: ObjectByName): SObject {
  const unfiltered = { filterable: false } as const
  const appLabel = (entry: LoginRecord): string => org.apps[entry.app]?.label ?? 'Browser'
  return defineObject<LoginRecord>({
    name: 'LoginHistory',
    keyPrefix: PREFIX.loginHistory,
    fields: {
      Id: ['id', (entry) => entry.id],
      UserId: ['id', (entry) => org.users[entry.user]!.id],
      LoginTime: ['datetime', (entry) => entry.atMs],
      LoginType: ['text', (entry) => entry.loginType],
      LoginSubType: ['text', (entry) => entry.loginSubType],
      SourceIp: ['text', (entry) => entry.sourceIp],
      Status: ['text', (entry) => entry.status, unfiltered],
      Application: ['text', appLabel, unfiltered],
      Platform: ['text', () => 'Unknown', unfiltered],
      Browser: ['text', () => 'Unknown', unfiltered],
      ApiType: ['text', () => 'REST API', unfiltered],
    },
    relations: defineRelations<LoginRecord>({
      User: [object('user'), (entry) => org.users[entry.user]],
    }),
    rows: (caller) =>
      isPermitted(org, caller, 'ManageUsers')
        ? org.loginHistory.values()
        : [...org.loginHistory.values()].filter((entry) => entry.user === caller.user),
  })
}

function defineAppMenuItem(org: Org): SObject {
  return defineObject<App>({
    name: 'AppMenuItem',
    keyPrefix: PREFIX.appMenuItem,
    fields: {
      Id: ['id', (app) => app.appMenuItemId],
      ApplicationId: ['id', (app) => app.applicationId],
      Label: ['text', (app) => app.label],
      Name: ['text', (app) => app.developerName],
      NamespacePrefix: ['text', () => null],
      Type: ['text', () => 'ConnectedApplication'],
      IsUsingAdminAuthorization: ['boolean', (app) => app.adminApproved],
      IsAccessible: ['boolean', () => true],
      IsVisible: ['boolean', () => true],
      SortOrder: ['int', (app) => app.index],
      CreatedDate: ['datetime', (app) => app.createdMs],
    },
    rows: () => org.apps.filter((app) => app.appMenuItemId !== null),
  })
}

function defineConnectedApplication(org: Org): SObject {
  const expires = org.switches.refreshTokenPolicy === 'expires-at-once'
  return defineObject<App>({
    name: 'ConnectedApplication',
    keyPrefix: PREFIX.connectedApplication,
    fields: {
      Id: ['id', (app) => app.applicationId],
      Name: ['text', (app) => app.label],
      OptionsAllowAdminApprovedUsersOnly: ['boolean', (app) => app.adminApproved],
      OptionsRefreshTokenValidityMetric: ['boolean', () => false],
      RefreshTokenValidityPeriod: ['int', () => (expires ? 0 : null)],
      OptionsHasSessionLevelPolicy: ['boolean', (app) => app.sessionLevel !== null],
      OptionsAppIssueJwtTokenEnabled: ['boolean', () => false],
      OptionsTokenExchangeManageBitEnabled: ['boolean', () => false],
      StartUrl: ['text', () => null],
      MobileSessionTimeout: ['text', () => null],
      CreatedDate: ['datetime', (app) => app.createdMs],
      LastModifiedDate: ['datetime', (app) => app.createdMs],
    },
    rows: () => org.apps.filter((app) => app.kind === 'connected'),
  })
}

function defineEca(org: Org): SObject {
  return defineObject<App>({
    name: 'ExternalClientApplication',
    keyPrefix: PREFIX.externalClientApplication,
    fields: {
      Id: ['id', (app) => app.applicationId],
      MasterLabel: ['text', (app) => app.label],
      DeveloperName: ['text', (app) => app.developerName],
    },
    rows: () => org.apps.filter((app) => app.kind === 'external'),
  })
}

function defineEcaPolicy(org: Org): SObject {
  return defineObject<App>({
    name: 'ExtlClntAppOauthPlcyCnfg',
    keyPrefix: PREFIX.externalClientAppPolicy,
    fields: {
      Id: ['id', (app) => recordId(PREFIX.externalClientAppPolicy, app.index + 1)],
      ExternalClientApplicationId: ['id', (app) => app.applicationId],
      PermittedUsersPolicyType: [
        'text',
        (app) => (app.adminApproved ? 'AdminApprovedPreAuthorized' : 'AllSelfAuthorized'),
      ],
    },
    rows: () => org.apps.filter((app) => app.kind === 'external'),
  })
}

function defineOrganization(org: Org): SObject {
  return defineObject<Org>({
    name: 'Organization',
    keyPrefix: PREFIX.organization,
    fields: {
      Id: ['id', () => org.organizationId],
      Name: ['text', () => org.name],
      InstanceName: ['text', () => 'EMU1'],
      IsSandbox: ['boolean', () => false],
      TrialExpirationDate: ['datetime', () => null],
      NamespacePrefix: ['text', () => null],
      OrganizationType: ['text', () => 'Enterprise Edition'],
      CreatedDate: ['datetime', () => EPOCH_MS],
    },
    rows: () => [org],
  })
}

/** One row for each app that an administrator has opened to a profile. */
function defineSetupEntityAccess(org: Org): SObject {
  return defineObject<App>({
    name: 'SetupEntityAccess',
    keyPrefix: PREFIX.setupEntityAccess,
    fields: {
      Id: ['id', (app) => recordId(PREFIX.setupEntityAccess, app.index + 1)],
      ParentId: ['id', () => org.users[0]!.profile.permissionSetId],
      SetupEntityId: ['id', (app) => app.applicationId],
      SetupEntityType: [
        'text',
        (app) => (app.kind === 'external' ? 'ExternalClientApplication' : 'ConnectedApplication'),
      ],
    },
    rows: (caller) =>
      isPermitted(org, caller, 'ViewSetup') ? org.apps.filter((app) => app.adminApproved) : [],
  })
}

function defineSetupAuditTrail(org: Org, object: ObjectByName): SObject {
  return defineObject<AuditRecord>({
    name: 'SetupAuditTrail',
    keyPrefix: PREFIX.setupAuditTrail,
    fields: {
      Id: ['id', (entry) => entry.id],
      Action: ['text', (entry) => entry.action],
      Section: ['text', (entry) => entry.section],
      Display: ['text', (entry) => entry.display],
      CreatedDate: ['datetime', (entry) => entry.atMs],
      CreatedById: ['id', (entry) => org.users[entry.user]!.id],
    },
    relations: defineRelations<AuditRecord>({
      CreatedBy: [object('user'), (entry) => org.users[entry.user]],
    }),
    rows: (caller) => (isPermitted(org, caller, 'ViewSetup') ? org.auditTrail : []),
  })
}
