import type { AppRow, TokenRow, UserRow } from '../../src/core/listing.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Inventory, InventoryEnd } from '../../src/store/inventories.ts'
import type { Store } from '../../src/store/store.ts'

/** A user as a provider lists him; what is not said is unremarkable. */
export function user(id: string, more: Partial<UserRow> = {}): UserRow {
  const known = { active: true, frozen: false, type: 'Standard', profile: 'Sales' }
  const name = `${id}@acme.example`
  return { id, name, displayName: id, lastLoginAt: null, ...known, ...more }
}

/** An app as a provider lists it. */
export function app(id: string, more: Partial<AppRow> = {}): AppRow {
  return {
    id,
    label: id,
    kind: 'connected',
    match: 'id',
    installed: true,
    adminApproved: false,
    reaches: ['token'],
    comeback: 'one_consent',
    comebackWhy: 'any of its users can approve it again',
    ...more,
  }
}

/** A token as a provider lists it; its handle tells it apart. */
export function token(handle: string, more: Partial<TokenRow> = {}): TokenRow {
  return {
    kind: 'grant',
    handle: new Secret(handle),
    userId: 'u1',
    appId: 'a1',
    appMatch: 'id',
    createdAt: Date.UTC(2025, 0, 1),
    lastUsedAt: Date.UTC(2025, 5, 1),
    useCount: 3,
    own: false,
    ...more,
  }
}

export interface Listing {
  readonly users?: readonly UserRow[]
  readonly apps?: readonly AppRow[]
  readonly tokens?: readonly TokenRow[]
  readonly end?: Partial<InventoryEnd>
}

/** Stores an inventory as if a provider had listed it. */
export async function storeInventory(store: Store, listing: Listing): Promise<Inventory> {
  const { users = [], apps = [], tokens = [] } = listing
  const account = {
    id: 'org1',
    name: 'Acme',
    url: 'https://acme.example',
    caller: { userId: 'us', userName: 'us@acme.example' },
  }
  const inventory = await store.inventories.begin('acme', 'salesforce', account)
  await store.inventories.addUsers(inventory, users)
  await store.inventories.addApps(inventory, apps)
  await store.inventories.addTokens(inventory, 0, tokens)
  return store.inventories.finish(inventory, {
    state: 'complete',
    why: 'it was counted',
    counted: { before: tokens.length, after: tokens.length },
    covers: 'all',
    whole: true,
    notes: [],
    ...listing.end,
  })
}
