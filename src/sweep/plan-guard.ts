import { RescindError } from '../core/errors.ts'
import type { Inventory } from '../store/inventories.ts'
import type { PlanHeader } from '../store/plans.ts'
import type { ApplyOptions } from './engine.ts'
import { hashPlan } from './plan-file.ts'

/** A plan on an older inventory speaks of an org that has moved on. */
const PLAN_AGE_MS_MAX = 24 * 3_600_000

/** Refuses what stands on an inventory that is older than a day. @throws RescindError `plan_stale` */
export function refuseStale(
  { takenAt }: Inventory,
  now: number,
  { what, next }: { readonly what: string; readonly next: string },
): void {
  if (now - takenAt <= PLAN_AGE_MS_MAX) return
  const taken = new Date(takenAt).toISOString()
  throw new RescindError(
    'plan_stale',
    `${what} stands on an inventory of ${taken}, older than 24 hours. ${next}`,
  )
}

/**
 * Checks that a plan is what it was, and for this account and credential.
 *
 * @throws RescindError `plan_other_tenant`, `plan_altered`, `inventory_unknown`, `plan_kills_self`
 */
export async function checkPlan(options: ApplyOptions, plan: PlanHeader): Promise<Inventory> {
  const { store, session, tenant } = options
  if (plan.tenant !== tenant || plan.account.id !== session.account.id) {
    throw new RescindError(
      'plan_other_tenant',
      `The plan ${plan.id} is for tenant "${plan.tenant}" (${plan.account.name}, ${plan.account.id}), and this is "${tenant}" (${session.account.name}, ${session.account.id}). Nothing was sent.`,
    )
  }
  const kills = await store.plans.kills(plan)
  if (hashPlan(plan, kills) !== plan.hash) {
    throw new RescindError(
      'plan_altered',
      `The plan ${plan.id} in the store is not what its hash says. Nothing was sent; make a new one with: rescind plan`,
    )
  }
  const inventory = await store.inventories.byNo(plan.inventory.no)
  if (!inventory) {
    throw new RescindError(
      'inventory_unknown',
      `The inventory of plan ${plan.id} is gone from this store. Take a new one with "rescind inventory" and plan again.`,
    )
  }
  await refuseSelfKill(options, plan, inventory)
  return inventory
}

/** The guard stands on the credential of now: with another one the plan knows nothing of its own tokens. */
async function refuseSelfKill(
  { session, store }: ApplyOptions,
  plan: PlanHeader,
  inventory: Inventory,
): Promise<void> {
  const { caller } = session.account
  if (caller.userId !== inventory.account.caller.userId) {
    throw new RescindError(
      'plan_kills_self',
      `The plan ${plan.id} was made as ${inventory.account.caller.userName}, and this is ${caller.userName}, whose own tokens it does not know to spare. Take an inventory and a plan as ${caller.userName}, or log in as before.`,
    )
  }
  // The same user logged in with another app works with another grant, which may be a planned one.
  const plannedAs = inventory.account.caller.app ?? null
  const isSameApp = plannedAs === null || plannedAs === caller.app
  const ofUser = isSameApp ? 0 : await store.plans.plannedOfUser(plan, caller.userId)
  if (ofUser > 0) {
    throw new RescindError(
      'plan_kills_self',
      `The plan ${plan.id} was made while logged in with "${plannedAs}", and kills ${ofUser} tokens of ${caller.userName}, among which may be the one that this login works with. Take an inventory and a plan with this login, or log in as before.`,
    )
  }
  const own = await store.plans.ownPlanned(plan)
  if (own > 0) {
    throw new RescindError(
      'plan_kills_self',
      `The plan ${plan.id} would kill ${own} tokens that Rescind works with. Nothing was sent; make a new one with: rescind plan`,
    )
  }
}
