import { RescindError } from '../../core/errors.ts'
import type { Fingerprint } from '../../core/secret.ts'
import type { Kill } from '../provider.ts'
import type { AppCatalogue } from './apps.ts'
import { createAttribution } from './attribution.ts'
import { listExternalAppUsers } from './external-apps.ts'
import { makeHandle } from './handles.ts'
import { fingerprintOf, type LookMeans, lookAt, readWholeList } from './look.ts'
import { readSight } from './sight.ts'
import { allOf, soqlText } from './soql.ts'
import { conditionOf, readUsage } from './usage-tokens.ts'

/**
 * Lists what a kill would reach now: one token if it is listed, or all tokens of an external client
 * app, or of it and one user.
 *
 * @throws RescindError `answer_invalid` when the list cannot be shown whole
 */
export async function listReach(
  kill: Kill,
  catalogue: () => Promise<AppCatalogue>,
  means: LookMeans,
): Promise<ReadonlySet<Fingerprint>> {
  const { reach } = kill
  switch (reach.kind) {
    case 'token': {
      const { present, unclear } = await lookAt(kill.tokens, means)
      if (unclear.size > 0) throw unreadable('the token')
      return present
    }
    case 'user_app':
      return listCoarseReach(reach.app, reach.user, await catalogue(), means)
    case 'app':
      return listCoarseReach(reach.app, null, await catalogue(), means)
  }
}

/** A list that shows the caller's tokens alone would let the kill reach everybody else's unseen. */
async function listCoarseReach(
  appId: string,
  userId: string | null,
  catalogue: AppCatalogue,
  means: LookMeans,
): Promise<ReadonlySet<Fingerprint>> {
  const { connection, account, signal } = means
  const reached = await listAppReach(appId, userId, catalogue, means)
  const sight = await readSight(connection, account, signal)
  if (sight.grants) return reached
  throw new RescindError(
    'not_permitted',
    `${account.caller.userName} does not see other people's tokens, so what the kill would reach is not known. Give it Customize Application.`,
  )
}

async function listAppReach(
  appId: string,
  userId: string | null,
  catalogue: AppCatalogue,
  means: LookMeans,
): Promise<ReadonlySet<Fingerprint>> {
  const { connection, signal, fingerprint } = means
  const app = catalogue.apps.find((known) => known.id === appId)
  if (!app) throw unreadable(`app ${appId}`)
  const ofUser = userId === null ? '' : `UserId = ${soqlText(userId)}`
  const rows = await readWholeList(connection, allOf(conditionOf(app), ofUser), signal)
  if (rows === null) throw unreadable(`the tokens of ${app.label}`)
  const attribution = createAttribution(
    catalogue,
    async (id) => new Set(await listExternalAppUsers(connection, id, signal)),
  )
  const clues = rows.map((row) => ({
    row,
    clue: { applicationId: row.applicationId, label: row.appName, userId: row.userId },
  }))
  await attribution.prepare(clues.map(({ clue }) => clue))
  const reached = new Set<Fingerprint>()
  for (const { row, clue } of clues) {
    if (attribution.find(clue).appId !== appId) continue
    for (const listed of fingerprintOf(row, means)) reached.add(listed)
  }
  if (rows.length > 0) return reached
  for (const token of await readUsage(connection, appId, signal)) {
    if (userId !== null && token.userId !== userId) continue
    reached.add(fingerprint(makeHandle('usage', token.id)))
  }
  return reached
}

function unreadable(what: string): RescindError {
  return new RescindError(
    'answer_invalid',
    `The org does not show ${what} whole, so what the kill would reach is not known. Try again.`,
  )
}
