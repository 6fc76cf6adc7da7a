// An authority on Express 5, beside a route that takes its tokens.
// Run it: node examples/authority-express/server.ts
import { once } from 'node:events'
import { join } from 'node:path'
import express from 'express'
// In your project: from 'rescind/server'
import {
  createAuthority,
  loadKey,
  mountExpress,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'

/** Starts the app where its issuer says. */
export async function start(issuer: string, folder: string) {
  const authority = await createAuthority({
    issuer,
    store: await openSqliteAuthorityStore(join(folder, 'authority.db')),
    key: loadKey(join(folder, 'authority.key'), process.env.RESCIND_KEY),
  })
  const app = express()
  // Before any body parser: the authority reads its forms itself, and strictly.
  app.use(mountExpress(authority.handle))
  app.use(express.json())

  app.get('/hello', async (request, response) => {
    const [, token = ''] = /^Bearer (\S+)$/i.exec(request.get('authorization') ?? '') ?? []
    const known = await authority.introspect(token)
    if (known.active) response.json({ hello: known.sub })
    else response.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').end()
  })

  const { hostname, port } = new URL(issuer)
  const server = app.listen(Number(port), hostname)
  await once(server, 'listening')
  const close = async () => {
    server.close()
    server.closeAllConnections()
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
