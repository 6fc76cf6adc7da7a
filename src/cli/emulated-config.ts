import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { RescindError } from '../core/errors.ts'
import { makeFolder } from '../core/folder.ts'

/** Nothing need listen there for a drill, which takes the code itself; `rescind serve` does, for what comes after it. */
const LISTEN = '127.0.0.1:4711'
const REDIRECT_URI = `http://${LISTEN}/connections/callback`
const SCOPES = ['api', 'id', 'refresh_token']

interface EmulatedApp {
  readonly clientId: string
  readonly clientSecret: string
  readonly appName: string
}

interface EmulatedUser {
  readonly userId: string
  readonly username: string
  readonly password: string
}

/** What of an emulated org a configuration is made of. */
export interface EmulatedOrg {
  readonly url: string
  readonly credentials: {
    readonly integration: Pick<EmulatedApp, 'clientId' | 'clientSecret'>
    readonly connected: EmulatedApp
    readonly rotating: EmulatedApp
    readonly limited: EmulatedUser
    readonly admin: EmulatedUser
  }
  addGrant(grant: {
    readonly userId: string
    readonly appId: string
    readonly scopes: readonly string[]
  }): { readonly refreshToken: string }
}

/**
 * Writes a `rescind.yaml` for an emulated org, from which a connection can be drilled at once: two apps, the
 * one user who may be drilled, another person, and a grant of each app. Secrets are files beside it.
 *
 * @throws RescindError `usage` where the folder has one already, or cannot be written
 */
export function writeEmulatedConfig(folder: string, org: EmulatedOrg): void {
  const path = join(folder, 'rescind.yaml')
  if (existsSync(path)) {
    throw new RescindError('usage', `${path} is there already. Name another folder with --drill.`)
  }
  try {
    makeFolder(folder)
    for (const [name, secret] of Object.entries(secretsOf(org))) {
      writeFileSync(join(folder, name), secret, { mode: 0o600 })
    }
    writeFileSync(path, stringify(configOf(org), { aliasDuplicateObjects: false }), { mode: 0o600 })
  } catch (cause) {
    const message = `The folder ${folder} cannot be written. Name another with --drill.`
    throw new RescindError('usage', message, { cause })
  }
}

/**
 * Returns a `rescind.yaml` for an emulated account and the org behind it, from which an instance can be made
 * and drilled. Its secrets are in the variables of docs/open-connectors.md.
 */
export function accountConfig(
  { url, credentials }: Pick<EmulatedOrg, 'url' | 'credentials'>,
  apiUrl: string,
): string {
  const { connected, limited } = credentials
  const { clientId } = connected
  const callbackUrl = 'http://127.0.0.1:1717/callback'
  const options = { appName: connected.appName, rotation: 'never' }
  return stringify({
    tenants: {
      emulated: {
        ...{ provider: 'salesforce', url },
        app: { clientId, clientSecret: '${env:SFDC_SECRET}', redirectUri: callbackUrl, options },
      },
    },
    openConnectors: {
      ...{ url: apiUrl, userSecret: '${env:OC_USER_SECRET}' },
      ...{ organizationSecret: '${env:OC_ORGANIZATION_SECRET}', callbackUrl },
      elements: {
        sfdc: {
          ...{ apiKey: clientId, apiSecret: '${env:SFDC_SECRET}', scope: SCOPES.join(' ') },
          probe: '/hubs/crm/accounts?pageSize=1',
        },
      },
    },
    drill: {
      users: [limited.userId],
      consent: { fields: { username: limited.username, password: '${env:DRILL_PASSWORD}' } },
    },
  })
}

function secretsOf({ credentials, addGrant }: EmulatedOrg): Readonly<Record<string, string>> {
  const { integration, connected, rotating, limited, admin } = credentials
  const grantOf = (appId: string) =>
    addGrant({ userId: limited.userId, appId, scopes: SCOPES }).refreshToken
  return {
    'login-secret': integration.clientSecret,
    'client-secret': connected.clientSecret,
    'rotating-client-secret': rotating.clientSecret,
    'refresh-token': grantOf(connected.clientId),
    'rotating-refresh-token': grantOf(rotating.clientId),
    password: limited.password,
    'stranger-password': admin.password,
  }
}

function configOf({ url, credentials }: EmulatedOrg) {
  const { integration, connected, rotating, limited, admin } = credentials
  const base = { provider: 'salesforce', url }
  const app = { redirectUri: REDIRECT_URI, scopes: SCOPES }
  const login = {
    ...{ method: 'client_credentials', clientId: integration.clientId },
    clientSecret: '${file:login-secret}',
  }
  return {
    home: '.',
    tenants: {
      emulated: {
        ...base,
        login,
        app: {
          ...{ clientId: connected.clientId, clientSecret: '${file:client-secret}', ...app },
          options: { appName: connected.appName, rotation: 'never' },
        },
      },
      rotating: {
        ...base,
        app: {
          ...{
            clientId: rotating.clientId,
            clientSecret: '${file:rotating-client-secret}',
            ...app,
          },
          options: { appName: rotating.appName, rotation: 'always' },
        },
      },
    },
    connections: { listen: LISTEN },
    drill: {
      users: [limited.userId],
      consent: {
        fields: { username: limited.username, password: '${file:password}' },
        stranger: { username: admin.username, password: '${file:stranger-password}' },
      },
    },
  }
}
