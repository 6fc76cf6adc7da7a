import { formatCounted } from '../../core/counts.ts'
import type { Account, Capability } from '../provider.ts'
import { type Permissions, readPermissions, rowsOrNull } from './caller.ts'
import type { Connection } from './connection.ts'
import { listExternalApps } from './external-apps.ts'
import { isRefusal } from './rest-answer.ts'

type Can = Capability['can']

/** Says what the credential may do, before a plan is made. Nothing is changed. */
export async function checkCapabilities(
  connection: Connection,
  account: Account,
): Promise<readonly Capability[]> {
  const permissions = await readPermissions(connection)
  return [
    seesAll(permissions, account),
    {
      name: 'revoke tokens',
      can: 'yes',
      why: `${new URL(connection.instanceUrl()).host}/services/oauth2/revoke takes a DeleteToken without any other authority`,
    },
    await usageCalls(connection),
    await sessions(connection, permissions),
    blocking(permissions),
    budget(connection),
  ]
}

function seesAll({ customizeApplication }: Permissions, account: Account): Capability {
  const can = canOf(customizeApplication)
  const why = {
    yes: `${account.caller.userName} has Customize Application`,
    no: `${account.caller.userName} lacks Customize Application and sees no tokens but its own: give it that permission`,
    unknown: 'the org does not say whether the user has Customize Application',
  }
  return { name: 'see all tokens', can, why: why[can] }
}

async function usageCalls(connection: Connection): Promise<Capability> {
  const name = 'kill external client apps at once'
  try {
    const apps = await listExternalApps(connection)
    return {
      name,
      can: 'yes',
      why: `the usage API lists ${formatCounted(apps.length, 'external client app')}`,
    }
  } catch (error) {
    if (!isRefusal(error)) throw error
    const why = `the usage API answers ${error.vendorCode}: give the user "View all External Client Apps, view their settings, and edit their policies"`
    return { name, can: error.code === 'not_permitted' ? 'no' : 'unknown', why }
  }
}

async function sessions(connection: Connection, { manageUsers }: Permissions): Promise<Capability> {
  const name = 'see and delete sessions'
  const soql = 'SELECT Id FROM AuthSession LIMIT 1'
  if ((await rowsOrNull(connection, soql, 'sessions')) === null) {
    return { name, can: 'no', why: 'sessions cannot be listed: give the user Manage Users' }
  }
  const can = canOf(manageUsers)
  const why = {
    yes: 'the user has Manage Users',
    no: 'the user lacks Manage Users and sees no sessions but its own: give it that permission',
    unknown: 'the org does not say whether the user has Manage Users',
  }
  return { name, can, why: why[can] }
}

function blocking(permissions: Permissions): Capability {
  const { customizeApplication, modifyAllData, manageConnectedApps } = permissions
  const either =
    modifyAllData === true || manageConnectedApps === true
      ? true
      : modifyAllData === false && manageConnectedApps === false
        ? false
        : null
  const both = customizeApplication === false || either === false ? false : either
  const can = canOf(customizeApplication === null && both === true ? null : both)
  const needs = 'Customize Application, and Modify All Data or Manage Connected Apps'
  const why = {
    yes: `the user has what blocking needs: ${needs}`,
    no: `blocking needs ${needs}: give the user these`,
    unknown: `the org does not say whether the user has what blocking needs: ${needs}`,
  }
  return { name: 'block apps', can, why: why[can] }
}

/** The share of the daily limit past which a large run may not fit. */
const BUDGET_SHARE_SAFE = 0.8

function budget(connection: Connection): Capability {
  const { last } = connection.usage()
  const name = 'API requests left'
  if (!last) return { name, can: 'unknown', why: 'the org did not say how many it has used' }
  const left = last.max - last.used
  const why = `${left} of ${last.max} requests a day are left`
  if (left <= 0) return { name, can: 'no', why: `${why}: try again tomorrow` }
  const tight = last.used > last.max * BUDGET_SHARE_SAFE
  return {
    name,
    can: tight ? 'unknown' : 'yes',
    why: tight ? `${why}: a large run may not fit` : why,
  }
}

function canOf(permission: boolean | null): Can {
  if (permission === null) return 'unknown'
  return permission ? 'yes' : 'no'
}
