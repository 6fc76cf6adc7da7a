import type { AppMatch, AppRow } from '../provider.ts'
import { type AppCatalogue, appRowOf, type KnownApp, labelId, labelRowOf } from './apps.ts'

/** What a token or a session says of its app. */
export interface AppClue {
  readonly applicationId: string | null
  readonly label: string | null
  readonly userId: string | null
}

export interface AppFound {
  readonly appId: string | null
  readonly match: AppMatch
}

export interface Attribution {
  /** Learns what deciding these clues needs; asks the org at most once an app. */
  prepare(clues: readonly AppClue[]): Promise<void>
  /** Finds the app of a prepared clue: by id, else by label where that leaves one app. */
  find(clue: AppClue): AppFound
  /** The rows of apps that were named since the last call, and were not in the catalogue. */
  takeNewApps(): readonly AppRow[]
}

/**
 * Finds out which app tokens belong to. Tokens of external client apps often carry a label alone:
 * one counts for the app only where a single app has the label and lists the token's user.
 *
 * @param usersOf lists the users that have tokens of an external client app
 */
export function createAttribution(
  catalogue: AppCatalogue,
  usersOf: (appId: string) => Promise<ReadonlySet<string>>,
): Attribution {
  const known = new Set(catalogue.apps.map((app) => app.id))
  const newApps: AppRow[] = []
  const users = new Map<string, ReadonlySet<string>>()
  const candidates = new Map<string, readonly KnownApp[]>()

  const externalWith = (label: string): readonly KnownApp[] => {
    const found =
      candidates.get(label) ??
      catalogue.apps.filter((app) => app.kind === 'external' && isNamed(app, label))
    candidates.set(label, found)
    return found
  }
  const name = (row: AppRow): string => {
    if (!known.has(row.id)) {
      known.add(row.id)
      newApps.push(row)
    }
    return row.id
  }
  const byId = (id: string, label: string | null): AppFound => {
    if (!known.has(id)) name(unknownApp(id, label ?? id, catalogue))
    return { appId: id, match: 'id' }
  }
  const byLabel = (label: string, userId: string | null): AppFound => {
    const [app, ...others] = externalWith(label)
    if (app && others.length === 0 && userId !== null && users.get(app.id)?.has(userId)) {
      return { appId: app.id, match: 'label' }
    }
    const kind = app ? 'ambiguous' : 'uninstalled'
    return { appId: name(labelRowOf(label, kind, catalogue)), match: 'label' }
  }
  return {
    async prepare(clues) {
      for (const { applicationId, label } of clues) {
        if (applicationId !== null || label === null) continue
        const [app, ...others] = externalWith(label)
        if (!app || others.length > 0 || users.has(app.id)) continue
        users.set(app.id, await usersOf(app.id))
      }
    },
    find({ applicationId, label, userId }) {
      if (applicationId !== null) return byId(applicationId, label)
      if (label === null) return { appId: null, match: 'none' }
      return byLabel(label, userId)
    },
    takeNewApps: () => newApps.splice(0),
  }
}

/**
 * Finds the app of a session, which names its app by label alone and belongs to no list of users:
 * the one app of that label, else the label.
 */
export function findSessionApp(
  catalogue: AppCatalogue,
  label: string | null,
): { readonly found: AppFound; readonly row: AppRow | null } {
  if (label === null) return { found: { appId: null, match: 'none' }, row: null }
  const [app, ...others] = catalogue.apps.filter((candidate) => isNamed(candidate, label))
  if (app && others.length === 0) {
    return { found: { appId: app.id, match: 'label' }, row: appRowOf(app, catalogue) }
  }
  const row = labelRowOf(label, app ? 'ambiguous' : 'uninstalled', catalogue)
  return { found: { appId: labelId(label), match: 'label' }, row }
}

/**
 * Says whether a label is an app's. An external client app may be known by its developer name only,
 * which is its label without blanks.
 */
export function isNamed(app: KnownApp, label: string): boolean {
  if (app.label === label) return true
  return app.kind === 'external' && app.developerName === label.replace(/\W+/g, '_')
}

/** An app that a token names and that is in no list that we may read. */
function unknownApp(id: string, label: string, catalogue: AppCatalogue): AppRow {
  const app: KnownApp = {
    id,
    label,
    kind: 'connected',
    developerName: null,
    menuItemId: null,
    adminApproved: null,
    issuesJwt: null,
    hasUsage: false,
  }
  return appRowOf(app, catalogue)
}
