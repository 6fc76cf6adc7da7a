import type { AppCatalogue, KnownApp } from './apps.ts'
import { isNamed } from './attribution.ts'
import { standsAlone } from './auth-sessions.ts'
import type { OwnSession } from './caller.ts'

/** The app that our session was opened with, by all the names and ids that it may have. */
export interface OwnApp {
  readonly names: ReadonlySet<string>
  readonly ids: ReadonlySet<string>
}

/** What names an app: a label, an id, or both. */
export interface AppNaming {
  readonly label: string | null
  readonly appId: string | null
}

/**
 * Finds all names of our own app. The login history knows it by its label of that day; lists may know
 * it by another label, or by its developer name. Null when the org does not say which app it is.
 */
export function findOwnApp({ appLabel }: OwnSession, catalogue: AppCatalogue): OwnApp | null {
  if (appLabel === null) return null
  const apps = catalogue.apps.filter((app) => isCalled(app, appLabel))
  const names = apps.flatMap(({ label, developerName }) => [label, developerName ?? label])
  return {
    names: new Set([appLabel, ...names].map(plain)),
    ids: new Set(apps.map(({ id }) => id)),
  }
}

/** Says whether something is, or may be, of our own app; what has no name at all may be. */
export function isOfOwnApp(own: OwnApp | null, { label, appId }: AppNaming): boolean {
  if (own === null || (label === null && appId === null)) return true
  return (appId !== null && own.ids.has(appId)) || (label !== null && own.names.has(plain(label)))
}

/**
 * Says whether our session may hang on a grant that goes by another name: then any grant of ours may
 * be the one. A session that was opened without a grant hangs on none.
 *
 * @param grants what names the app of each of the caller's grants
 */
export function isGrantUnknown(
  session: OwnSession,
  own: OwnApp | null,
  grants: Iterable<AppNaming>,
): boolean {
  const isAlone = session.subtype !== null && standsAlone(session)
  return !isAlone && ![...grants].some((grant) => isOfOwnApp(own, grant))
}

function isCalled(app: KnownApp, label: string): boolean {
  const names = [app.label, app.developerName ?? app.label].map(plain)
  return isNamed(app, label) || names.includes(plain(label))
}

/** Names that differ in blanks, case or punctuation alone are taken for one: own tokens must live. */
function plain(name: string): string {
  return name.replace(/[^\p{L}\p{N}]+/gu, '_').toLowerCase()
}
