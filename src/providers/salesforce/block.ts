import { z } from 'zod'
import { RescindError } from '../../core/errors.ts'
import type { Account, AppRow, BlockAnswer } from '../provider.ts'
import {
  findPolicy,
  type Policy,
  type PolicyComponent,
  policyOf,
  readPolicy,
  withPolicy,
} from './app-policy.ts'
import type { AppCatalogue } from './apps.ts'
import { readOwnSession } from './caller.ts'
import type { Connection } from './connection.ts'
import { type UpdateVerdict, updateComponent } from './metadata.ts'
import { findOwnApp, isOfOwnApp } from './own-app.ts'

/** What a blocking app asks of its users; some orgs take a Block only together with it. */
const HIGH_ASSURANCE = 'HIGH_ASSURANCE'

const undoSchema = z.object({
  provider: z.literal('salesforce'),
  org: z.string(),
  app: z.string(),
  label: z.string(),
  type: z.enum(['ConnectedApp', 'ExtlClntAppOauthConfigurablePolicies']),
  fullName: z.string(),
  before: z.object({
    policyAction: z.string().nullable(),
    sessionLevel: z.string().nullable(),
  }),
})

/** What lifts a block: which component, and the policy that was found before. */
export type BlockUndo = z.output<typeof undoSchema>

export interface BlockMeans {
  readonly connection: Connection
  readonly account: Account
  readonly catalogue: AppCatalogue
  /** Whether to set the High Assurance level together with the block. */
  readonly withSessionLevel: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Puts an installed app out: its sessions end, and no new ones begin. The undo record is kept before
 * the change is sent. The policy is read back, for an update that was accepted is not yet one that
 * took. What no call can do is said in words.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_connectedapp.htm
 */
export async function blockApp(
  app: AppRow,
  keep: (undo: BlockUndo) => Promise<void> | void,
  means: BlockMeans,
): Promise<BlockAnswer> {
  const { connection, account, signal } = means
  const known = means.catalogue.apps.find(({ id }) => id === app.id)
  if (!known) {
    const unlisted = `The org does not list ${app.label} among its apps. ${clickBlock(app)}`
    return byHand(app, whyNotBlock(app) ?? unlisted)
  }
  const own = await readOwnSession(connection, account.caller.userId, signal)
  const ownApp = findOwnApp(own, means.catalogue)
  if (ownApp && isOfOwnApp(ownApp, { label: known.label, appId: known.id })) {
    return byHand(
      app,
      `${app.label} is the app that Rescind itself is logged in with; it is not put out.`,
    )
  }
  const component = await findPolicy(connection, known, signal)
  if (!component) return byHand(app, `The org has no metadata of ${app.label}. ${clickBlock(app)}`)
  const before = policyOf(component)
  if (before.policyAction === 'Block') {
    return { app: app.id, done: true, text: `${app.label} is blocked already.` }
  }
  const { type, fullName } = component
  const undo: BlockUndo = {
    provider: 'salesforce',
    org: account.id,
    app: app.id,
    label: app.label,
    type,
    fullName,
    before,
  }
  await keep(undo)
  const verdict = await setBlock(component, before, means)
  const after = await readPolicy(connection, type, fullName, signal)
  return judgeBlock(app, verdict, after, undo)
}

/** What the org shows afterwards beats what it answered. */
function judgeBlock(
  app: AppRow,
  verdict: UpdateVerdict,
  after: PolicyComponent | undefined,
  undo: BlockUndo,
): BlockAnswer {
  if (after && policyOf(after).policyAction === 'Block') {
    const text = `${app.label} is blocked: its sessions end, and it gets no new ones.`
    return { app: app.id, done: true, text, undo }
  }
  if (verdict.ok) {
    const text = `The org accepted the block of ${app.label}, and does not show it. ${clickBlock(app)}`
    return { app: app.id, done: false, text, undo }
  }
  const refused = byHand(
    app,
    `The org refused (${verdict.code}: ${verdict.message}). ${clickBlock(app)}`,
  )
  return after ? refused : { ...refused, undo }
}

/**
 * Lifts a block, so that the policy is what it was before.
 *
 * @throws RescindError `usage` for an undo record that is broken or of another org
 */
export async function unblockApp(record: unknown, means: BlockMeans): Promise<BlockAnswer> {
  const undo = parseUndo(record, means.account)
  const { connection, signal } = means
  const wanted: readonly Policy[] = [
    undo.before,
    // Where leaving a policy out does not take it away, the weakest one stands in its place.
    { policyAction: 'RaiseSessionLevel', sessionLevel: 'STANDARD' },
  ]
  for (const policy of wanted) {
    const component = await readPolicy(connection, undo.type, undo.fullName, signal)
    if (!component) break
    const children = withPolicy(component, policy)
    const verdict = await updateComponent(connection, undo.type, children, signal)
    if (!verdict.ok) continue
    const after = await readPolicy(connection, undo.type, undo.fullName, signal)
    if (after && policyOf(after).policyAction !== 'Block') {
      const left =
        policy === undo.before
          ? ''
          : ' Its policy now asks for a standard session, where it had none.'
      return { app: undo.app, done: true, text: `${undo.label} is let in again.${left}` }
    }
  }
  const text = `${undo.label} is still blocked. Click Unblock in Setup, Connected Apps OAuth Usage.`
  return { app: undo.app, done: false, text }
}

async function setBlock(
  component: PolicyComponent,
  before: Policy,
  { connection, withSessionLevel, signal }: BlockMeans,
): Promise<UpdateVerdict> {
  const update = (policy: Policy) =>
    updateComponent(connection, component.type, withPolicy(component, policy), signal)
  const withLevel = { policyAction: 'Block', sessionLevel: HIGH_ASSURANCE }
  if (withSessionLevel) return update(withLevel)
  const verdict = await update({ ...before, policyAction: 'Block' })
  // Whether a block needs a level is not documented; the org says so when it does.
  const wantsLevel = !verdict.ok && /session ?level/i.test(verdict.message)
  return wantsLevel ? update(withLevel) : verdict
}

function parseUndo(record: unknown, account: Account): BlockUndo {
  const parsed = undoSchema.safeParse(record)
  if (!parsed.success) {
    throw new RescindError('usage', 'This is not an undo file of a Salesforce block.')
  }
  if (parsed.data.org === account.id) return parsed.data
  throw new RescindError(
    'usage',
    `The undo file is of org ${parsed.data.org}, and this is ${account.name} (${account.id}). Choose the right tenant.`,
  )
}

function byHand(app: AppRow, text: string): BlockAnswer {
  return { app: app.id, done: false, text }
}

function clickBlock(app: AppRow): string {
  return app.kind === 'external'
    ? `In Setup, open External Client App Manager, ${app.label}, Policies, and block it there.`
    : `In Setup, open Connected Apps OAuth Usage, and click Block beside ${app.label}.`
}

/** Says what a person must click where no call can block an app; nothing where one may. */
export function whyNotBlock(app: AppRow): string | undefined {
  if (app.kind === 'uninstalled') {
    return `${app.label} is not installed, and no call can block it. In Setup, open Connected Apps OAuth Usage, click Install beside ${app.label}, then Block.`
  }
  if (app.kind === 'ambiguous') {
    return `Several apps are called ${app.label}. In Setup, open Connected Apps OAuth Usage, find the right one, and click Block.`
  }
  return undefined
}
