import type { Insertable, Selectable } from 'kysely'
import type {
  Account,
  AppMatch,
  AppRow,
  Comeback,
  Covers,
  ReachKind,
  TokenRow,
  UserRow,
} from '../core/listing.ts'
import type { Fingerprint } from '../core/secret.ts'
import type { Inventory, InventoryEnd, ListedToken } from './inventories.ts'
import type { Schema, TokenTable } from './schema.ts'
import { newId, type StoreParts } from './store.ts'

export const HANDLE = 'token.handle'

export const INSERT_TOKEN = `INSERT INTO token (inventory, fingerprint, slice, kind, handle, "user", app,
  app_match, created_at, last_used_at, use_count, own) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)
  ON CONFLICT (inventory, fingerprint) DO UPDATE SET slice = excluded.slice,
  last_used_at = excluded.last_used_at, use_count = excluded.use_count, own = excluded.own`

export const LISTED_COLUMNS = [
  'fingerprint',
  'kind',
  'user',
  'app',
  'app_match',
  'created_at',
  'last_used_at',
  'use_count',
  'own',
] as const

export function asListed(
  row: Omit<Selectable<TokenTable>, 'inventory' | 'slice' | 'handle'>,
): ListedToken {
  return {
    fingerprint: row.fingerprint as Fingerprint,
    kind: row.kind,
    userId: row.user,
    appId: row.app,
    appMatch: row.app_match,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    useCount: row.use_count,
    own: row.own === 1,
  }
}

export function tokenRow(
  parts: StoreParts,
  { no, tenant }: Inventory,
  slice: number,
  token: TokenRow,
) {
  return [
    no,
    parts.fingerprint(token.handle),
    slice,
    token.kind,
    parts.sealer.seal(token.handle, { tenant, column: HANDLE }),
    token.userId,
    token.appId,
    token.appMatch,
    token.createdAt,
    token.lastUsedAt,
    token.useCount,
    token.own ? 1 : 0,
  ]
}

export const INSERT_USER = `INSERT INTO inventory_user (inventory, id, name, display_name, active, frozen,
  type, profile, last_login_at) VALUES (?,?,?,?,?,?,?,?,?)
  ON CONFLICT (inventory, id) DO UPDATE SET name = excluded.name,
  display_name = excluded.display_name, active = excluded.active, frozen = excluded.frozen,
  type = excluded.type, profile = excluded.profile, last_login_at = excluded.last_login_at`

export function userRow({ no }: Inventory, user: UserRow) {
  return [
    no,
    user.id,
    user.name,
    user.displayName,
    flag(user.active),
    flag(user.frozen),
    user.type,
    user.profile,
    user.lastLoginAt,
  ]
}

export function asUser(row: Selectable<Schema['inventory_user']>): UserRow {
  return {
    id: row.id,
    name: row.name,
    displayName: row.display_name,
    active: unflag(row.active),
    frozen: unflag(row.frozen),
    type: row.type,
    profile: row.profile,
    lastLoginAt: row.last_login_at,
  }
}

export const INSERT_APP = `INSERT INTO inventory_app (inventory, id, label, kind, match, installed,
  admin_approved, reaches, comeback, comeback_why) VALUES (?,?,?,?,?,?,?,?,?,?)
  ON CONFLICT (inventory, id) DO UPDATE SET label = excluded.label, kind = excluded.kind,
  match = excluded.match, installed = excluded.installed,
  admin_approved = excluded.admin_approved, reaches = excluded.reaches,
  comeback = excluded.comeback, comeback_why = excluded.comeback_why`

export function appRow({ no }: Inventory, app: AppRow) {
  return [
    no,
    app.id,
    app.label,
    app.kind,
    app.match,
    flag(app.installed),
    flag(app.adminApproved),
    app.reaches.join(','),
    app.comeback,
    app.comebackWhy,
  ]
}

export function asApp(row: Selectable<Schema['inventory_app']>): AppRow {
  return {
    id: row.id,
    label: row.label,
    kind: row.kind,
    match: row.match as AppMatch,
    installed: unflag(row.installed),
    adminApproved: unflag(row.admin_approved),
    reaches: row.reaches.split(',').filter(Boolean) as ReachKind[],
    comeback: row.comeback as Comeback,
    comebackWhy: row.comeback_why,
  }
}

function flag(value: boolean | null): 0 | 1 | null {
  return value === null ? null : value ? 1 : 0
}

function unflag(value: 0 | 1 | null): boolean | null {
  return value === null ? null : value === 1
}

export function emptyInventory(
  tenant: string,
  provider: string,
  account: Account,
  now: number,
): Insertable<Schema['inventory']> {
  return {
    id: newId('inv'),
    tenant,
    provider,
    account: JSON.stringify(account),
    state: 'running',
    why: 'it is being taken, or was cut off',
    taken_at: now,
    finished_at: null,
    counted_before: null,
    counted_after: null,
    tokens: 0,
    users: 0,
    apps: 0,
    covers: JSON.stringify('all'),
    whole: 0,
    notes: '[]',
  }
}

export function endColumns(end: InventoryEnd, now: number) {
  return {
    state: end.state,
    why: end.why,
    finished_at: now,
    counted_before: end.counted.before,
    counted_after: end.counted.after,
    covers: JSON.stringify(end.covers),
    whole: end.whole ? (1 as const) : (0 as const),
    notes: JSON.stringify(end.notes),
  }
}

export function asInventory(row: Selectable<Schema['inventory']>): Inventory {
  return {
    no: row.no,
    id: row.id,
    tenant: row.tenant,
    provider: row.provider,
    account: JSON.parse(row.account) as Account,
    state: row.state,
    why: row.why,
    takenAt: row.taken_at,
    finishedAt: row.finished_at,
    counted: { before: row.counted_before, after: row.counted_after },
    tokens: row.tokens,
    users: row.users,
    apps: row.apps,
    covers: JSON.parse(row.covers) as Covers,
    whole: row.whole === 1,
    notes: JSON.parse(row.notes) as string[],
  }
}
