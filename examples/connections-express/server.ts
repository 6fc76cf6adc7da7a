// An integration platform on Express 5 that keeps its customers' connections in Rescind: it invites an owner,
// takes the callback, and works with a token that is alive. Run it: CRM_URL=… CRM_CLIENT_ID=… CRM_SECRET=…
// node examples/connections-express/server.ts; `rescind emulate salesforce` has an org to try it on.
import { once } from 'node:events'
import express from 'express'
// In your project: from 'rescind/connections' and 'rescind/server'
import {
  openConnections,
  RescindError,
  Secret,
  type TenantOptions,
} from '../../src/connections/index.ts'
import { mountExpress } from '../../src/server/index.ts'

/** Who the platform works for. A real one has them in its database. */
const CUSTOMERS = ['acme', 'globex']

/**
 * Starts the platform.
 *
 * @param home the folder of the store and its key; `RESCIND_HOME=… rescind connection list` sees the same
 */
export async function start(origin: string, home: string, crm: Omit<TenantOptions, 'provider'>) {
  const connections = await openConnections({
    ...{ home, key: process.env.RESCIND_KEY },
    tenants: { crm: { provider: 'salesforce', ...crm } },
    onTrouble: (error) => console.error(error),
  })
  const { vault, reauthorizing } = connections
  // Checks, late links and webhooks, until all is closed.
  void connections.run()

  const connectionOf = async (owner: string) => {
    for await (const one of vault.list({ owner })) if (one.state !== 'revoked') return one
    return undefined
  }

  const app = express()
  // Before any body parser. It answers below /connections; all else goes on to the routes of the platform.
  app.use(mountExpress(connections.handle))
  app.use(express.json())

  // The login of your staff stands before these.
  app.get('/', async (_, response) => {
    const rows = CUSTOMERS.map(async (owner) => {
      const state = (await connectionOf(owner))?.state ?? 'not connected'
      return `<li>${owner}: ${state}</li>`
    })
    response.send(`<h1>Customers</h1><ul>${(await Promise.all(rows)).join('')}</ul>`)
  })

  // A link that is good once and for a day: send it to the owner alone.
  app.post('/customers/:owner/invitation', async (request, response) => {
    const { owner } = request.params
    if (!CUSTOMERS.includes(owner)) return void response.status(404).end()
    const { id } =
      (await connectionOf(owner)) ?? (await reauthorizing.create({ tenant: 'crm', owner }))
    const { url, expiresAt } = await reauthorizing.link(id)
    response.status(201).json({ id, url, expiresAt: new Date(expiresAt) })
  })

  app.get('/customers/:owner/user', async (request, response) => {
    const connection = await connectionOf(request.params.owner)
    if (!connection) return void response.status(404).json({ error: 'not connected' })
    try {
      response.json(await readUser(connection.id))
    } catch (error) {
      if (!(error instanceof RescindError && error.code === 'reconnect_needed')) throw error
      response.status(409).json({ error: 'The owner must connect again: invite him.' })
    }
  })

  const readUser = async (id: string) => {
    const ask = (token: Secret) =>
      fetch(`${crm.url}/services/oauth2/userinfo`, {
        headers: { authorization: `Bearer ${token.reveal()}` },
      })
    const first = await vault.accessToken(id)
    let answer = await ask(first.token)
    if (answer.status === 401 || answer.status === 403) {
      // It died early, whatever its expiry says: another one, or `reconnect_needed`.
      answer = await ask((await vault.accessToken(id, { refused: first.version })).token)
    }
    if (!answer.ok) throw new Error(`The provider answered HTTP ${answer.status}.`)
    const { user_id: user, organization_id: org } = (await answer.json()) as Record<string, unknown>
    return { user, org }
  }

  const { hostname, port } = new URL(origin)
  const server = app.listen(Number(port), hostname)
  await once(server, 'listening')
  const close = async () => {
    server.close()
    // Waits for what is under way, so that the answers to it are not cut off.
    await connections.close()
    server.closeAllConnections()
  }
  return { connections, close }
}

if (import.meta.main) {
  const origin = 'http://127.0.0.1:8080'
  const { CRM_URL = '', CRM_CLIENT_ID = '', CRM_SECRET = '' } = process.env
  const { close } = await start(origin, '.rescind', {
    url: CRM_URL,
    app: {
      ...{ clientId: CRM_CLIENT_ID, clientSecret: new Secret(CRM_SECRET) },
      // Register it at the provider, to the letter.
      redirectUri: `${origin}/connections/callback`,
      scopes: ['api', 'refresh_token'],
    },
  })
  console.log(
    `The platform is at ${origin}. Invite: curl -X POST ${origin}/customers/acme/invitation`,
  )
  // A refresh or a consent that is under way is waited for: its token would be lost.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void close())
}
