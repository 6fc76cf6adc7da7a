import type { AppCatalogue, KnownApp } from './apps.ts'
import { isNamed } from './attribution.ts'
import type { UsageToken } from './external-apps.ts'
import type { OauthTokenRow } from './oauth-tokens.ts'

/** Finds which rows of OauthToken are tokens that the usage API lists, by its own ids. */
export interface UsageMatch {
  /** Says whether a row may be one of them; such a row is judged only beside all the others. */
  mayBeListed(row: OauthTokenRow): boolean
  /** Judges all rows that may be listed. */
  judge(rows: Iterable<OauthTokenRow>): UsageVerdict
}

export interface UsageVerdict {
  /** The external client app of each row that the usage API confirms. */
  readonly appOf: ReadonlyMap<OauthTokenRow, string>
  /** Tokens that no row stands for. */
  readonly unlisted: readonly UsageToken[]
}

/**
 * Makes the match of one reading of the usage API. The two lists share no id: a token and a row are
 * one when user and second are the same, and the row names the app. Where that leaves a choice, rows
 * and tokens are taken for different ones: a token that is listed twice is harmless, one that is
 * hidden behind another's row is not.
 */
export function createUsageMatch(
  catalogue: AppCatalogue,
  tokens: readonly UsageToken[],
): UsageMatch {
  const apps = new Map(catalogue.apps.map((app) => [app.id, app]))
  const tokensOf = new Map<string, UsageToken[]>()
  for (const token of tokens) {
    const moment = momentOf(token)
    if (moment === null) continue
    pushTo(tokensOf, keyOf(token.appId, moment), token)
  }
  const listed = [...new Set(tokens.map(({ appId }) => appId))]
  const keysOf = (row: OauthTokenRow): readonly string[] => {
    // Of a million rows few are of these apps: the rest is told without a string made for it.
    const ids = listed.filter((id) => mayBeOf(row, apps.get(id)))
    const moment = ids.length === 0 ? null : momentOf(row)
    if (moment === null) return []
    return ids.map((id) => keyOf(id, moment)).filter((key) => tokensOf.has(key))
  }
  return {
    mayBeListed: (row) => keysOf(row).length > 0,
    judge(rows) {
      const rowsOf = new Map<string, OauthTokenRow[]>()
      const undecidable = new Set<string>()
      for (const row of rows) {
        const keys = keysOf(row)
        for (const key of keys) {
          pushTo(rowsOf, key, row)
          if (keys.length > 1) undecidable.add(key)
        }
      }
      const appOf = new Map<OauthTokenRow, string>()
      const matched = new Set<UsageToken>()
      for (const [key, group] of tokensOf) {
        const found = rowsOf.get(key) ?? []
        if (undecidable.has(key) || found.length !== group.length) continue
        for (const [index, token] of group.entries()) {
          appOf.set(found[index] as OauthTokenRow, token.appId)
          matched.add(token)
        }
      }
      return { appOf, unlisted: tokens.filter((token) => !matched.has(token)) }
    },
  }
}

/**
 * The user and the second of a token: what both lists say of it. Null where one of them is missing.
 */
export function momentOf(token: {
  readonly userId: string | null
  readonly createdAt: number | null
}): string | null {
  const { userId, createdAt } = token
  // The org stores whole seconds; the usage API may write them finer.
  return userId === null || createdAt === null ? null : `${userId} ${Math.floor(createdAt / 1000)}`
}

function keyOf(appId: string, moment: string): string {
  return `${appId} ${moment}`
}

function mayBeOf({ applicationId, appName }: OauthTokenRow, app: KnownApp | undefined): boolean {
  if (!app) return false
  if (applicationId !== null) return applicationId === app.id
  return appName !== null && isNamed(app, appName)
}

function pushTo<Item>(lists: Map<string, Item[]>, key: string, item: Item): void {
  const list = lists.get(key)
  if (list) list.push(item)
  else lists.set(key, [item])
}
