// An authority on Hono, beside a route that takes its tokens.
// Run it: node examples/authority-hono/server.ts
import { once } from 'node:events'
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
// In your project: from 'rescind/server'
import {
  createAuthority,
  loadKey,
  mountHono,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'

/** Starts the app where its issuer says. */
export async function start(issuer: string, folder: string) {
  const authority = await createAuthority({
    issuer,
    store: await openSqliteAuthorityStore(join(folder, 'authority.db')),
    key: loadKey(join(folder, 'authority.key'), process.env.RESCIND_KEY),
  })
  const app = new Hono()
  app.use(mountHono(authority.handle))

  app.get('/hello', async (context) => {
    const [, token = ''] = /^Bearer (\S+)$/i.exec(context.req.header('authorization') ?? '') ?? []
    const known = await authority.introspect(token)
    if (known.active) return context.json({ hello: known.sub })
    return context.body(null, 401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
  })

  const { hostname, port } = new URL(issuer)
  const server = serve({ fetch: app.fetch, hostname, port: Number(port) })
  await once(server, 'listening')
  const close = async () => {
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
    await authority.close()
  }
  return { authority, close }
}

if (import.meta.main) {
  const { authority } = await start('http://127.0.0.1:9400', '.')
  if (!(await authority.clients.get('demo'))) {
    const { secret } = await authority.clients.add({
      id: 'demo',
      grantTypes: ['client_credentials'],
    })
    console.log(`The client "demo" has the secret ${secret?.reveal()}; it is not shown again.`)
  }
  console.log(`The authority is at ${authority.issuer}, the protected route at /hello.`)
}
