import { createRandom } from '../random.ts'
import { PREFIX, recordId } from './record-id.ts'
import { randomText } from './token-codec.ts'
import { ROLE_USER } from './users.ts'

/** How an app is present: an installed connected app, an External Client App, or only in OauthToken. */
export type AppKind = 'connected' | 'external' | 'uninstalled'

/** One app that holds or can get tokens. */
export interface App {
  readonly index: number
  readonly kind: AppKind
  /** The label, by which OauthToken names the app. Two apps may share one, and one may be renamed. */
  label: string
  readonly developerName: string
  readonly clientId: string
  readonly clientSecret: string
  /** The id of its ConnectedApplication (0H4) or ExternalClientApplication (0xI); null where uninstalled. */
  readonly applicationId: string | null
  readonly appMenuItemId: string | null
  readonly callbackUrls: readonly string[]
  readonly scopes: readonly string[]
  readonly createdMs: number
  /** Only users who were approved by an administrator may use it. */
  adminApproved: boolean
  /** Each refresh gives a new refresh token and ends the old one. */
  rotatesRefreshTokens: boolean
  /** The token endpoint asks for the client secret, on refresh too. */
  readonly secretRequired: boolean
  /** Takes JWT bearer assertions signed with the org's registered key. */
  readonly jwtBearer: boolean
  /** The user as whom client credentials run, or null where that flow is off. */
  readonly clientCredentialsUser: number | null
  /** May introspect tokens of every app. */
  readonly introspectsAll: boolean
  policyAction: 'Block' | null
  sessionLevel: string | null
}

/** The apps that have a part to play, by index; the generator adds others after them. */
export const ROLE_APP = {
  tool: 0,
  drift: 1,
  driftChat: 2,
  cli: 3,
  dataSync: 4,
  reportingOne: 5,
  reportingTwo: 6,
  phantom: 7,
  externalOne: 8,
  externalTwo: 9,
  deployer: 10,
  warehouse: 11,
  mobile: 12,
  rotating: 13,
} as const

/** The smallest org still has every app with a part to play. */
export const APPS_MIN = Object.keys(ROLE_APP).length

interface Recipe {
  readonly label: string
  readonly developerName?: string
  readonly kind?: AppKind
  readonly clientId?: string
  readonly callbackUrls?: readonly string[]
  readonly adminApproved?: boolean
  readonly rotates?: boolean
  readonly secretRequired?: boolean
  readonly jwtBearer?: boolean
  readonly runAs?: number
  readonly introspectsAll?: boolean
}

const LOOPBACK = ['http://localhost:1717/OauthRedirect', 'http://127.0.0.1:*/callback']

const RECIPES: readonly Recipe[] = [
  {
    label: 'Rescind',
    callbackUrls: [...LOOPBACK, 'http://localhost:*/callback', 'http://127.0.0.1:*/OauthRedirect'],
    secretRequired: false,
    introspectsAll: true,
  },
  { label: 'Drift' },
  { label: 'Drift Chat' },
  {
    label: 'Salesforce CLI',
    developerName: 'SalesforceDX_namespace',
    clientId: 'PlatformCLI',
    callbackUrls: LOOPBACK,
    secretRequired: false,
  },
  { label: 'Data Sync' },
  { label: 'Reporting', developerName: 'Reporting_Finance' },
  { label: 'Reporting', developerName: 'Reporting_Sales' },
  { label: 'Dataloader Partner', kind: 'uninstalled' },
  { label: 'Gainsight Connector', kind: 'external' },
  { label: 'Klue Battlecards', kind: 'external' },
  {
    label: 'CI Deployer',
    callbackUrls: LOOPBACK,
    adminApproved: true,
    jwtBearer: true,
    secretRequired: false,
  },
  { label: 'Warehouse Export', adminApproved: true, runAs: ROLE_USER.integration },
  { label: 'Salesforce for iOS', secretRequired: false },
  { label: 'Slack Bridge', rotates: true },
]

const MORE_LABELS =
  'Outreach,Gong,Zoominfo Sync,Marketo,Tableau,Data Loader,DocuSign,Conga Composer,Zapier,Workato,MuleSoft,Dell Boomi,Ironclad,HubSpot Sync,Chili Piper,Clari,Seismic,Highspot,LeanData,Segment,Fivetran,Snowflake Loader,Calendly,Zoom Meetings,Jira Connector,NetSuite Sync'.split(
    ',',
  )

/** Makes the apps of the org: those with a part to play first, then others by seed. */
export function generateApps(seed: number, count: number, asOfMs: number): App[] {
  const random = createRandom(seed, 'apps')
  const key = Math.imul(seed | 1, 0x7feb352d)
  return Array.from({ length: Math.max(count, APPS_MIN) }, (_, index) => {
    const recipe = RECIPES[index] ?? { label: labelOf(index) }
    const createdMs = asOfMs - (1_000 + random.int(1_000)) * 86_400_000
    return buildApp(index, recipe, key, createdMs, index >= APPS_MIN && random.int(10) === 0)
  })
}

function labelOf(index: number): string {
  const at = index - APPS_MIN
  const label = MORE_LABELS[at % MORE_LABELS.length]!
  return at < MORE_LABELS.length ? label : `${label} ${Math.floor(at / MORE_LABELS.length) + 1}`
}

function buildApp(
  index: number,
  recipe: Recipe,
  key: number,
  createdMs: number,
  rotates: boolean,
): App {
  const kind = recipe.kind ?? 'connected'
  return {
    index,
    kind,
    label: recipe.label,
    developerName: recipe.developerName ?? recipe.label.replaceAll(' ', '_'),
    clientId: recipe.clientId ?? `3MVG9${randomText(key, index * 2, 80)}`,
    clientSecret: randomText(key, index * 2 + 1, 64).toUpperCase(),
    applicationId: applicationIdOf(kind, index),
    appMenuItemId: kind === 'uninstalled' ? null : recordId(PREFIX.appMenuItem, index + 1),
    callbackUrls: recipe.callbackUrls ?? [
      `https://app${index}.example.com/oauth/callback`,
      'http://127.0.0.1:*/callback',
      'http://127.0.0.1:*/connections/callback',
    ],
    scopes: ['api', 'web', 'id', 'refresh_token', 'openid', 'full'],
    createdMs,
    adminApproved: recipe.adminApproved ?? false,
    rotatesRefreshTokens: recipe.rotates ?? rotates,
    secretRequired: recipe.secretRequired ?? true,
    jwtBearer: recipe.jwtBearer ?? false,
    clientCredentialsUser: recipe.runAs ?? null,
    introspectsAll: recipe.introspectsAll ?? false,
    policyAction: null,
    sessionLevel: null,
  }
}

function applicationIdOf(kind: AppKind, index: number): string | null {
  switch (kind) {
    case 'connected':
      return recordId(PREFIX.connectedApplication, index + 1)
    case 'external':
      return recordId(PREFIX.externalClientApplication, index + 1)
    case 'uninstalled':
      return null
  }
}
