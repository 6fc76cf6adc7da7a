import type { AppRow } from '../provider.ts'
import { listBlocked } from './app-policy.ts'
import { listSessions, opensAlone } from './auth-sessions.ts'
import { type Permissions, rowsOrNull } from './caller.ts'
import { judgeComeback } from './comeback.ts'
import type { Connection } from './connection.ts'
import { type ExternalApp, listExternalApps } from './external-apps.ts'
import { toLongId } from './ids.ts'
import { isLastingRefusal, type VendorRefusal } from './rest-answer.ts'
import { flagOf, type Row, textOf } from './soql.ts'

/** An app of the org that has an id. */
export interface KnownApp {
  readonly id: string
  readonly label: string
  readonly kind: 'connected' | 'external'
  /** Its name in metadata, which blocking needs. */
  readonly developerName: string | null
  readonly menuItemId: string | null
  readonly adminApproved: boolean | null
  readonly issuesJwt: boolean | null
  /** The usage API knows it, and can kill all of its tokens at once. */
  readonly hasUsage: boolean
}

/** All apps of an org, and how its live sessions were opened. */
export interface AppCatalogue {
  readonly apps: readonly KnownApp[]
  /** For each label, the logins without a person that were seen. */
  readonly opensAlone: ReadonlyMap<string, ReadonlySet<string>>
  /** The ids of apps whose policy lets nobody in, as far as the policies can be read. */
  readonly blocked: ReadonlySet<string>
  /** Kinds of tokens that the org does not list for us, each in words. */
  readonly lacks: readonly string[]
  readonly notes: readonly string[]
}

/** Entries of the app menu that are no OAuth clients. */
const NOT_CLIENTS = new Set(['TabSet', 'Network', 'ServiceProvider'])
/** Key prefixes of the ids: connected apps and external client apps. */
const EXTERNAL_PREFIX = '0xI'

/** Reads what the org knows about its apps; optional objects that it lacks are left out. */
export async function readApps(
  connection: Connection,
  permissions: Permissions,
  signal?: AbortSignal,
): Promise<AppCatalogue> {
  const notes: string[] = []
  const lacks: string[] = []
  const ask = (soql: string, what: string) => rowsOrNull(connection, soql, what, signal)
  const menu = await ask(
    'SELECT Id, ApplicationId, Label, Name, Type, IsUsingAdminAuthorization FROM AppMenuItem',
    'the app menu',
  )
  if (menu === null) notes.push('The app menu cannot be read: apps are known by label alone.')
  const connected = await readConnected(connection, signal)
  const external = await readExternal(connection, signal)
  const labels = await ask(
    'SELECT Id, MasterLabel, DeveloperName FROM ExternalClientApplication',
    'external client apps',
  )
  const apps = new Map<string, KnownApp>()
  for (const row of menu ?? []) addMenuItem(apps, row)
  for (const row of connected ?? []) addConnected(apps, row)
  for (const app of external.apps) addExternal(apps, app, labels ?? [])
  const known = [...apps.values()]
  if (external.refusal) lacks.push(...lacksExternal(external.refusal, known, labels))
  const alone = await readOpensAlone(connection, lacks, signal)
  const blocked = mayReadPolicies(permissions)
    ? await listBlocked(connection, known, signal)
    : new Set<string>()
  return { apps: known, opensAlone: alone, blocked, lacks, notes }
}

/** Reading policies takes what blocking takes; asking in vain would cost calls and an audit entry. */
function mayReadPolicies({ modifyAllData, manageConnectedApps }: Permissions): boolean {
  return modifyAllData !== false || manageConnectedApps !== false
}

/** Returns the row of an app as an inventory shows it. */
export function appRowOf(app: KnownApp, catalogue: AppCatalogue): AppRow {
  const { id, label, kind, adminApproved } = app
  const alone = [...(catalogue.opensAlone.get(label) ?? [])]
  return {
    id,
    label,
    kind,
    match: 'id',
    installed: true,
    adminApproved,
    reaches: app.hasUsage ? ['app', 'user_app', 'token'] : ['token'],
    ...judgeComeback({ ...app, opensAlone: alone, blocked: catalogue.blocked.has(id) }),
  }
}

/** Returns the row of an app that is known by its label alone. */
export function labelRowOf(
  label: string,
  kind: 'uninstalled' | 'ambiguous',
  catalogue: AppCatalogue,
): AppRow {
  const alone = [...(catalogue.opensAlone.get(label) ?? [])]
  const facts = { kind, adminApproved: null, issuesJwt: null, opensAlone: alone, blocked: false }
  return {
    id: labelId(label),
    label,
    kind,
    match: 'label',
    installed: kind === 'uninstalled' ? false : null,
    adminApproved: null,
    reaches: ['token'],
    ...judgeComeback(facts),
  }
}

/** The id of an app that is known by its label alone. */
export function labelId(label: string): string {
  return `label:${label}`
}

async function readConnected(connection: Connection, signal?: AbortSignal) {
  const base = 'Id, Name, OptionsAllowAdminApprovedUsersOnly'
  const from = 'FROM ConnectedApplication'
  const what = 'connected apps'
  // The second field is younger than the first.
  const full = `SELECT ${base}, OptionsAppIssueJwtTokenEnabled ${from}`
  return (
    (await rowsOrNull(connection, full, what, signal)) ??
    (await rowsOrNull(connection, `SELECT ${base} ${from}`, what, signal))
  )
}

async function readExternal(connection: Connection, signal?: AbortSignal) {
  try {
    return { apps: await listExternalApps(connection, signal), refusal: undefined }
  } catch (error) {
    if (!isLastingRefusal(error)) throw error
    return { apps: [], refusal: error }
  }
}

/** What an org answers where it has no external client apps at all. */
const NO_EXTERNAL_APPS = new Set(['NOT_FOUND', 'FUNCTIONALITY_NOT_ENABLED', 'http_404'])

/** Without the usage API their tokens are missing, unless the org has no such apps. */
function lacksExternal(
  { vendorCode }: VendorRefusal,
  apps: readonly KnownApp[],
  listed: readonly Row[] | null,
): readonly string[] {
  const hasNone = apps.every(({ kind }) => kind !== 'external') && (listed ?? []).length === 0
  if (hasNone && (listed !== null || NO_EXTERNAL_APPS.has(vendorCode))) return []
  return [`tokens of external client apps are not visible: the usage API answers ${vendorCode}`]
}

function addMenuItem(apps: Map<string, KnownApp>, row: Row): void {
  const applicationId = textOf(row, 'ApplicationId')
  if (applicationId === null || NOT_CLIENTS.has(textOf(row, 'Type') ?? '')) return
  const id = toLongId(applicationId)
  const menuItemId = textOf(row, 'Id')
  apps.set(id, {
    id,
    label: textOf(row, 'Label') ?? textOf(row, 'Name') ?? id,
    kind: id.startsWith(EXTERNAL_PREFIX) ? 'external' : 'connected',
    developerName: textOf(row, 'Name'),
    menuItemId: menuItemId === null ? null : toLongId(menuItemId),
    adminApproved: flagOf(row, 'IsUsingAdminAuthorization'),
    issuesJwt: null,
    hasUsage: false,
  })
}

function addConnected(apps: Map<string, KnownApp>, row: Row): void {
  const id = toLongId(textOf(row, 'Id') ?? '')
  const known = apps.get(id)
  apps.set(id, {
    id,
    label: known?.label ?? textOf(row, 'Name') ?? id,
    kind: 'connected',
    developerName: known?.developerName ?? null,
    menuItemId: known?.menuItemId ?? null,
    adminApproved:
      flagOf(row, 'OptionsAllowAdminApprovedUsersOnly') ?? known?.adminApproved ?? null,
    issuesJwt: flagOf(row, 'OptionsAppIssueJwtTokenEnabled'),
    hasUsage: false,
  })
}

function addExternal(apps: Map<string, KnownApp>, app: ExternalApp, labels: readonly Row[]): void {
  const named = labels.find((row) => {
    const id = textOf(row, 'Id')
    const sameId = id !== null && toLongId(id) === app.id
    return sameId || (app.developerName && textOf(row, 'DeveloperName') === app.developerName)
  })
  const known = apps.get(app.id)
  const label = (named && textOf(named, 'MasterLabel')) ?? known?.label
  apps.set(app.id, {
    id: app.id,
    label: label ?? app.developerName ?? app.id,
    kind: 'external',
    developerName: app.developerName ?? known?.developerName ?? null,
    menuItemId: known?.menuItemId ?? null,
    adminApproved: known?.adminApproved ?? null,
    issuesJwt: null,
    hasUsage: true,
  })
}

async function readOpensAlone(connection: Connection, lacks: string[], signal?: AbortSignal) {
  const seen = new Map<string, Set<string>>()
  try {
    for await (const page of listSessions(connection, signal)) {
      for (const session of page) {
        if (session.appLabel === null || !opensAlone(session)) continue
        const subtypes = seen.get(session.appLabel) ?? new Set()
        seen.set(session.appLabel, subtypes.add(session.subtype ?? ''))
      }
    }
  } catch (error) {
    if (!isLastingRefusal(error)) throw error
    lacks.push(`sessions without a grant are not visible: the org answers ${error.vendorCode}`)
  }
  return seen
}
