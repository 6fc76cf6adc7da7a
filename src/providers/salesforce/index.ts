import type { KillToken, Means, Provider, ProviderSession, TenantConfig } from '../provider.ts'
import { type AppCatalogue, readApps } from './apps.ts'
import { blockApp, unblockApp, whyNotBlock } from './block.ts'
import { readAccount, readOwnSession, readPermissions } from './caller.ts'
import { checkCapabilities } from './check.ts'
import { checkConfig, LOGIN_SECRETS, parseOptions } from './config.ts'
import { openConnection } from './connection.ts'
import { salesforceConnection } from './connection-way.ts'
import { toLongId } from './ids.ts'
import { readInventory } from './inventory.ts'
import { sendKill } from './kill.ts'
import { openLogin } from './login.ts'
import { lookAt } from './look.ts'
import { listReach } from './reach-now.ts'
import { salesforceHeldToken } from './revoke-token.ts'
import { checkTenantUrl } from './tenant-url.ts'
import { logInByBrowser } from './web-login.ts'

/** The longest session timeout that an org can set: what was minted from a token is over by then. */
const RESIDUAL_MS = 24 * 3_600_000

/** A Salesforce org. */
export const salesforce: Provider = {
  id: 'salesforce',
  title: 'Salesforce org',
  supports: {
    inventory: true,
    kill: ['app', 'user_app', 'token'],
    prove: ['acked', 'absent', 'quiet'],
    block: true,
    residualMs: RESIDUAL_MS,
  },
  secrets: LOGIN_SECRETS,
  checkConfig,
  canonicalId: toLongId,
  connection: salesforceConnection,
  heldToken: salesforceHeldToken,
  open: openSession,
  logIn: logInByBrowser,
}

async function openSession(tenant: TenantConfig, means: Means): Promise<ProviderSession> {
  checkTenantUrl(tenant)
  const { apiVersion, blockWithSessionLevel } = parseOptions(tenant)
  const connection = await openConnection(openLogin(tenant, means), means, apiVersion)
  const who = await readAccount(connection, means.signal)
  const own = await readOwnSession(connection, who.caller.userId, means.signal)
  const account = { ...who, caller: { ...who.caller, app: own.appLabel } }
  const { fingerprint } = means
  let apps: Promise<AppCatalogue> | undefined
  const catalogue = () => {
    apps ??= readPermissions(connection, means.signal)
      .then((permissions) => readApps(connection, permissions, means.signal))
      .catch((error: unknown) => {
        // A failure is not kept: the next one who asks may have more luck.
        apps = undefined
        throw error
      })
    return apps
  }
  const lookMeans = (signal = means.signal) => ({ connection, account, fingerprint, signal })
  const blockMeans = async (signal = means.signal) => ({
    connection,
    account,
    catalogue: await catalogue(),
    withSessionLevel: blockWithSessionLevel,
    signal,
  })
  return {
    account,
    check: () => checkCapabilities(connection, account),
    inventory: (signal = means.signal) => readInventory(connection, account, signal),
    kill: (kill, signal = means.signal) => sendKill(connection, means, kill, signal),
    look: (tokens: readonly KillToken[], signal) => lookAt(tokens, lookMeans(signal)),
    reachNow: (kill, signal) => listReach(kill, lookMeans(signal)),
    whyNotBlock,
    block: async (app, keep, signal) => blockApp(app, keep, await blockMeans(signal)),
    unblock: async (undo, signal) => unblockApp(undo, await blockMeans(signal)),
    close: async () => {},
  }
}
