import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type OpenConnectorsAccount,
  type SalesforceOrg,
  startOpenConnectors,
  startSalesforce,
} from '../../emulators/index.ts'
import { askForCode, makeInstance } from '../../examples/demo/instance.ts'
import { refuseSecrets } from '../cli/run-revoke.ts'
import { type CliOptions, type Ran, rescind } from './run-cli.ts'

const CALLBACK = 'http://127.0.0.1:4711/callback'

export interface ConfigWish {
  readonly appName?: string | null
  /** Other tenants beside the org. */
  readonly tenants?: object
  readonly user?: string
  readonly userSecret?: string
}

/** A home from which a connection of each platform can be drilled, at emulators. */
export interface DrillHome {
  readonly org: SalesforceOrg
  readonly account: OpenConnectorsAccount
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  /** An instance of the emulated account. */
  readonly instance: string
  /** A connection of the home's own vault. */
  readonly connection: string
  config(more?: ConfigWish): string
  /** Keeps one more grant of the same user in the vault. */
  addConnection(): Promise<string>
  /** Everything that must stand in no output. */
  secrets(): readonly string[]
  /** Runs a command line; no secret may be in what it says. */
  run(args: readonly string[], more?: Partial<CliOptions>): Promise<Ran>
  close(): Promise<void>
}

/** Starts the emulators and makes the connections; what is started ends with `close`. */
export async function openDrillHome(seed: number): Promise<DrillHome> {
  const org = await startSalesforce({ seed, size: { users: 40, apps: 16, tokens: 300 } })
  const account = await startOpenConnectors({ salesforceUrl: org.url, refreshRetryMs: 60 })
  const home = mkdtempSync(join(tmpdir(), 'rescind-drill-cli-'))
  const env = {
    CLIENT_SECRET: org.credentials.connected.clientSecret,
    USER_SECRET: account.credentials.userSecret,
    ORGANIZATION_SECRET: account.credentials.organizationSecret,
    PASSWORD: org.credentials.limited.password,
    STRANGER: org.credentials.admin.password,
  }
  const config = (more: ConfigWish = {}) => configOf(org, account, more)
  writeFileSync(join(home, 'rescind.yaml'), config())
  const secrets = () => [...org.truth.secrets(), ...Object.values(env)]
  const run: DrillHome['run'] = async (args, more) => {
    const ran = await rescind(args, { home, env, ...more })
    refuseSecrets(`${ran.stdout}\n${ran.stderr}`, secrets())
    return ran
  }
  const instance = String(await makeInstance(org, account))
  const addConnection = async (): Promise<string> => {
    const added = await run(
      [
        ...['connection', 'add', '--owner', 'acme', '--tag', 'drill-target'],
        ...['--refresh-token-env', 'GRANT', '--json'],
      ],
      { env: { ...env, GRANT: await redeem(org, await askForCode(org, account)) } },
    )
    const id = added.json.id ?? added.json.connection.id
    await run(['connection', 'check', id])
    return id
  }
  const connection = await addConnection()
  return {
    ...{ org, account, home, env, instance, connection, config, secrets, run },
    addConnection,
    async close() {
      await account.close()
      await org.close()
      rmSync(home, { recursive: true })
    },
  }
}

function configOf(org: SalesforceOrg, account: OpenConnectorsAccount, more: ConfigWish): string {
  const { connected, limited, admin } = org.credentials
  const { appName = 'Data Sync', tenants = {} } = more
  return JSON.stringify({
    tenants: {
      org: {
        provider: 'salesforce',
        url: org.url,
        app: {
          ...{ clientId: connected.clientId, clientSecret: '${env:CLIENT_SECRET}' },
          ...{ redirectUri: CALLBACK, scopes: ['api', 'id', 'refresh_token'] },
          options: { ...(appName && { appName }), rotation: 'never' },
        },
      },
      ...tenants,
    },
    openConnectors: {
      url: account.apiUrl,
      userSecret: more.userSecret ?? '${env:USER_SECRET}',
      organizationSecret: '${env:ORGANIZATION_SECRET}',
      callbackUrl: CALLBACK,
      elements: {
        sfdc: {
          ...{ apiKey: connected.clientId, apiSecret: '${env:CLIENT_SECRET}' },
          ...{ scope: 'api id refresh_token', probe: '/hubs/crm/accounts?pageSize=1' },
        },
      },
    },
    drill: {
      users: [more.user ?? limited.userId],
      consent: {
        fields: { username: limited.username, password: '${env:PASSWORD}' },
        stranger: { username: admin.username, password: '${env:STRANGER}' },
      },
    },
  })
}

async function redeem(org: SalesforceOrg, code: string): Promise<string> {
  const { clientId, clientSecret } = org.credentials.connected
  const client = { client_id: clientId, client_secret: clientSecret, redirect_uri: CALLBACK }
  const body = new URLSearchParams({ ...client, grant_type: 'authorization_code', code })
  const answer = await fetch(`${org.url}/services/oauth2/token`, { method: 'POST', body })
  return ((await answer.json()) as { refresh_token: string }).refresh_token
}
