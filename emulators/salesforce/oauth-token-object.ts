import type { App } from './apps.ts'
import { countGrants, type OwnerViews, selectGrants } from './grant-select.ts'
import type { Org } from './org.ts'
import { defineFields, defineRelations, type FieldRecipe, type SObject } from './soql-object.ts'
import type { User } from './users.ts'

/** OauthToken is served by its own rules: 500 rows a page, nothing past 2,500, and no word about it. */
const PAGE_ROWS = 500
const QUERY_ROWS_MAX = 2_500
const OFFSET_MAX = 2_000

/** The objects to which OauthToken's relationships lead. */
export interface TokenParents {
  readonly user: () => SObject
  readonly appMenuItem: () => SObject
}

/**
 * Defines OauthToken over the grants of an org; its rows are row numbers of the grant table.
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_oauthtoken.htm
 */
export function defineOauthToken(org: Org, parents: TokenParents, withRevoked: boolean): SObject {
  const { grants, switches } = org
  const userOf = (row: number): User => org.users[grants.user[row]!]!
  const appOf = (row: number): App => org.apps[grants.app[row]!]!
  const selection = { views: defineViews(org, parents), withRevoked }
  const object: SObject = {
    name: 'OauthToken',
    keyPrefix: '',
    fields: defineFields<number>({
      Id: ['id', () => ({ null: null, zeros: '000000000000000AAA', empty: '' })[switches.idIsNull]],
      ...tokenFields(org),
      ...appFields(org, appOf),
      ...userFields(userOf),
      ...useFields(org),
    }),
    relations: defineRelations<number>({
      User: [parents.user, userOf],
      AppMenuItem: [parents.appMenuItem, (row) => menuItemOf(org, appOf(row))],
    }),
    select: (caller, where, visit) =>
      selectGrants(org, { ...selection, object, caller, where }, visit),
    count: (caller, where) => countGrants(org, { ...selection, object, caller, where }),
    pageRows: PAGE_ROWS,
    rowsMax: QUERY_ROWS_MAX,
    offsetMax: switches.offsetPast2500 === 'allowed' ? Number.POSITIVE_INFINITY : OFFSET_MAX,
    groups: switches.groupBy === 'allowed',
  }
  return object
}

/** The columns that hold credentials. AccessToken holds the refresh token, as the vendor documents it. */
function tokenFields(org: Org): Record<string, FieldRecipe<number>> {
  const rotation = (row: number): number => org.grants.rotation[row]!
  return {
    AccessToken: ['token', (row) => org.codec.encode('refresh', row, rotation(row))],
    DeleteToken: ['token', (row) => org.codec.encode('delete', row, 0)],
    RequestToken: ['token', (row) => requestTokenOf(org, row)],
  }
}

/** The authorization code by which a grant was made; generated grants have one too. */
export function requestTokenOf(org: Org, row: number): string {
  return org.codeByRow.get(row) ?? org.codec.encode('code', row, 0)
}

function useFields(org: Org): Record<string, FieldRecipe<number>> {
  const { grants, switches } = org
  const refused = { filterable: false, sortable: false } as const
  return {
    LastUsedDate: [
      'datetime',
      (row) => (grants.lastUsedS[row] === 0 ? null : grants.lastUsedS[row]! * 1000),
      { groupable: false },
    ],
    CreatedDate: [
      'datetime',
      (row) => grants.createdS[row]! * 1000,
      switches.createdDateFilter === 'refused' ? refused : {},
    ],
    UseCount: ['int', (row) => grants.useCount[row]!],
  }
}

function appFields<Row>(org: Org, appOf: (row: Row) => App): Record<string, FieldRecipe<Row>> {
  return {
    AppName: ['text', (row) => appOf(row).label],
    AppMenuItemId: ['id', (row) => menuItemOf(org, appOf(row))?.appMenuItemId ?? null],
  }
}

function userFields<Row>(userOf: (row: Row) => User): Record<string, FieldRecipe<Row>> {
  return { UserId: ['id', (row) => userOf(row).id] }
}

/** Gives the app behind AppMenuItemId, or null where the column is empty. */
function menuItemOf(org: Org, app: App): App | null {
  if (app.appMenuItemId === null) return null
  return app.kind === 'external' && org.switches.ecaAppMenuItemId === 'null' ? null : app
}

/**
 * The columns that depend on the user alone, and on the app alone, as objects of their own: a condition
 * on them is then judged once a user or once an app, not once a row.
 */
function defineViews(org: Org, parents: TokenParents): OwnerViews {
  const view = (
    fields: SObject['fields'],
    relations: SObject['relations'],
    owners: readonly unknown[],
  ): SObject => ({
    name: 'OauthToken',
    keyPrefix: '',
    fields,
    relations,
    select: (_caller, _where, visit) => owners.forEach(visit),
    count: () => owners.length,
    pageRows: 0,
    rowsMax: 0,
    offsetMax: 0,
    groups: false,
  })
  return {
    users: view(
      defineFields<User>(userFields((user: User) => user)),
      defineRelations<User>({ User: [parents.user, (user) => user] }),
      org.users,
    ),
    apps: view(
      defineFields<App>(appFields(org, (app: App) => app)),
      defineRelations<App>({ AppMenuItem: [parents.appMenuItem, (app) => menuItemOf(org, app)] }),
      org.apps,
    ),
  }
}
