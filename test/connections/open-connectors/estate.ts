import {
  type OpenConnectorsAccount,
  type OpenConnectorsOptions,
  type SalesforceOrg,
  startOpenConnectors,
  startSalesforce,
} from '../../../emulators/index.ts'
import {
  createOpenConnectorsClient,
  type OpenConnectorsClient,
  orThrow,
} from '../../../src/connections/open-connectors/client.ts'
import type { Instance } from '../../../src/connections/open-connectors/instance.ts'
import {
  DEFAULT_OPEN_CONNECTORS_SWITCHES,
  type OpenConnectorsSettings,
  type OpenConnectorsSwitches,
} from '../../../src/connections/open-connectors/settings.ts'
import type { TracedCall } from '../../../src/connections/open-connectors/trace.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createHttp, type Http } from '../../../src/core/http.ts'
import { fingerprinter, Secret } from '../../../src/core/secret.ts'

export const CALLBACK = 'http://127.0.0.1:1717/callback'
/** An hour of the account's clock is ten seconds: refreshes are repeated at once. */
const TIME_SCALE = 400

/** An emulated org, an account of Open Connectors over it, and a client of that account. */
export interface Estate extends AsyncDisposable {
  readonly org: SalesforceOrg
  readonly account: OpenConnectorsAccount
  readonly http: Http
  readonly trace: TracedCall[]
  readonly fingerprint: ReturnType<typeof fingerprinter>
  settings(switches?: Partial<OpenConnectorsSwitches>): OpenConnectorsSettings
  client(switches?: Partial<OpenConnectorsSwitches>): OpenConnectorsClient
  /** Logs somebody in at a consent URL; returns where the browser is sent. */
  consentAt(
    url: string,
    how?: { readonly as?: 'admin' | 'limited'; readonly deny?: boolean },
  ): Promise<URL>
  /** Makes an instance by a code. */
  makeInstance(name?: string): Promise<Instance>
}

export async function startEstate(options: Partial<OpenConnectorsOptions> = {}): Promise<Estate> {
  const org = await startSalesforce({ seed: 44, size: { users: 30, apps: 14, tokens: 60 } })
  const account = await startOpenConnectors({
    salesforceUrl: org.url,
    seed: 7,
    timeScale: TIME_SCALE,
    ...options,
  })
  const http = createHttp()
  const trace: TracedCall[] = []
  const { clientId, clientSecret } = org.credentials.connected
  const settings = (switches: Partial<OpenConnectorsSwitches> = {}): OpenConnectorsSettings => ({
    url: account.apiUrl,
    userSecret: new Secret(account.credentials.userSecret),
    organizationSecret: new Secret(account.credentials.organizationSecret),
    callbackUrl: CALLBACK,
    elements: {
      sfdc: {
        apiKey: clientId,
        apiSecret: new Secret(clientSecret),
        scope: 'full refresh_token',
        siteAddress: null,
        probePath: '/hubs/crm/accounts?pageSize=1',
        consentHosts: [new URL(org.url).host],
        secrets: {},
      },
    },
    switches: { ...DEFAULT_OPEN_CONNECTORS_SWITCHES, ...switches },
  })
  const client = (switches: Partial<OpenConnectorsSwitches> = {}) =>
    createOpenConnectorsClient(settings(switches), {
      ...{ http, clock: systemClock },
      trace: (call) => void trace.push(call),
    })
  const consentAt: Estate['consentAt'] = async (url, { as = 'admin', deny = false } = {}) => {
    const form = new URL(url).searchParams
    form.set('username', org.credentials[as].username)
    form.set('password', org.credentials[as].password)
    form.set('decision', deny ? 'deny' : 'allow')
    const page = new URL(url)
    page.search = ''
    const answer = await fetch(page, { method: 'POST', body: form, redirect: 'manual' })
    return new URL(answer.headers.get('location') ?? `data:,${await answer.text()}`)
  }
  return {
    ...{ org, account, http, trace, settings, client, consentAt },
    fingerprint: fingerprinter(new Uint8Array(32)),
    async makeInstance(name = 'Acme') {
      const state = new Secret('a-state-of-the-test')
      const made = client()
      const url = orThrow(await made.consentUrl('sfdc', state), 'give a consent URL')
      const code = new Secret((await consentAt(url)).searchParams.get('code') ?? '')
      const wish = { element: 'sfdc', name, tags: ['drill'], code }
      const { id } = orThrow(await made.create(wish), 'make an instance')
      return orThrow(await made.get(id), 'show the instance')
    },
    async [Symbol.asyncDispose]() {
      await http.close()
      await account.close()
      await org.close()
    },
  }
}
