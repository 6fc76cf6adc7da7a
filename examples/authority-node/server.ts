// An authority on node:http, beside a route that takes its tokens.
// Run it: node examples/authority-node/server.ts
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
// In your project: from 'rescind/server'
import {
  createAuthority,
  loadKey,
  mountNode,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'

/** Starts the app where its issuer says. */
export async function start(issuer: string, folder: string) {
  const authority = await createAuthority({
    issuer,
    store: await openSqliteAuthorityStore(join(folder, 'authority.db')),
    key: loadKey(join(folder, 'authority.key'), process.env.RESCIND_KEY),
  })
  const serveAuthority = mountNode(authority.handle)

  const hello = async (request: IncomingMessage, response: ServerResponse) => {
    const [, token = ''] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const known = await authority.introspect(token)
    if (known.active) return response.end(JSON.stringify({ hello: known.sub }))
    return response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end()
  }

  const { hostname, port } = new URL(issuer)
  const server = createServer((request, response) => {
    if (request.url === '/hello') {
      hello(request, response).catch(() => response.writeHead(503).end())
    } else serveAuthority(request, response)
  })
  server.listen(Number(port), hostname)
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
