import type { Fingerprint, Secret } from './secret.ts'

/** Whose tokens they are, and who we are there. */
export interface Account {
  /** Stable id at the provider (Salesforce: the 18-character org id). */
  readonly id: string
  readonly name: string
  readonly url: string
  readonly caller: {
    readonly userId: string
    readonly userName: string
    /** The app that we are logged in with; null when the provider does not say. */
    readonly app?: string | null
  }
}

/** What one kill call can reach. */
export type ReachKind = 'token' | 'user_app' | 'app'

/** What one kill reaches: one token, all of a user and app, or all of an app. */
export type Reach =
  | { readonly kind: 'token'; readonly token: Fingerprint }
  | { readonly kind: 'user_app'; readonly user: string; readonly app: string }
  | { readonly kind: 'app'; readonly app: string }

/** `grant`: listed with a handle. `session`: an access token without a refresh token. */
export type TokenKind = 'grant' | 'session'

/** How sure the app of a token is: by the vendor's id, by its label alone, or not at all. */
export type AppMatch = 'id' | 'label' | 'none'

export interface TokenRow {
  readonly kind: TokenKind
  readonly handle: Secret
  readonly userId: string | null
  readonly appId: string | null
  readonly appMatch: AppMatch
  /** Milliseconds since the epoch, or null when the provider does not say. */
  readonly createdAt: number | null
  readonly lastUsedAt: number | null
  readonly useCount: number | null
  /** Belongs, or may belong, to the credential that Rescind works with. */
  readonly own: boolean
}

export interface UserRow {
  readonly id: string
  /** The login name, unique at the provider. */
  readonly name: string
  readonly displayName: string | null
  /** Null when the provider does not say. */
  readonly active: boolean | null
  readonly frozen: boolean | null
  readonly type: string | null
  readonly profile: string | null
  readonly lastLoginAt: number | null
}

export interface AppRow {
  /** The vendor's id, or `label:NAME` for an app that is known by its label alone. */
  readonly id: string
  readonly label: string
  /** The vendor's word for what it is: `connected`, `external`, `uninstalled`, … */
  readonly kind: string
  readonly match: AppMatch
  readonly installed: boolean | null
  readonly adminApproved: boolean | null
  /** The kills that the provider has for this app's tokens, coarsest first. */
  readonly reaches: readonly ReachKind[]
  /** How the app can come back after its tokens are dead. */
  readonly comeback: Comeback
  readonly comebackWhy: string
}

/** `at_once`: without a person. `one_consent`: one click of a user. `admin`: only by an admin. */
export type Comeback = 'at_once' | 'one_consent' | 'admin' | 'blocked' | 'unknown'

/** What a list covers: every token of the tenant, or those of some users. */
export type Covers = 'all' | { readonly users: readonly string[] }
